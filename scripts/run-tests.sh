#!/usr/bin/env bash
# Builds one build folder and runs its tests.
#
#   scripts/run-tests.sh FOLDER [unit|e2e|all|none] [pytest arguments]
#
# Kind of build by name: build-asan (AddressSanitizer and UndefinedBehaviorSanitizer), build-tsan (ThreadSanitizer),
# build-clang, build. Warnings are errors, in build only in CI. Results are left in FOLDER for scripts/tally.py.
# Exit status: 0 all passed, 3 tests failed (and are counted in the results), 1 anything else.
set -uo pipefail
cd "$(dirname "$0")/.."
folder=${1:-build}
what=${2:-all}
shift $(($# < 2 ? $# : 2))
jobs=${PYTEST_JOBS:-2}

# The additional builds are -O1 and know of debugging no more than line numbers: half of the compiler's time. What a
# sanitizer found ends the program; if it went on, gcc would follow the path on which a checked pointer is NULL, and warn
# of what comes next there.
more=(-Dwerror=true -Doptimization=1 -Ddebug=false)
options=()
case $folder in
build) [ -z "${CI:-}" ] || options=(-Dwerror=true) ;;
build-asan)
	options=("${more[@]}" -Db_sanitize=address,undefined -Db_lundef=false
		'-Dc_args=-g1 -fno-sanitize-recover=undefined')
	;;
build-tsan) options=("${more[@]}" -Db_sanitize=thread -Db_lundef=false -Dc_args=-g1) ;;
build-clang)
	export CC=clang
	options=("${more[@]}" -Dc_args=-g1)
	;;
esac
export ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1:allocator_may_return_null=1
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
export TSAN_OPTIONS=halt_on_error=0:second_deadlock_stack=1:suppressions=$PWD/scripts/tsan.supp
export LSAN_OPTIONS=suppressions=$PWD/scripts/lsan.supp:print_suppressions=0

rm -f "$folder"/*.junit.xml "$folder"/meson-logs/testlog.json
if [ ! -f "$folder/build.ninja" ]; then
	meson setup "$folder" ${options[@]+"${options[@]}"} >"${folder}.log" 2>&1 || { cat "${folder}.log"; exit 1; }
	rm -f "${folder}.log"
elif [ ${#options[@]} -gt 0 ] && [ "$(cat "$folder/options" 2>/dev/null)" != "${options[*]}" ]; then
	meson configure "$folder" "${options[@]}"
fi
[ ${#options[@]} = 0 ] || printf '%s\n' "${options[*]}" >"$folder/options"
ninja -C "$folder" --quiet || exit 1
[ "$what" != none ] || exit 0

status=0
if [ "$what" != e2e ]; then
	PYTHONPATH=$PWD/tests build/venv/bin/python -m lib.servers run \
		meson test -C "$folder" --no-rebuild --print-errorlogs --timeout-multiplier 4 || status=3
fi
if [ "$what" != unit ]; then
	DOCROW_BIN=$PWD/$folder/docrow build/venv/bin/python -m pytest -n "$jobs" --dist worksteal \
		--junitxml="$folder/e2e.junit.xml" "$@"
	case $? in
	0) ;;
	1) [ -f "$folder/e2e.junit.xml" ] && status=3 || exit 1 ;;
	*) exit 1 ;;
	esac
fi
exit "$status"
