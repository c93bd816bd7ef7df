#!/usr/bin/env bash
# Makes build-deb/docrow_VERSION_ARCH.deb: a release build under /usr, with the libraries that it needs as
# dependencies. `make deb` installs what is missing first. By hand with dpkg-deb, since there is nothing in it that
# debhelper would know better. DEBEMAIL='NAME <ADDRESS>' names who made it.
set -euo pipefail
cd "$(dirname "$0")/.."

out=build-deb
root=$out/root
if [ -f $out/build.ninja ]; then
	meson configure $out -Dprefix=/usr
else
	meson setup $out --prefix=/usr --buildtype=release -Dtests=false >/dev/null
fi
ninja -C $out --quiet
rm -rf $root $out/debian
DESTDIR=$PWD/$root meson install -C $out --quiet --no-rebuild

version=$($root/usr/bin/docrow --version | sed -n 's/^docrow //p')
arch=$(dpkg --print-architecture)
maintainer=${DEBEMAIL:-docrow developers <docrow@localhost.localdomain>}
doc=$root/usr/share/doc/docrow

# --- the program, its manual ---

strip --strip-unneeded -R .comment -R .note $root/usr/bin/docrow
mkdir -p $doc
for page in README.md docs/*.md; do
	gzip -9nc "$page" >"$doc/$(basename "$page").gz"
done
find $root/usr/share/man -type f -name '*.1' -exec gzip -9n {} +
find $root/usr/share/man -type f -name '*.5' -exec gzip -9n {} +
cat >$doc/copyright <<COPYRIGHT
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: docrow

Files: *
Copyright: $(date +%Y) the docrow developers
License: Apache-2.0
 On Debian systems the whole text of the Apache License, Version 2.0, is in
 /usr/share/common-licenses/Apache-2.0.
COPYRIGHT
gzip -9nc >$doc/changelog.gz <<CHANGES
docrow ($version) stable; urgency=medium

  * See CHANGELOG.md.

 -- $maintainer  $(date -R)
CHANGES

# --- what dpkg wants to know ---

mkdir -p $root/DEBIAN $out/debian
printf 'Source: docrow\n\nPackage: docrow\nArchitecture: any\n' >$out/debian/control
depends=$(cd $out && dpkg-shlibdeps -O --ignore-missing-info root/usr/bin/docrow 2>/dev/null | sed -n 's/^shlibs:Depends=//p')
[ -n "$depends" ] || { echo 'packaging/deb.sh: dpkg-shlibdeps found no libraries' >&2; exit 1; }
cat >$root/DEBIAN/control <<CONTROL
Package: docrow
Version: $version
Architecture: $arch
Maintainer: $maintainer
Installed-Size: $(du -sk --exclude=DEBIAN $root | cut -f1)
Depends: $depends
Section: database
Priority: optional
Description: move a MongoDB database into PostgreSQL
 docrow reads documents from a live MongoDB or from a dump, turns each into
 rows as a mapping says, loads them exactly once, builds keys, indexes and
 foreign keys, and accounts for every document on the way.
CONTROL
(cd $root && find usr -type f -exec md5sum {} +) | LC_ALL=C sort -k2 >$root/DEBIAN/md5sums
find $root -type d -exec chmod 755 {} +
find $root/usr/share $root/DEBIAN -type f -exec chmod 644 {} +

package=$out/docrow_${version}_$arch.deb
dpkg-deb --root-owner-group --build $root "$package" >/dev/null
rm -rf $root
echo "$package"
