#!/usr/bin/env bash
# Runs every test in two processes, or what pytest's arguments say in one.
#
# A file of tests stays in one process. Each process has a virtual screen of its own (tests/screen.py). After some two
# hundred of napari's windows in one process Mesa's software OpenGL crashes while it draws (seen with Mesa 22.3:
# glDrawArrays reads through a null pointer); far fewer are left, since most docks are tested on a light viewer.
set -euo pipefail
cd "$(dirname "$0")/.."
export OMP_NUM_THREADS=1

if [ $# -eq 0 ]; then
  # A process that crashes ends the run: another in its place would wait for tests that nobody hands out.
  set -- -n 2 --dist loadfile --max-worker-restart 0
fi
exec .venv/bin/python -m pytest "$@"
