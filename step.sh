#!/usr/bin/env bash
# Runs the Step's binary: the one next to this file, or one that is built from source once and cached.
# docs/launcher.md describes what the launcher trusts. This file must work in bash 3.2, macOS's /bin/bash.

# Runs only in subshells, so the binary inherits variables, functions, options and signal handlers unchanged.
# $1: "build" builds the binary; "find" and "built" print its path to descriptor 3. "find" prints "build" if none exists.
# shellcheck disable=SC2317 # a trap calls clean_up
apple_services_connection_launcher() {
  set -eu +aCfk -o pipefail
  unset CDPATH GLOBIGNORE && shopt -u failglob
  name=apple-services-connection cache='' job='' temporary=''

  # The Bitrise CLI shows the last red block as the Step's error, and stops reading when the Step ends.
  fail() {
    printf '\033[31;1m%s\033[0m\n' "$*"
    sleep 0.2 2>/dev/null || :
    exit 1
  }

  # Prints the SHA-256 of standard input.
  sha256() {
    local sum
    sum=$("${hasher[@]}") && sum=${sum%% *} && [ "${#sum}" = 64 ] && printf '%s' "$sum"
  }

  # Prints a checksum of the names and contents of the files that the binary is built from.
  sum_sources() {
    cd -- "$here/" && find Cargo.toml Cargo.lock step.yml step.sh src ! -type d -print0 |
      LC_ALL=C sort -z | xargs -0 "${hasher[@]}" | sha256
  }

  # Succeeds if only this user and root can change or replace $1, a path without links. Folders above it can be
  # sticky: other users can add files there, but can't replace this user's.
  is_private() {
    local path=$1 others
    if [ ! -O "$1" ] || [ -k "$1" ]; then return 1; fi
    while [ -n "$path" ]; do path=${path%/*} && set -- "$@" "${path:-/}"; done
    others=$(find "$@" -prune \( -type l -o \( ! -user 0 ! -user "$user" \) -o \
      \( \( -perm -020 -o -perm -002 \) ! -perm -1000 \) \) -print 2>/dev/null && printf none) || return 1
    [ "$others" = none ] # find succeeded and printed no path
  }

  # Sets `cache` to the first of the two folders below that is private and writable.
  choose_cache() {
    local folder
    set -- "${XDG_CACHE_HOME:-${HOME:-.}/.cache}/$name" "${TMPDIR:-/tmp}/$name-$user"
    for folder in "$@"; do
      case $folder in /*) ;; *) continue ;; esac
      (umask 077 && mkdir -p "$folder") 2>/dev/null || continue
      if [ -L "$folder" ] || [ ! -w "$folder" ]; then continue; fi
      cache=$(cd -P "$folder" && pwd -P) && is_private "$cache" && return
    done
    fail "Cannot cache the Step's binary: $1 and $2 are not writable, or other users can write to them or to a parent" \
      "folder. Set XDG_CACHE_HOME to a folder that only this user can write to."
  }

  # If a binary for $key is in the cache, prints its path and exits. The file name ends in the binary's checksum.
  print_cached() {
    local file sum
    for file in "$cache/$name-$key-"*; do
      if [ ! -f "$file" ] || ! is_private "$file"; then continue; fi
      sum=$(sha256 <"$file") || fail "Cannot read $file. Delete the folder $cache."
      if [ "$file" = "$cache/$name-$key-$sum" ]; then
        printf '%s' "$file" >&3
        exit
      fi
      printf '\033[33;1m%s\033[0m\n' "The cached binary $file was modified. The launcher replaces it."
      rm -f "$file" || fail "Cannot delete $file: see the message above."
    done
  }

  # Copies the file $1 into the cache with the key $key. The last step is atomic.
  store() {
    local sum new=$temporary/$name
    { cp "$1" "$new" && chmod 700 "$new" && sum=$(sha256 <"$new") && mv -f "$new" "$cache/$name-$key-$sum"; } ||
      fail "Cannot store the Step's binary in $cache: see the message above."
  }

  # A separate bash runs this function in the root folder, because cargo and rustup read settings from the folders
  # above the current one, and other users may be able to write to folders above the Step.
  compile() {
    cd /
    # Without this variable, rustup looks for a toolchain file above each crate.
    RUSTUP_TOOLCHAIN=${RUSTUP_TOOLCHAIN:-$(rustup show active-toolchain 2>/dev/null)}
    RUSTUP_TOOLCHAIN=${RUSTUP_TOOLCHAIN%%[[:space:]]*}
    export RUSTUP_TOOLCHAIN=${RUSTUP_TOOLCHAIN:-stable}
    # Uses only the system's random source: collecting CPU jitter entropy takes 22 ms.
    export AWS_LC_SYS_NO_JITTER_ENTROPY=1
    exec cargo build --profile source --locked --package "$1" --bin "$1" \
      --manifest-path "$2/Cargo.toml" --target-dir "$3/target" </dev/null
  }

  # The build gets only these variables: none of the Step's inputs and Secrets, and no flags, wrappers or
  # targets. The variables go through a pipe, because other users can see arguments.
  compile_in_isolation() {
    {
      declare -p PATH HOME USER LOGNAME LANG TMPDIR CARGO_HOME RUSTUP_HOME RUSTUP_DIST_SERVER RUSTUP_TOOLCHAIN \
        CARGO_NET_{OFFLINE,RETRY,GIT_FETCH_WITH_CLI} CARGO_HTTP_{PROXY,CAINFO,TIMEOUT,MULTIPLEXING} \
        {HTTPS,HTTP,ALL,NO}_PROXY {https,http,all,no}_proxy SSL_CERT_{FILE,DIR} CC AR DEVELOPER_DIR SDKROOT || :
      declare -f compile
      printf 'compile %q %q %q\n' "$name" "$here" "$temporary"
    } 2>/dev/null | env -i "$BASH" --noprofile --norc
  }

  build() {
    command -v cargo >/dev/null || fail "Cannot build the Step from source: cargo is not on the PATH." \
      "Reference a release tag, or install Rust (https://rustup.rs) and a C compiler in an earlier step."
    printf 'Building the Step from source, which takes 1–2 minutes the first time. To avoid it, reference a release tag.\n'
    SECONDS=0
    export TMPDIR=$temporary
    # A background job, because bash handles signals only between foreground commands. set -m gives it a process group.
    set -m
    {
      set +m
      while sleep 9 && kill -0 "$$"; do # docs/launcher.md promises a line every 10 seconds
        printf 'Still building after %d s: %s\n' "$SECONDS" "$(sed -n '$s/^ *//p' "$temporary/log")"
      done &
      compile_in_isolation >"$temporary/log" 2>&1 || { kill "$!" && exit 1; }
    } </dev/null &
    job=$!
    set +m
    if ! wait "$job" 2>/dev/null || [ ! -f "$temporary/target/source/$name" ]; then
      sed -E '/^ *(Compiling|Downloading|Downloaded) /d' "$temporary/log"
      fail "Cannot build the Step from source: see cargo's messages above. The build needs Rust 1.88 or newer" \
        "and a C compiler. To avoid it, reference a release tag."
    fi
    [ "$(sum_sources)" = "$key" ] || fail "The Step's source code changed during the build. Run the build again."
    store "$temporary/target/source/$name"
  }

  clean_up() {
    if [ -n "$job" ]; then kill -KILL -- "-$job" && wait "$job"; fi 2>/dev/null || :
    rm -rf "$temporary" || : # if rm fails, it says why, and the binary can still run
  }

  here=$0 # not BASH_SOURCE: the environment can set it, like UID
  case $here in /*) ;; *) here=$PWD/$here ;; esac
  here=${here%/*}
  command -v uname >/dev/null || fail "The launcher needs uname, which is not on the PATH. Fix the PATH."
  system=$(uname -sm) || fail "Cannot detect the operating system: uname failed, see the message above."
  case $system in
    'Darwin arm64') system=darwin-arm64 ;;
    'Darwin x86_64') system=darwin-amd64 ;;
    'Linux x86_64') system=linux-amd64 ;;
    'Linux aarch64') system=linux-arm64 ;;
  esac
  released=$here/$name-$system
  if [ -f "$released" ] && [ -x "$released" ]; then
    printf '%s' "$released" >&3
    exit
  fi

  hasher=(sha256sum)
  command -v sha256sum >/dev/null || hasher=(openssl dgst -sha256 -r)
  for tool in chmod cp env find id mkdir mktemp mv rm sed sleep sort xargs "${hasher[0]}"; do
    command -v "$tool" >/dev/null || fail "The launcher needs $tool, which is not on the PATH. Install it or fix the PATH."
  done
  if [ -f "$released" ]; then
    key=$(sha256 <"$released") || fail "Cannot read $released, the Step's binary."
  elif [ -f "$here/Cargo.toml" ]; then
    key=$(sum_sources) || fail "Cannot read the Step's source code in $here: see the message above."
  else
    fail "This copy of the Step has neither a binary for $system nor source code. Reference a release tag, and" \
      "run it on macOS or Linux, on arm64 or x86-64."
  fi
  user=$(id -u) || fail "Cannot determine this user's ID: see the message above."
  choose_cache
  trap clean_up EXIT
  trap 'exit 143' HUP TERM
  if [ "$1" != build ]; then print_cached; fi
  temporary=$(mktemp -d "$cache/temporary.XXXXXX") || fail "Cannot create a folder in $cache: see the message above."
  if [ -f "$released" ]; then # without execute permission, as after an upload that drops it
    store "$released"
    print_cached
  fi
  case $1 in
    find) printf build >&3 ;;
    build) build ;;
    *) fail "The binary that was just built is not in $cache any more. Run the build again." ;;
  esac
  exit # bash 3.2 does not run the EXIT trap at the end of a function in the background
}

# The binary replaces this shell, so this part sets no variables: the path is in $1.
{
  set -- "$(apple_services_connection_launcher find 3>&1 >&4)"
  if [ "$1" = build ]; then
    set -- ''
    trap 'kill "$!" && wait "$!"; exit 143' HUP INT QUIT TERM
    apple_services_connection_launcher build &
    if wait "$!"; then set -- "$(apple_services_connection_launcher built 3>&1 >&4)"; fi
    trap - HUP INT QUIT TERM
  fi
} 4>&1
unset -f apple_services_connection_launcher
[ -n "$1" ] || exit 1
# With execfail, bash continues if the binary can't start. If BASHOPTS is exported, the binary would see the change.
case $(declare -p BASHOPTS 2>/dev/null) in 'declare -'*x*=*) ;; *) shopt -s execfail ;; esac
exec "$1" || printf '\033[31;1m%s\033[0m\n' "The Step's binary $1 does not start on this system: see the message above."
exit 1
