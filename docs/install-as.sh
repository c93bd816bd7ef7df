#!/bin/sh
# Called by meson install: puts a file of the build folder into the prefix under another name.
set -eu
mkdir -p "$(dirname "$MESON_INSTALL_DESTDIR_PREFIX/$2")"
install -m 644 "$MESON_BUILD_ROOT/$1" "$MESON_INSTALL_DESTDIR_PREFIX/$2"
[ -n "${MESON_INSTALL_QUIET:-}" ] || echo "Installing $1 to $MESON_INSTALL_DESTDIR_PREFIX/$2"
