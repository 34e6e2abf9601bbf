#!/usr/bin/env bash
# The launcher: finds the Step's binary for this system, then executes it.
#
#   a release     beside this file; else kept by an earlier run; else downloaded
#   the sources   kept by an earlier run; else built with cargo
#
# docs/launcher.md says what it trusts, and why. Prints nothing when nothing is wrong. Works in the
# bash 3.2 of macOS.
#
#   APPLE_SERVICES_CONNECTION_DOWNLOAD_URL   where <version>/<binary> lies, for mirrors
# shellcheck disable=SC2317 # traps and background jobs reach these functions
set -eu
# So that a binary that cannot be started is an error of ours, not of the shell.
shopt -s execfail
unset CDPATH

name=apple-services-connection
home=https://raw.githubusercontent.com/bitrise-steplib/steps-apple-services-connection
# Written by release/commit, into the release alone: the version, and <system>:<SHA-256> of each binary.
version=
hashes=

case ${BASH_SOURCE[0]} in
  */*) here=${BASH_SOURCE[0]%/*} ;;
  *) here=. ;;
esac

warn() { printf '\033[33;1m%s\033[0m\n' "$*"; }

# One red block: the Bitrise CLI shows the last one as the Step's error message.
fail() {
  printf '\033[31;1m%s\033[0m\n' "$*"
  # The CLI may stop reading as soon as this ends.
  sleep 0.2
  exit 1
}

execute() {
  # Under -e, bash would end here even if told not to.
  set +e
  # shellcheck disable=SC2093 # goes on when it fails, by execfail
  exec "$1"
  fail "The Step's binary $1 does not start on this system ($system):" \
    "the line above says why."
}

# --- Beside this file -------------------------------------------------------------

system=$(uname -sm)
case $system in
  'Darwin arm64') system=darwin-arm64 ;;
  'Darwin x86_64') system=darwin-amd64 ;;
  'Linux x86_64') system=linux-amd64 ;;
  'Linux aarch64') system=linux-arm64 ;;
  *) system=$(printf '%s' "$system" | tr '[:upper:] ' '[:lower:]-') ;;
esac

if [ -f "$here/$name-$system" ] && [ -x "$here/$name-$system" ]; then
  execute "$here/$name-$system"
fi

# --- What is asked for ------------------------------------------------------------

# Sets `sum` to that of standard input, at the cost of one process. openssl comes first for its
# speed.
sha256() {
  local tool
  for tool in 'openssl dgst -sha256 -r' sha256sum 'shasum -a 256'; do
    command -v "${tool%% *}" >/dev/null 2>&1 || continue
    sum=$($tool) || continue
    sum=${sum%% *}
    if [ "${#sum}" = 64 ]; then return; fi
  done
  fail "None of openssl, sha256sum and shasum works, and without them no binary can be checked:" \
    "install one of them."
}

# Adds the files below a folder to `sources`, in the order of their names.
add_sources() {
  local source
  for source in "$1"/*; do
    if [ -d "$source" ]; then add_sources "$source"; else sources+=("$source"); fi
  done
}

# All that a build is made of. Its sum names the sources by content: the CLI copies the Step for
# every run, so paths and times say nothing. tail puts the files' names between them, so that a line
# that moves from one to the next makes another sum.
print_sources() {
  cd "$here"
  LC_ALL=C
  sources=(Cargo.toml Cargo.lock step.yml step.sh)
  add_sources src
  tail -n +1 "${sources[@]}"
}

# The SHA-256 that the binary must have, where it is known; else that of the sources.
hash=
key=
if [ -n "$version" ]; then
  for entry in $hashes; do
    case $entry in "$system":*) hash=${entry#*:} ;; esac
  done
  [ -n "$hash" ] || fail "Version $version of the Step was not released for $system: run it on macOS or Linux," \
    "on arm64 or x86-64, or build it by referencing the Step's main branch by its git URL."
elif [ -f "$here/Cargo.toml" ]; then
  here=$(cd "$here" && pwd -P)
  sha256 < <(print_sources)
  key=$sum
else
  fail "There is no binary of this Step for $system beside step.sh that can be run (is it executable?)," \
    "and no source code to build one from: reference the Step by its git URL, not by a path."
fi

# --- Kept by an earlier run -------------------------------------------------------

# A home may be read-only, or none at all. In a folder that all can write to, the name is this
# user's own.
temporary=${TMPDIR:-/tmp}
caches=("${temporary%/}/$name-$UID")
case ${XDG_CACHE_HOME:-} in
  /*) caches=("$XDG_CACHE_HOME/$name" "${caches[@]}") ;;
  *) if [ -n "${HOME:-}" ]; then caches=("$HOME/.cache/$name" "${caches[@]}"); fi ;;
esac

# Whether none but this user and root can change these, or put others in their place. They lie in
# $cache, which is absolute and without links. For the folders above it, it is enough that all may
# add to them, but not remove what is somebody else's.
is_ours() {
  local path open
  for path in "$cache" "$@"; do
    if [ ! -O "$path" ] || [ -k "$path" ]; then return 1; fi
  done
  set -- "$cache" "$@"
  path=$cache
  while [ -n "$path" ]; do
    path=${path%/*}
    set -- "$@" "${path:-/}"
  done
  open=$(find "$@" -prune \( -type l -o \( ! -user 0 ! -user "$UID" \) -o \
    \( \( -perm -020 -o -perm -002 \) ! -perm -1000 \) \) -print 2>/dev/null && printf none) || return 1
  [ "$open" = none ]
}

# Sets $cache to where the folder $1 really is, when that can be believed.
enter() {
  if [ ! -d "$1" ] || [ -L "$1" ] || [ ! -O "$1" ]; then return 1; fi
  cache=$(cd -P "$1" 2>/dev/null && pwd -P) && is_ours
}

# $1: the SHA-256 of the binary.
execute_kept() {
  local kept=$cache/$1/$name
  if [ ! -f "$kept" ] || ! is_ours "$cache/$1" "$kept"; then return; fi
  sha256 <"$kept"
  if [ "$sum" = "$1" ]; then execute "$kept"; fi
  warn "The binary $kept is not the one that was stored there; it is not run, and replaced."
}

for candidate in "${caches[@]}"; do
  enter "$candidate" || continue
  if [ -n "$hash" ]; then
    execute_kept "$hash"
  elif [ -f "$cache/$key.built" ] && is_ours "$cache/$key.built"; then
    built=
    read -r built <"$cache/$key.built" || true
    case $built in
      *[!0-9a-f]*) ;;
      *) if [ "${#built}" = 64 ]; then execute_kept "$built"; fi ;;
    esac
  fi
done

# --- A place for a new one --------------------------------------------------------

half=
# The process group of what runs in the background.
job=

clean_up() {
  if [ -n "$half" ]; then rm -rf "$half"; fi
}
trap clean_up EXIT

# In the background, since bash would only hear a signal when a command in the foreground ends.
# Runs "$@" in a process group of its own, and sets `status`.
run_job() {
  status=0
  set -m
  {
    # All in the one process group.
    set +m
    "$@"
    # bash itself would say there that a file grew too large.
  } </dev/null 2>/dev/null &
  job=$!
  set +m
  # bash would say that the job was ended.
  wait "$job" 2>/dev/null || status=$?
  end_job
}

# Ends all that still belongs to the job. None of it has anything to clean up.
end_job() {
  if [ -n "$job" ]; then
    kill -KILL "-$job" 2>/dev/null || true
    wait "$job" 2>/dev/null || true
  fi
  job=
}

# $1: the signal's number.
stop() {
  end_job
  exit $((128 + $1))
}
trap 'stop 1' HUP
trap 'stop 2' INT
trap 'stop 15' TERM

for candidate in "${caches[@]}"; do
  (umask 077 && mkdir -p "$candidate") 2>/dev/null || continue
  if ! enter "$candidate"; then
    if [ -O "$candidate" ] && [ ! -L "$candidate" ]; then
      warn "Others can write to $candidate or a folder above it, so nothing in it is believed: it is not used."
    fi
    continue
  fi
  # A folder, so that nothing can write a file into it again once it is gone.
  half=$(mktemp -d "$cache/half.XXXXXX" 2>/dev/null) && break
  half=
done
[ -n "$half" ] || fail \
  "The Step's binary has no place to be kept: none of the folders ${caches[*]} can be made and written to" \
  "by this user alone; set XDG_CACHE_HOME to a folder that can."

# Moves $half/$name to where the cache has it, whole, so that a run beside this one finds all of
# it or nothing. $1: its SHA-256.
keep() {
  if ! { chmod 700 "$half/$name" && (umask 077 && mkdir -p "$cache/$1") && mv -f "$half/$name" "$cache/$1/$name"; }; then
    fail "The Step's binary cannot be stored in $cache/$1: is the disk full?"
  fi
  # The folder could be there from a time when others could write to the cache.
  is_ours "$cache/$1" "$cache/$1/$name" || fail \
    "The folder $cache/$1 does not belong to this user alone, so no binary is run from it: delete $cache."
}

execute_new() {
  rm -rf "$half"
  half=
  execute "$cache/$1/$name"
}

# --- A release: the download ------------------------------------------------------

# Both far beyond what a binary takes.
most_kib=16384
most_seconds=180

# Downloads $url to $half/$name, or writes to $half/problem why not. Nothing of what curl and wget
# say is shown: it can hold parts of the URL, and so of a password in it. For the same reason, the
# URL is no argument, where every user of the machine could read it.
fetch() {
  local code='' status=0 quoted
  rm -f "$half/$name"
  if command -v curl >/dev/null 2>&1; then
    quoted=${url//\\/\\\\}
    quoted=${quoted//\"/\\\"}
    # Of speed, curl takes care itself: a mirror that drips is given up before the time is over.
    code=$(printf 'url = "%s"\n' "$quoted" | (
      ulimit -f "$most_kib"
      exec curl --config - --fail --silent --location --proto '=https,http' --proto-redir '=https,http' \
        --netrc-optional --connect-timeout 10 --speed-limit 1000 --speed-time 20 \
        --output "$half/$name" --write-out '%{http_code}' 2>/dev/null
    )) || status=$?
    case $status in
      0) return ;;
      3 | 5 | 6) problem='its host is not found' ;;
      7) problem='no connection to its host' ;;
      18 | 52 | 55 | 56 | 92) problem='the connection was cut' ;;
      22) problem="the server answered HTTP $code" ;;
      28) problem='it was too slow' ;;
      35 | 51 | 60 | 77) problem='the certificate of its host is not trusted' ;;
      *) problem='curl gave up' ;;
    esac
    problem="$problem (curl ended with status $status)"
  else
    # A file with the URL is read by GNU's wget alone, so it is only used where the URL holds a
    # password. Letters, since the wget of BusyBox knows no more.
    case $url in
      *@*) set -- -i - ;;
      *) set -- "$url" ;;
    esac
    # The status is that of the last command.
    printf '%s\n' "$url" | (
      ulimit -f "$most_kib"
      LC_ALL=C exec wget -nv -t 1 -T 20 -O "$half/$name" "$@" >"$half/said" 2>&1
    ) || status=$?
    if [ "$status" = 0 ]; then return; fi
    while read -r line; do
      case $line in
        *'ERROR '[45][0-9][0-9]*) code=${line##*ERROR } ;;
        *'HTTP/1.'?' '[45][0-9][0-9]*) code=${line##*HTTP/1.? } ;;
        *) continue ;;
      esac
      code=${code:0:3}
    done <"$half/said"
    case $status in
      4) problem='no connection to its host, or it was cut' ;;
      5) problem='the certificate of its host is not trusted' ;;
      *) problem=${code:+the server answered HTTP $code} ;;
    esac
    problem="${problem:-wget gave up} (wget ended with status $status)"
  fi
  # Ended for SIGXFSZ, or told that the file grows too large.
  if [ -f "$half/$name" ] && [ -n "$(find "$half/$name" -size "+$((most_kib * 2 - 1))")" ]; then
    problem="it is larger than $((most_kib / 1024)) MiB"
    code=400
  fi
  printf '%s\n' "$problem" >"$half/problem"
  case $code in
    408 | 429) ;;
    # The server knows what it says.
    4[0-9][0-9]) exit 1 ;;
  esac
  return 1
}

fetch_with_retries() {
  (
    sleep "$most_seconds"
    printf 'it was not done after %s seconds\n' "$most_seconds" >"$half/problem"
    kill -KILL 0
  ) &
  fetch && return
  for pause in 1 2; do
    sleep "$pause"
    fetch && return
  done
  return 1
}

download() {
  local mirror=${APPLE_SERVICES_CONNECTION_DOWNLOAD_URL:-$home} shown
  case $mirror in
    *[[:cntrl:]]*) mirror= ;;
    http://* | https://*) ;;
    *) mirror= ;;
  esac
  [ -n "$mirror" ] || fail "APPLE_SERVICES_CONNECTION_DOWNLOAD_URL is not a URL that begins with https:// or http://:" \
    "set it to where the mirror has the folder $version, or remove it."
  url=${mirror%/}/$version/$name-$system
  # The mirror is shown whole or not at all: what is no plain address can hold a password.
  shown="$version/$name-$system from $mirror"
  local rest=${mirror#http*://} authority port=0
  authority=${rest%%/*}
  case $authority in *:*) port=${authority#*:} ;; esac
  case ${authority%%:*}${rest#"$authority"} in *[!A-Za-z0-9./_-]*) port= ;; esac
  case $port in
    '' | *[!0-9]* | ??????*) shown="$version/$name-$system from the mirror in APPLE_SERVICES_CONNECTION_DOWNLOAD_URL" ;;
  esac

  if ! command -v curl >/dev/null 2>&1 && ! command -v wget >/dev/null 2>&1; then
    fail "There is no binary of this Step for $system beside step.sh, and neither curl nor wget is on the PATH" \
      "to download it: install one of them."
  fi
  run_job fetch_with_retries
  if [ "$status" != 0 ]; then
    problem=
    read -r problem <"$half/problem" || true
    fail "The download of $shown failed: $problem. No binary for $system lies beside step.sh, and none is in" \
      "the cache $cache: run the build again, or set APPLE_SERVICES_CONNECTION_DOWNLOAD_URL to a mirror."
  fi

  sha256 <"$half/$name"
  [ "$sum" = "$hash" ] || fail \
    "The download of $shown is not the binary that was released: its SHA-256 is $sum, that of the" \
    "release is $hash. It was not run: run the build again, or have the server or the mirror checked."
}

if [ -n "$hash" ]; then
  download
  keep "$hash"
  execute_new "$hash"
fi

# --- The sources: a build ---------------------------------------------------------

command -v cargo >/dev/null 2>&1 || fail \
  "This is the Step's source, and cargo is not on the PATH to build it for $system:" \
  "reference a released version, or install Rust (https://rustup.rs) and a C compiler in a step before this one."

# All that a build is told. Neither the Step's inputs and other Secrets, for every crate could read
# them, nor what would change the build: flags, wrappers, another target.
settings=(PATH HOME USER LOGNAME LANG
  CARGO_HOME RUSTUP_HOME RUSTUP_DIST_SERVER
  CARGO_NET_OFFLINE CARGO_NET_RETRY CARGO_NET_GIT_FETCH_WITH_CLI
  CARGO_HTTP_PROXY CARGO_HTTP_CAINFO CARGO_HTTP_TIMEOUT CARGO_HTTP_MULTIPLEXING
  HTTPS_PROXY https_proxy HTTP_PROXY http_proxy ALL_PROXY all_proxy NO_PROXY no_proxy
  SSL_CERT_FILE SSL_CERT_DIR
  CC AR DEVELOPER_DIR SDKROOT)

print_settings() {
  local setting
  for setting in "${settings[@]}"; do
    if [ -n "${!setting+set}" ]; then printf 'export %s=%q\n' "$setting" "${!setting}"; fi
  done
  printf 'export TMPDIR=%q\n' "$half/tmp"
  # rustc and build scripts run in the Step's folder, where rustup would look for a toolchain file
  # in every folder above.
  printf 'export RUSTUP_TOOLCHAIN=%q\n' "$toolchain"
  # The system's random source, without 22 ms of CPU jitter at the first use.
  printf 'export AWS_LC_SYS_NO_JITTER_ENTROPY=1\n'
}

# In the root folder: cargo and rustup take settings from every folder above the one that they are
# started in, and those of the Step's can be open to other users, as the temporary folder is.
# By a pipe, since every user of the machine could read arguments.
build() {
  cd /
  toolchain=${RUSTUP_TOOLCHAIN:-}
  if [ -z "$toolchain" ] && command -v rustup >/dev/null 2>&1; then
    toolchain=$(rustup show active-toolchain 2>/dev/null) || true
    toolchain=${toolchain%%[[:space:]]*}
  fi
  toolchain=${toolchain:-stable}
  # shellcheck disable=SC2016 # it is the other bash that expands it
  print_settings | env -i "$BASH" --noprofile --norc -c 'IFS= read -r -d "" settings || :
    eval "$settings"
    exec cargo build --release --locked --quiet --package "$1" --bin "$1" --manifest-path "$2/Cargo.toml" --target-dir "$3/target"
    ' bash "$name" "$here" "$half" >"$half/log" 2>&1
}

mkdir "$half/tmp"
for setting in CARGO_HOME RUSTUP_HOME; do
  case ${!setting:-/} in /*) ;; *) export "$setting=$PWD/${!setting}" ;; esac
done
run_job build
if [ "$status" != 0 ]; then
  cat "$half/log"
  fail "The Step cannot be built with cargo for $system: cargo's messages are above." \
    "Install Rust 1.88 or newer and a C compiler."
fi
mv "$half/target/release/$name" "$half/$name" || fail "The Step's binary cannot be stored in $cache: is the disk full?"
sha256 <"$half/$name"
built=$sum
(umask 077 && printf '%s\n' "$built" >"$half/built")
keep "$built"
mv -f "$half/built" "$cache/$key.built"
execute_new "$built"
