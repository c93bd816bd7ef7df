#!/usr/bin/env bash
# Everything that can be said about the sources without running them. `make lint` calls it; all checks run, the exit
# status tells whether one of them complained.
set -uo pipefail
cd "$(dirname "$0")/.."
failed=0
complain() {
	printf 'lint: %s\n' "$*" >&2
	failed=1
}

mapfile -t c_files < <(git ls-files 'src/*.c' 'src/*.h' 'tests/*.c' 'tests/*.h' 'bench/*.c' 'bench/*.h')
mapfile -t c_sources < <(git ls-files 'src/*.c')
mapfile -t py_files < <(git ls-files '*.py')
mapfile -t sh_files < <(git ls-files '*.sh' '.ci/run')

build/venv/bin/clang-format --dry-run -Werror "${c_files[@]}" || complain "format: run clang-format -i on the files above"
build/venv/bin/python scripts/check_order.py || complain "order of the folders (docs/ARCHITECTURE.md)"
build/venv/bin/python -m compileall -q "${py_files[@]}" || complain "Python syntax"
for file in "${sh_files[@]}"; do
	bash -n "$file" || complain "shell syntax: $file"
done
if git grep -nIE '[[:space:]]+$' -- ':!LICENSE' ':!*.tsv' ':!*.exact' ':!tests/data' ':!tests/cases' ':!tests/fuzz/corpus'; then
	complain "blanks at the end of the lines above"
fi

if git grep -nE '^\s*_cleanup_\(\w+\)[^=]*;' -- '*.c' '*.h'; then
	complain "set the variables above where they are declared (src/base/mem.h)"
fi

# clang-tidy takes a second or two a file: a file is looked at again when it, a header or the checks have changed.
[ -f build/build.ninja ] || meson setup build >build/setup.log 2>&1 || complain "meson setup (build/setup.log says why)"
mkdir -p build/lint
headers=$(cat .clang-tidy $(git ls-files 'src/*.h') | sha256sum)
tidy() {
	local file=$1 headers=$2 stamp
	stamp=build/lint/${file//\//_}
	if [ "$(cat "$stamp" 2>/dev/null)" = "$headers $(sha256sum <"$file")" ]; then
		return 0
	fi
	clang-tidy -p build --quiet "$file" 2>"$stamp.log" || return 1
	printf '%s %s\n' "$headers" "$(sha256sum <"$file")" >"$stamp"
}
export -f tidy
printf '%s\0' "${c_sources[@]}" | xargs -0 -P "$(nproc)" -I{} bash -c 'tidy "$1" "$2"' - {} "$headers" ||
	complain "clang-tidy"
[ "$failed" = 0 ] && echo "lint: clean"
exit "$failed"
