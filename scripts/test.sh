#!/usr/bin/env bash
# Runs every test under a virtual screen, or what pytest's arguments say.
#
# The tests of windows go in parts, each in new processes: after some two hundred viewers in one process Mesa's
# software OpenGL crashes while it draws (seen with Mesa 22.3: glDrawArrays reads through a null pointer).
set -uo pipefail
cd "$(dirname "$0")/.."
export OMP_NUM_THREADS=1

run() {
  scripts/headless.sh .venv/bin/python -m pytest "$@"
}

if [ $# -gt 0 ]; then
  run "$@"
  exit
fi

# Two processes with one thread each. One that crashes ends its part: another in its place would wait for tests that
# nobody hands out.
parallel=(-n 2 --dist loadgroup --max-worker-restart 0)
failed=0
run "${parallel[@]}" --ignore tests/widgets || failed=1
for part in "a-f" "g-o" "p-z"; do
  # shellcheck disable=SC2086 # a pattern of files
  run "${parallel[@]}" tests/widgets/test_[$part]*.py || failed=1
done
exit "$failed"
