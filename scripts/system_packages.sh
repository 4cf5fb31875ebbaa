#!/usr/bin/env bash
# Installs the Debian packages that Qt and OpenGL need, with or without a screen. If this user may not,
# names them and goes on: another system may have the same libraries by other names.
set -euo pipefail

packages=(
  xvfb xauth libegl1 libfontconfig1 libdbus-1-3 libglib2.0-0 libxkbcommon-x11-0
  libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 libxcb-shape0
)

command -v dpkg-query >/dev/null && command -v apt-get >/dev/null || exit 0

installed() { # newer releases add t64 to the names of some libraries
  { dpkg-query -W -f '${Status}\n' "$1" "$1t64" 2>/dev/null || true; } | grep -q '^install ok installed'
}

missing=()
for package in "${packages[@]}"; do
  installed "$package" || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! sudo -n true 2>/dev/null; then
    printf 'These Debian packages are missing and need an administrator:\n  sudo apt-get install --no-install-recommends %s\n' \
      "${missing[*]}" >&2
    exit 0
  fi
  as_root=(sudo -n)
fi

echo "Installing Debian packages: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
