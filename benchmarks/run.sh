#!/usr/bin/env bash
# Measures downloads beside other tools; every option is that of benchmarks/run.py.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-$root/.venv/bin/python}
if ! command -v "$python" >/dev/null; then
  printf 'no Python at %s: run scripts/bootstrap.sh, or set PYTHON\n' "$python" >&2
  exit 2
fi
exec "$python" "$root/benchmarks/run.py" "$@"
