#!/usr/bin/env bash
# Runs a command under a virtual screen of fixed size, where the system has X.
set -euo pipefail

if [ "$(uname)" != Linux ]; then
  exec "$@"
elif command -v xvfb-run >/dev/null; then
  exec xvfb-run -a -s "-screen 0 1920x1200x24 -dpi 96" "$@"
elif [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ]; then
  exec "$@"
fi
echo "No screen, and no xvfb-run to make a virtual one: install the packages xvfb and xauth." >&2
exit 1
