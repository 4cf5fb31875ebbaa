#!/usr/bin/env bash
# Runs every test in two processes, or what pytest's arguments say in one.
#
# A file of tests stays in one process. Each process has a virtual screen of its own (tests/screen.py).
set -euo pipefail
cd "$(dirname "$0")/.."
export OMP_NUM_THREADS=1

if [ $# -eq 0 ]; then
  # A process that crashes ends the run: another in its place would wait for tests that nobody hands out.
  set -- -n 2 --dist loadfile --max-worker-restart 0
fi
exec .venv/bin/python -m pytest "$@"
