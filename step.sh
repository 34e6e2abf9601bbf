#!/usr/bin/env bash
# The launcher: finds the Step's binary, then executes it. In this order:
#
# 1. A binary beside this file, named for this system.
# 2. One in this user's cache, when it still has the SHA-256 that it was stored with.
# 3. A download of this version's binary, when its SHA-256 is the one in release/<version>.sha256.
#    That file is committed at each release, and holds for the very sources that were released;
#    without it, or beside other sources, nothing is downloaded.
# 4. A build with cargo.
#
# A download with another SHA-256 is never run, and ends the run. Prints nothing when nothing is
# wrong. Works in the bash 3.2 of macOS.
#
#   APPLE_SERVICES_CONNECTION_DOWNLOAD_URL   where <version>/<binary> lies, for mirrors
#
# `step.sh --source-key` prints what names the sources, for release/build.
set -eu
# So that a binary that cannot be started is an error of ours, not of the shell.
shopt -s execfail

name=apple-services-connection
home=https://github.com/bitrise-steplib/steps-apple-services-connection/releases/download
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

start() {
  # Under -e, bash would end here even if told not to.
  set +e
  # shellcheck disable=SC2093 # goes on when it fails, by execfail
  exec "$1"
  fail "The Step's binary $1 cannot be started on this system ($system)," \
    "the shell's message stands above: is its folder mounted without the right to execute?"
}

# Sets `sum` to that of standard input, at the cost of one process. openssl comes first for its
# speed.
sha256() {
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
  for source in "$1"/*; do
    if [ -d "$source" ]; then add_sources "$source"; else sources+=("$source"); fi
  done
}

# All that the binary is made of. Its sum names the sources by content: the CLI copies the Step for
# every run, so paths and times say nothing. tail puts the files' names between them, so that a line
# that moves from one to the next makes another sum.
print_sources() {
  cd "$here"
  LC_ALL=C
  sources=(Cargo.toml Cargo.lock step.yml)
  add_sources src
  tail -n +1 "${sources[@]}"
}

if [ "${1:-}" = --source-key ]; then
  sha256 < <(print_sources)
  printf '%s\n' "$sum"
  exit
fi

# --- 1. Beside this file ----------------------------------------------------------

system=$(uname -sm)
case $system in
  'Darwin arm64') system=darwin-arm64 ;;
  'Darwin x86_64') system=darwin-amd64 ;;
  'Linux x86_64') system=linux-amd64 ;;
  'Linux aarch64') system=linux-arm64 ;;
  *) system=$(printf '%s' "$system" | tr '[:upper:] ' '[:lower:]-') ;;
esac

if [ -x "$here/$name-$system" ]; then
  start "$here/$name-$system"
fi

# --- What was released, and what is kept ------------------------------------------

[ -f "$here/Cargo.toml" ] || fail \
  "There is no binary of this Step for $system beside step.sh that can be run (is it executable?)," \
  "and no sources to build one from: put both into the Step's folder, or reference the Step by its git URL."
version=
while IFS= read -r line; do
  case $line in
    'version = "'*)
      version=${line#*\"}
      version=${version%%\"*}
      break
      ;;
  esac
done <"$here/Cargo.toml"

sha256 < <(print_sources)
key=$sum
# The SHA-256 that is committed for this system's binary; empty, and why, when there is none.
released=
unreleased="version $version has not been released"
if [ -f "$here/release/$version.sha256" ]; then
  unreleased="version $version was not released for $system"
  while read -r hash file; do
    case $file in
      sources)
        if [ "$hash" != "$key" ]; then
          unreleased="these are not the sources that version $version was released from"
          break
        fi
        ;;
      "$name-$system") released=$hash ;;
    esac
  done <"$here/release/$version.sha256"
fi

# A home may be read-only, or none at all. In a folder that all can write to, the name is this
# user's own.
temporary=${TMPDIR:-/tmp}
caches=("${temporary%/}/$name-$UID")
if [ -n "${XDG_CACHE_HOME:-}" ]; then
  caches=("$XDG_CACHE_HOME/$name" "${caches[@]}")
elif [ -n "${HOME:-}" ]; then
  caches=("$HOME/.cache/$name" "${caches[@]}")
fi

# Another user could have been first to make it.
is_mine() { [ -d "$1" ] && [ ! -L "$1" ] && [ -O "$1" ]; }

# --- 2. In the cache --------------------------------------------------------------

# $1: a cache folder. $2: the SHA-256 of the binary.
start_cached() {
  cached=$1/$2/$name
  [ -f "$cached" ] || return 0
  sha256 <"$cached"
  if [ "$sum" = "$2" ]; then start "$cached"; fi
  warn "The binary $cached is not the one that was stored there; it is not run, and replaced."
  rm -f "$cached" || true
}

for cache in "${caches[@]}"; do
  is_mine "$cache" || continue
  if [ -n "$released" ]; then start_cached "$cache" "$released"; fi
  if [ -f "$cache/$key.built" ]; then
    read -r built <"$cache/$key.built" || built=
    if [ -n "$built" ]; then start_cached "$cache" "$built"; fi
  fi
done

# --- A place for a new one --------------------------------------------------------

half=
trap 'if [ -n "$half" ]; then rm -rf "$half"; fi' EXIT

for cache in "${caches[@]}"; do
  if (umask 077 && mkdir -p "$cache") 2>/dev/null && is_mine "$cache" && chmod 700 "$cache" 2>/dev/null; then
    # A folder, so that nothing can write a file into it again once it is gone.
    half=$(mktemp -d "$cache/half.XXXXXX" 2>/dev/null) && break
    half=
  fi
done
[ -n "$half" ] || fail \
  "The Step's binary has no place to be kept: none of the folders ${caches[*]} can be made and written to" \
  "by this user alone; set XDG_CACHE_HOME to a folder that can."

# Moves $half/$name to where the cache has it, whole, so that a run beside this one finds all of
# it or nothing. $1: its SHA-256.
keep() {
  if ! { chmod 755 "$half/$name" && mkdir -p "$cache/$1" && mv -f "$half/$name" "$cache/$1/$name"; }; then
    fail "The Step's binary cannot be stored in $cache/$1: is the disk full?"
  fi
}

exec_stored() {
  rm -rf "$half"
  half=
  start "$cache/$1/$name"
}

# --- 3. A download ----------------------------------------------------------------

# Downloads $url to $half/$name, or says in $problem why not.
fetch() {
  rm -f "$half/$name"
  if command -v curl >/dev/null 2>&1; then
    problem=$(curl --fail --silent --show-error --location --proto '=https,http' --netrc-optional \
      --connect-timeout 10 --speed-limit 1000 --speed-time 20 --max-time 300 \
      --output "$half/$name" "$url" 2>&1) && return
    status="curl ended with status $?"
  else
    # Letters, since the one of BusyBox knows no more.
    problem=$(wget -nv -t 1 -T 20 -O "$half/$name" "$url" 2>&1) && return
    status="wget ended with status $?"
  fi
  # The last line; wget says nothing of an answer that was cut.
  problem=${problem##*
}
  problem=${problem:-$status}
  return 1
}

download() {
  url=${APPLE_SERVICES_CONNECTION_DOWNLOAD_URL:-$home}
  url=${url%/}/$version/$name-$system
  # A password in a mirror's URL stays out of the log.
  shown=$url
  case $shown in *//*@*) shown=${shown%%//*}//${shown#*@} ;; esac

  if ! command -v curl >/dev/null 2>&1 && ! command -v wget >/dev/null 2>&1; then
    undownloaded="neither curl nor wget is on the PATH to download $shown"
    return 1
  fi
  wait=1
  until fetch; do
    undownloaded="the download of $shown failed ($problem)"
    case $problem in
      *408* | *429*) ;;
      # The server knows what it says.
      *'error: 4'[0-9][0-9]* | *'ERROR 4'[0-9][0-9]* | *'HTTP/1.'?' 4'[0-9][0-9]*) return 1 ;;
    esac
    [ "$wait" -le 2 ] || return 1
    sleep "$wait"
    wait=$((wait * 2))
  done

  sha256 <"$half/$name"
  [ "$sum" = "$released" ] || fail \
    "The download of $shown is not the binary that was released: its SHA-256 is $sum," \
    "the one in release/$version.sha256 is $released; it was not run. Run the build again, and if the" \
    "error comes back, have the server or the mirror checked."
  keep "$released"
}

undownloaded="it cannot be downloaded, since $unreleased"
if [ -n "$released" ]; then
  if download; then exec_stored "$released"; fi
  if command -v cargo >/dev/null 2>&1; then
    warn "No binary of the Step could be downloaded: $undownloaded. It is built with cargo instead."
  fi
fi

# --- 4. A build -------------------------------------------------------------------

command -v cargo >/dev/null 2>&1 || fail \
  "There is no binary of this Step for $system: none lies beside step.sh; none is in the cache $cache;" \
  "$undownloaded; and cargo is not on the PATH to build it." \
  "Make the download possible, from a mirror with APPLE_SERVICES_CONNECTION_DOWNLOAD_URL," \
  "or install Rust (https://rustup.rs) and a C compiler in a step before this one."

# In the Step's folder: the project that is being built may have a toolchain and a configuration of
# its own, for itself. What is compiled on the way goes with $half.
case $half in /*) ;; *) half=$PWD/$half ;; esac
if ! (cd "$here" && unset CARGO_BUILD_TARGET && cargo build --release --locked --quiet \
  --package "$name" --bin "$name" --target-dir "$half/target") >"$half/log" 2>&1; then
  cat "$half/log"
  fail "The Step cannot be built with cargo (its messages stand above), and there is no other binary for" \
    "$system: none lies beside step.sh; none is in the cache $cache; $undownloaded." \
    "The build needs Rust 1.88 or newer and a C compiler."
fi
mv "$half/target/release/$name" "$half/$name" || fail "The Step's binary cannot be stored in $cache: is the disk full?"
sha256 <"$half/$name"
built=$sum
printf '%s\n' "$built" >"$half/built"
keep "$built"
mv -f "$half/built" "$cache/$key.built"
exec_stored "$built"
