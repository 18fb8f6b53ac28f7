#!/usr/bin/env bash
# Says which models are on this machine; never uses the network. Takes the options of
# `modelset check`.
set -euo pipefail

self=$0
while [ -L "$self" ]; do
  target=$(readlink "$self")
  case $target in
    /*) self=$target ;;
    *) self=$(dirname "$self")/$target ;;
  esac
done
root=$(CDPATH='' cd "$(dirname "$self")" && pwd)

python=$root/.venv/bin/python
if [ ! -x "$python" ]; then
  python=${PYTHON:-python3}
  if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
    printf 'error: no environment in %s, and %s is not Python 3.11 or later\n' "$root/.venv" "$python" >&2
    printf 'hint: run %q first\n' "$root/scripts/bootstrap.sh" >&2
    exit 2
  fi
  printf 'hint: no environment here yet, using %s; %q makes one\n' "$python" "$root/scripts/bootstrap.sh" >&2
fi

# exec: signals and the exit code are then the checker's own.
exec "$python" "$root/shared/model_checker.py" "$@"
