#!/usr/bin/env bash
# Makes this folder's Python environment, then gets every model that this machine needs.
# Works with the bash 3.2 of macOS: no associative arrays, no mapfile, no `wait -n`.
set -euo pipefail

usage() {
  cat <<'USAGE'
usage: scripts/bootstrap.sh [--demo] [--models-only] [--no-models] [--server]
                            [options of `modelset download`]

Makes .venv, installs what the downloader needs, then profiles the hardware, downloads
the models and checks them. The runtime libraries of requirements.txt are installed in
the background meanwhile. Run it again at any time: what is there is left alone.

  --demo          an embedded hub with tiny models instead of the internet, under
                  out/demo/; implies --models-only. The very first run still needs a
                  package index for the core libraries.
  --models-only   leave out the runtime libraries (alias --no-runtime)
  --no-models     only the environment and the runtime libraries
  --server        also what `modelset serve` needs; once is enough
  -h, --help      this text

Everything else is handed to `modelset bootstrap`, for example:
  --whisper-models base large-v3   --hf-token TOKEN   --max-workers 5   --timeout 600
  --only critical   --dry-run   --json   --quiet   --no-color
The whole list: .venv/bin/modelset bootstrap --help

environment:
  PYTHON          the interpreter to make .venv with (3.11 or later)
  MODELSET_OUT    where logs go instead of out/

exit codes: the models' own (0 ready, 4 critical missing, 5 network, 6 credentials,
7 disk, 8 integrity, 12 deadline, ...); before the models start: 2 no usable Python or
environment, 5 package index not reached, 7 disk full; 1 when the models are fine and
the runtime libraries could not be installed; 129, 130, 143 stopped by a signal.
USAGE
}

folder_of_this_script() {
  local self=$0 target
  while [ -L "$self" ]; do
    target=$(readlink "$self")
    case $target in
      /*) self=$target ;;
      *) self=$(dirname "$self")/$target ;;
    esac
  done
  CDPATH='' cd "$(dirname "$self")" && pwd
}

ROOT=$(dirname "$(folder_of_this_script)")
VENV=$ROOT/.venv
VENV_PYTHON=$VENV/bin/python
OUT=${MODELSET_OUT:-$ROOT/out}
PIP_OPTIONS=(--disable-pip-version-check --no-input -q)

with_models=yes
with_runtime=yes
with_server=no
demo=no
quiet=no
colour=yes
args=()

models_pid=
runtime_pid=
core_pid=
heartbeat_pid=
started= # just begun, not yet known by one of the names above

# ---- words: all on stderr, so that `--json` leaves stdout clean -------------------------

say() { [ "$quiet" = yes ] || printf '%s\n' "$*" >&2; }
warn() { printf '%swarning:%s %s\n' "$YELLOW" "$PLAIN" "$*" >&2; }
hint() { printf '%shint:%s %s\n' "$CYAN" "$PLAIN" "$*" >&2; }

fail() { # exit code, error, hint
  printf '%serror:%s %s\n' "$RED" "$PLAIN" "$2" >&2
  [ -z "${3:-}" ] || hint "$3"
  exit "$1"
}

choose_colours() {
  RED='' YELLOW='' CYAN='' PLAIN=''
  if [ "$colour" = yes ] && [ -t 2 ] && [ -z "${CI:-}" ] && [ -z "${NO_COLOR:-}" ] &&
    [ "${TERM:-dumb}" != dumb ]; then
    RED=$'\033[1;31m' YELLOW=$'\033[33m' CYAN=$'\033[36m' PLAIN=$'\033[0m'
  fi
}

# ---- arguments ---------------------------------------------------------------------------

read_arguments() {
  while [ $# -gt 0 ]; do
    case $1 in
      -h | --help)
        usage
        exit 0
        ;;
      --models-only | --no-runtime) with_runtime=no ;;
      --server) with_server=yes ;;
      --no-models) with_models=no ;;
      --demo)
        demo=yes
        with_runtime=no
        args+=("$1")
        ;;
      --)
        args+=("$@")
        break
        ;;
      *)
        case $1 in
          -q | --quiet) quiet=yes ;;
          --no-color) colour=no ;;
        esac
        args+=("$1")
        ;;
    esac
    shift
  done
}

# ---- processes ---------------------------------------------------------------------------

# Every child gets a process group of its own (`set -m`): a plain `&` child of a script
# ignores Ctrl-C, and only a group can be ended together with what it started itself.
start() {
  set -m
  "$@" &
  started=$!
  set +m
}

start_logged() { # log, command...
  local log=$1
  shift
  set -m
  "$@" </dev/null >"$log" 2>&1 &
  started=$!
  set +m
}

alive() { [ -n "$1" ] && kill -0 -- "-$1" 2>/dev/null; }

send() { # signal, process group or nothing
  [ -z "$2" ] || kill -s "$1" -- "-$2" 2>/dev/null || true
}

# shellcheck disable=SC2317 # reached through trap
kill_all() {
  local pid
  for pid in "$models_pid" "$core_pid" "$runtime_pid" "$heartbeat_pid" "$started"; do
    send KILL "$pid"
  done
}

# shellcheck disable=SC2317 # reached through trap
stop() { # signal, exit code
  # Asked a second time means: now.
  trap 'kill_all; exit '"$2" INT TERM HUP
  send "$1" "$models_pid"
  # pip removes its temporary folders on SIGINT only.
  send INT "$core_pid"
  send INT "$runtime_pid"
  send KILL "$heartbeat_pid"
  local left=32 # x 50 ms: everything is over within two seconds
  while [ "$left" -gt 0 ] &&
    { alive "$models_pid" || alive "$core_pid" || alive "$runtime_pid"; }; do
    sleep 0.05
    left=$((left - 1))
  done
  kill_all
  say "stopped; run the same command again to go on where it stopped"
  exit "$2"
}

# ---- Python ------------------------------------------------------------------------------

is_new_enough() { # python
  "$1" -I -S -c 'import sys; sys.exit(sys.version_info < (3, 11))' </dev/null >/dev/null 2>&1
}

version_of() { # python
  "$1" -E -S -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' </dev/null 2>/dev/null
}

can_make_environments() { # python
  "$1" -I -c 'import ensurepip, venv' </dev/null >/dev/null 2>&1
}

found='' # what was looked at, for the error
base_python=''

# A name on PATH proves nothing (version managers leave shims that do not run), so each
# candidate is run; one that cannot make an environment gives way to the next.
find_python() {
  local candidate version without_venv=''
  for candidate in ${PYTHON:+"$PYTHON"} python3.13 python3.12 python3.11 python3 python; do
    if ! command -v "$candidate" >/dev/null 2>&1; then
      if [ "$candidate" = "${PYTHON:-}" ]; then
        fail 2 "PYTHON names '$PYTHON', which is not there" "correct PYTHON or unset it"
      fi
      continue
    fi
    version=$(version_of "$candidate") || version=''
    if [ -z "$version" ]; then
      found="$found${found:+, }$candidate (does not run)"
    elif ! is_new_enough "$candidate"; then
      found="$found${found:+, }$candidate is $version"
    elif ! can_make_environments "$candidate"; then
      found="$found${found:+, }$candidate is $version without venv"
      without_venv=${without_venv:-$version}
    else
      base_python=$candidate
      return 0
    fi
    if [ "$candidate" = "${PYTHON:-}" ]; then break; fi
  done
  if [ -n "$without_venv" ]; then
    fail 2 "this Python cannot make an environment: its venv or ensurepip module is missing ($found)" \
      "on Debian and Ubuntu: apt install python3-venv (or python${without_venv%.*}-venv), then run this again"
  fi
  fail 2 "Python 3.11 or later is needed; found: ${found:-none}" "$(how_to_get_python)"
}

how_to_get_python() {
  case $(uname -s) in
    Darwin) printf '%s' 'install one with: brew install python@3.13' ;;
    *) printf '%s' 'install one (Debian and Ubuntu: apt install python3 python3-venv)' ;;
  esac
  printf '%s' ', or set PYTHON to the one to use'
}

# ---- failures of pip and venv --------------------------------------------------------------

cause='' cause_hint='' cause_code=2

free_kb() { # folder
  df -Pk "$1" 2>/dev/null | awk 'NR == 2 { print $4 }'
}

# A full disk may have had no room for the message either, so the disks are asked too.
disk_is_full() { # log
  local folder free
  if grep -Eq 'Errno (28|122)|No space left on device|Disk quota exceeded' "$1" 2>/dev/null; then
    return 0
  fi
  for folder in "$ROOT" "$OUT" "${TMPDIR:-/tmp}"; do
    free=$(free_kb "$folder") || free=''
    if [ -n "$free" ] && [ "$free" -lt 4096 ]; then return 0; fi
  done
  return 1
}

explain() { # log
  local free
  if disk_is_full "$1"; then
    free=$(free_kb "$ROOT") || free=''
    cause="the disk is full${free:+ ($((free / 1024)) MB free here)}"
    cause_hint="free some space, or point TMPDIR to a disk with room, then run this again; log: $1"
    cause_code=7
  elif grep -Eiq "$NETWORK_SIGNS" "$1" 2>/dev/null; then
    cause="the package index cannot be reached"
    cause_hint="check the network, the proxy (HTTPS_PROXY) and pip's own configuration, then run this again; log: $1"
    cause_code=5
  else
    cause="pip failed: $(last_error "$1")"
    cause_hint="the whole log: $1"
    cause_code=2
  fi
}

NETWORK_SIGNS='NewConnectionError|NameResolutionError|name resolution|getaddrinfo|ConnectTimeout|ReadTimeout|timed out|Network is unreachable|No route to host|Connection refused|Connection reset|connection broken|Connection aborted|RemoteDisconnected|ProxyError|SSLError|Max retries exceeded|Could not fetch URL|HTTP error (429|5[0-9][0-9])'

last_error() { # log
  local line
  line=$(grep -E '^ *(ERROR|error|Error):' "$1" 2>/dev/null | tail -n 1) || line=''
  [ -n "$line" ] || line=$(grep -v '^ *$' "$1" 2>/dev/null | tail -n 1) || line='no output'
  printf '%s' "$line"
}

# ---- environment ---------------------------------------------------------------------------

make_out_folder() {
  if mkdir -p "$OUT" 2>/dev/null && [ -w "$OUT" ]; then return 0; fi
  local code=2
  if disk_is_full /dev/null; then code=7; fi
  fail "$code" "cannot write to $OUT" "check its rights and the free space"
}

make_environment() {
  if is_new_enough "$VENV_PYTHON"; then return 0; fi
  if [ -e "$VENV" ] && [ ! -f "$VENV/pyvenv.cfg" ] && [ -n "$(ls -A "$VENV" 2>/dev/null)" ]; then
    # Not something that venv made: emptying it could destroy what is someone's own.
    fail 2 "$VENV is there, but is no Python environment" "move it away, then run this again"
  fi
  find_python
  if [ -e "$VENV" ]; then
    say "the Python of .venv does not run or is older than 3.11: making .venv again"
  fi
  say "making .venv with $base_python ($(version_of "$base_python"))"
  local log=$OUT/venv.log code=0
  start_logged "$log" "$base_python" -I -m venv --clear "$VENV"
  core_pid=$started started=
  wait "$core_pid" || code=$?
  core_pid=
  if [ $code -ne 0 ]; then
    explain "$log"
    [ $cause_code -ne 2 ] || cause=$(last_error "$log")
    fail $cause_code "the environment could not be made: $cause" "$cause_hint"
  fi
}

# Prints a stamp for the core and one for the runtime libraries: they change with what is
# asked for and with the Python version, not with the rest of pyproject.toml. The list of
# the core goes to a file, because the project itself is never installed: a moved folder
# then still works. What the service needs stays in that list once it was asked for.
read_wanted() {
  "$VENV_PYTHON" -I -S - "$ROOT" "$VENV" "$with_server" <<'PROGRAM'
import hashlib, os, sys, tomllib

root, venv, with_server = sys.argv[1:]
with open(os.path.join(root, "pyproject.toml"), "rb") as file:
    project = tomllib.load(file)["project"]
with open(os.path.join(root, "requirements.txt"), encoding="utf-8") as file:
    lines = [line.split(" #")[0].strip() for line in file]
runtime = [line for line in lines if line and not line.startswith("#")]


def stamp(names):
    text = "\n".join(["%d.%d" % sys.version_info[:2], *names])
    return hashlib.sha256(text.encode()).hexdigest()


listing = os.path.join(venv, "modelset-core.txt")
try:
    with open(listing, encoding="utf-8") as file:
        current = file.read()
except OSError:
    current = ""
core = project["dependencies"]
if with_server == "yes" or "\nfastapi" in current:
    core += project["optional-dependencies"]["server"]
text = "\n".join(core) + "\n"
if current != text:
    with open(listing, "w", encoding="utf-8") as file:
        file.write(text)
print(stamp(core), stamp(runtime))
PROGRAM
}

is_stamped() { # name, wanted stamp
  [ "$(cat "$VENV/modelset-$1.stamp" 2>/dev/null || true)" = "$2" ]
}

write_stamp() { printf '%s\n' "$2" >"$VENV/modelset-$1.stamp"; }

ensure_pip() {
  if "$VENV_PYTHON" -I -c 'import pip' </dev/null >/dev/null 2>&1; then return 0; fi
  # An interrupted first run leaves an environment without pip.
  "$VENV_PYTHON" -I -m ensurepip </dev/null >"$OUT/venv.log" 2>&1 ||
    fail 2 ".venv has no pip: $(last_error "$OUT/venv.log")" "remove $VENV, then run this again"
}

install_core() { # stamp
  if is_stamped core "$1"; then return 0; fi
  ensure_pip
  local log=$OUT/core-install.log code=0
  say "installing the core libraries (log: $log)"
  start_logged "$log" "$VENV_PYTHON" -P -m pip install "${PIP_OPTIONS[@]}" -r "$VENV/modelset-core.txt"
  core_pid=$started started=
  wait "$core_pid" || code=$?
  core_pid=
  if [ $code -ne 0 ]; then
    explain "$log"
    fail $cause_code "the core libraries could not be installed: $cause" "$cause_hint"
  fi
  write_stamp core "$1"
}

write_launcher() {
  local launcher=$VENV/bin/modelset text
  text=$(
    cat <<'LAUNCHER'
#!/bin/sh
# Finds the project from where this file lies, so that a moved folder still works.
self=$0
while [ -L "$self" ]; do
  target=$(readlink "$self")
  case $target in
    /*) self=$target ;;
    *) self=$(dirname "$self")/$target ;;
  esac
done
bin=$(CDPATH='' cd "$(dirname "$self")" && pwd) || exit 2
PYTHONPATH=$(dirname "$(dirname "$bin")")/shared
export PYTHONPATH
exec "$bin/python" -P -m modelset "$@"
LAUNCHER
  )
  if [ -x "$launcher" ] && [ "$(cat "$launcher")" = "$text" ]; then return 0; fi
  printf '%s\n' "$text" >"$launcher"
  chmod +x "$launcher"
}

# ---- the two jobs --------------------------------------------------------------------------

start_runtime_install() { # stamp
  if [ "$with_runtime" = no ] || is_stamped runtime "$1"; then return 0; fi
  ensure_pip
  say "installing the runtime libraries in the background (log: $OUT/runtime-install.log)"
  start_logged "$OUT/runtime-install.log" \
    "$VENV_PYTHON" -P -m pip install "${PIP_OPTIONS[@]}" -r "$ROOT/requirements.txt"
  runtime_pid=$started started=
}

run_models() {
  # A group in the background that reads the terminal is stopped by it; nothing asks.
  if [ -t 0 ]; then exec </dev/null; fi
  local code=0
  # -P: a folder named like one of our libraries, where the user stands, must not win.
  PYTHONPATH=$ROOT/shared start "$VENV_PYTHON" -P -m modelset bootstrap ${args[@]+"${args[@]}"}
  models_pid=$started started=
  wait "$models_pid" || code=$?
  models_pid=
  return $code
}

# shellcheck disable=SC2317 # reached through start
beat() {
  local seconds=0
  while sleep 30; do
    seconds=$((seconds + 30))
    say "still installing the runtime libraries (${seconds} s)"
  done
}

finish_runtime_install() { # stamp
  if [ -z "$runtime_pid" ]; then return 0; fi
  local code=0 log=$OUT/runtime-install.log
  if alive "$runtime_pid"; then
    say "waiting for the runtime libraries"
    start beat
    heartbeat_pid=$started started=
  fi
  wait "$runtime_pid" || code=$?
  runtime_pid=
  send KILL "$heartbeat_pid"
  { wait "$heartbeat_pid" || true; } 2>/dev/null
  heartbeat_pid=
  if [ $code -eq 0 ]; then
    write_stamp runtime "$1"
    say "runtime libraries: installed"
    return 0
  fi
  explain "$log"
  warn "the runtime libraries could not be installed: $cause"
  tail -n 5 "$log" | sed 's/^/  | /' >&2
  hint "$cause_hint"
  return 1
}

here() { # a path, as it can be typed from where the user stands
  if [ "$PWD" = "$ROOT" ]; then printf './%s' "$1"; else printf '%q' "$ROOT/$1"; fi
}

show_next_steps() {
  if [ "$demo" = yes ]; then
    say "next: $(here check-models.sh)   what the demo has put on this machine"
    say "      $(here scripts/bootstrap.sh)   the same with the real models"
    return 0
  fi
  say "next: $(here check-models.sh)   what is on this machine (never uses the network)"
  say "      $(here .venv/bin/modelset) env   what a shell exports so that every library finds the models"
}

main() {
  read_arguments "$@"
  choose_colours
  trap 'stop INT 130' INT
  trap 'stop TERM 143' TERM
  trap 'stop TERM 129' HUP
  # They would make another Python's packages look installed in ours.
  unset PYTHONHOME PYTHONPATH
  # `--user` in someone's pip configuration is an error inside an environment.
  export PIP_USER=0

  make_out_folder
  make_environment
  local wanted core_stamp runtime_stamp models_code=0 runtime_code=0
  wanted=$(read_wanted) || fail 2 "pyproject.toml or requirements.txt cannot be read" "get a whole copy of this project"
  core_stamp=${wanted% *}
  runtime_stamp=${wanted#* }
  install_core "$core_stamp"
  write_launcher
  start_runtime_install "$runtime_stamp"
  if [ "$with_models" = yes ]; then run_models || models_code=$?; fi
  finish_runtime_install "$runtime_stamp" || runtime_code=$?
  if [ "$with_models" = yes ] && { [ $models_code -eq 0 ] || [ $models_code -eq 3 ]; }; then
    show_next_steps
  fi
  if [ $models_code -ne 0 ]; then exit $models_code; fi
  exit $runtime_code
}

main "$@"
