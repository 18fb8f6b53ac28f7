#!/usr/bin/env bash
# Every check of this project, in one command and in .venv.
set -euo pipefail

usage() {
  cat <<'USAGE'
usage: scripts/test.sh [--quick] [options of pytest]

ruff, mypy, import-linter, shellcheck, then pytest. Makes and updates .venv first; does
not need the package index when the environment is complete.

  --quick      do not install the runtime libraries (torch, spaCy, ...); the tests that
               load them skip themselves when they are missing
  -h, --help   this text (pytest's: scripts/test.sh -- --help)

exit codes: 0 all passed, 1 something failed, otherwise that of scripts/bootstrap.sh:
2 no usable Python, 5 package index not reached, 7 disk full.
USAGE
}

quick=no
while [ $# -gt 0 ]; do
  case $1 in
    --quick) quick=yes ;;
    -h | --help)
      usage
      exit 0
      ;;
    --)
      shift
      break
      ;;
    *) break ;;
  esac
  shift
done

cd "$(dirname "$0")/.."
root=$PWD
python=$root/.venv/bin/python
out=${MODELSET_OUT:-$root/out}
failed=''

trap 'exit 130' INT
trap 'exit 143' TERM
unset PYTHONPATH PYTHONHOME
export PIP_USER=0

headline() { printf '\n== %s\n' "$*"; }

step() { # name, command...
  local name=$1
  shift
  headline "$name"
  if ! "$@"; then
    failed="$failed${failed:+, }$name"
    printf 'failed: %s\n' "$name"
  fi
}

# ---- environment -------------------------------------------------------------------------

# pyannote.audio is left out: on Linux its torchaudio is built for CUDA and does not load
# beside a CPU torch, so no test could use it.
read_wanted() { # runtime: yes or no
  "$python" -I -S - "$1" <<'PROGRAM'
import hashlib, re, sys, tomllib

with open("pyproject.toml", "rb") as file:
    project = tomllib.load(file)["project"]
extras = project["optional-dependencies"]
wanted = [*project["dependencies"], *extras["dev"], *extras["server"]]
if sys.argv[1] == "yes":
    wanted += extras["families"]
    with open("requirements.txt", encoding="utf-8") as file:
        lines = [line.split(" #")[0].strip() for line in file]
    wanted += [line for line in lines if line and not re.match(r"#|pyannote\.audio", line)]
with open(".venv/modelset-test.txt", "w", encoding="utf-8") as file:
    file.write("\n".join(wanted) + "\n")
text = "\n".join(["%d.%d" % sys.version_info[:2], *wanted])
print(hashlib.sha256(text.encode()).hexdigest())
PROGRAM
}

can_run_tests() {
  "$python" -I -c 'import importlinter, mypy, pycurl, pytest, rich, ruff' >/dev/null 2>&1
}

install_wanted() { # stamp name, runtime: yes or no
  local stamp=.venv/modelset-$1.stamp wanted
  wanted=$(read_wanted "$2") || return 2
  if [ "$(cat "$stamp" 2>/dev/null || true)" = "$wanted" ]; then return 0; fi
  mkdir -p "$out"
  printf 'installing what the tests need (log: %s)\n' "$out/test-install.log"
  local install=("$python" -P -m pip install --disable-pip-version-check --no-input -q)
  # openai-whisper asks for Triton, half a gigabyte that only an NVIDIA card has a use for.
  if {
    "${install[@]}" -r .venv/modelset-test.txt &&
      { [ "$2" = no ] || "${install[@]}" --no-deps openai-whisper; }
  } >"$out/test-install.log" 2>&1; then
    printf '%s\n' "$wanted" >"$stamp"
    return 0
  fi
  tail -n 5 "$out/test-install.log" | sed 's/^/  | /'
  return 5
}

prepare() {
  local code=0
  scripts/bootstrap.sh --no-models --models-only || code=$?
  if [ "$code" -eq 0 ]; then
    if [ "$quick" = yes ]; then
      install_wanted test-quick no || code=$?
    else
      install_wanted test yes || code=$?
    fi
  fi
  if [ "$code" -eq 0 ]; then return 0; fi
  if ! can_run_tests; then
    printf 'error: the environment for the tests could not be made\n' >&2
    exit "$code"
  fi
  printf 'warning: the environment could not be updated; going on with what is there\n' >&2
  # There, a library that is missing would hide the tests that need it.
  if [ -n "${CI:-}" ]; then failed=environment; fi
}

# ---- steps ---------------------------------------------------------------------------------

# shellcheck disable=SC2317 # reached through step
python_tool() { PYTHONPATH=$root/shared "$python" -P -m "$@"; }

# shellcheck disable=SC2317 # reached through step
import_linter() {
  PYTHONPATH=$root/shared "$python" -P -c \
    'import sys; from importlinter.cli import lint_imports_command as run; sys.argv[0] = "lint-imports"; run()'
}

# shellcheck disable=SC2317 # reached through step
shell_scripts() {
  shellcheck scripts/*.sh ./*.sh .ci/run
}

prepare
step 'ruff check' python_tool ruff check .
step 'ruff format' python_tool ruff format --check .
step 'mypy' python_tool mypy
step 'import-linter' import_linter
if command -v shellcheck >/dev/null 2>&1; then
  step 'shellcheck' shell_scripts
else
  headline 'shellcheck'
  printf 'skipped: not on this machine\n'
fi

# pytest is last and nothing is printed after it: its closing line is what people look for.
headline 'pytest'
if [ -n "$failed" ]; then printf 'failed before: %s\n' "$failed"; fi
code=0
# By files: what the tests of one file share is made once. `-n 0` runs them one after the other.
"$python" -P -m pytest -n 2 --dist loadfile "$@" || code=$?
if [ "$code" -eq 0 ] && [ -n "$failed" ]; then code=1; fi
exit "$code"
