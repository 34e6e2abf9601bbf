#!/usr/bin/env bash
# Holds what the Step exports against the code of the tools that read it, on this machine alone:
#
#   e2e/tools/run.sh             all of cases.rb
#   e2e/tools/run.sh READER...   the cases of these
#
# Prints one line for each case, and `N passed, N failed` at the end; a tool that cannot be had
# fails. It installs what it needs: what e2e/run.sh needs, and the tools, at the versions that the
# lock files in readers/ pin. They stay in a folder of the user's cache.
#
# Not here: asc (App Store Connect CLI), whose module no Go proxy serves (its releases have no
# version that Go knows), and fastlane, which is published as a gem only; e2e/run.sh has the
# libraries that fastlane reads a session and a key with.
set -euo pipefail

tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
repo=$(cd "$tools/../.." && pwd -P)
readers=$tools/readers
work=

die() {
  printf 'e2e/tools/run.sh: %s\n' "$*" >&2
  exit 1
}

clean_up() {
  [[ -n $work ]] || return 0
  wait
  rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP

# --- The tools --------------------------------------------------------------------

# A folder of the cache that what these files say belongs into.
place_for() {
  local name=$1
  shift
  cat "$@" | ruby -rdigest -e 'print "#{ARGV[0]}-#{Digest::SHA256.hexdigest(STDIN.read)[0, 16]}"' "$cache/$name"
}

# Under its name, for cases.rb.
program() {
  printf '#!/bin/sh\n%s\n' "$2" >"$work/bin/$1.new"
  chmod +x "$work/bin/$1.new"
  mv "$work/bin/$1.new" "$work/bin/$1"
}

# Packages run no scripts of their own when they are installed.
install_npm() {
  command -v npm >/dev/null || { echo 'npm is not on the PATH'; return 1; }
  local place
  place=$(place_for npm "$readers/npm/package-lock.json")
  if [[ ! -e $place/done ]]; then
    rm -rf "$place"
    mkdir -p "$place"
    cp "$readers/npm/package.json" "$readers/npm/package-lock.json" "$place/"
    (cd "$place" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) || return
    touch "$place/done"
  fi
  # Found by their place, not by the place they run in.
  program eas "NODE_PATH='$place/node_modules' exec node '$readers/npm/eas.js' \"\$@\""
  program electron-builder "NODE_PATH='$place/node_modules' exec node '$readers/npm/electron-builder.js' \"\$@\""
}

install_pypi() {
  local place
  place=$(place_for pypi "$readers/pypi/requirements.txt")
  if [[ ! -e $place/done ]]; then
    rm -rf "$place"
    { python3 -m venv "$place" &&
      "$place/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes \
        --requirement "$readers/pypi/requirements.txt"; } || return
    touch "$place/done"
  fi
  program codemagic "exec '$place/bin/python' -B '$readers/pypi/app-store-connect.py' \"\$@\""
}

install_quill() {
  command -v go >/dev/null || { echo 'go is not on the PATH'; return 1; }
  local place
  place=$(place_for quill "$readers"/quill/go.mod "$readers"/quill/go.sum "$readers"/quill/main.go)
  if [[ ! -e $place/reader ]]; then
    mkdir -p "$place"
    (cd "$readers/quill" && go build -mod=readonly -trimpath -o "$place/reader.new" .) || return
    mv "$place/reader.new" "$place/reader"
  fi
  program quill "exec '$place/reader' \"\$@\""
}

# What signs and notarizes is internal to its module: the reader is built inside a copy of that.
install_goreleaser() {
  command -v go >/dev/null || { echo 'go is not on the PATH'; return 1; }
  local place module=github.com/goreleaser/goreleaser/v2 folder version
  place=$(place_for goreleaser "$readers"/goreleaser/go.mod "$readers"/goreleaser/go.sum "$readers"/goreleaser/main.go)
  version=$(cd "$readers/goreleaser" && go list -mod=readonly -m -f '{{.Version}}' "$module") || return
  if [[ ! -e $place/hello ]]; then
    rm -rf "$place" "$place.module"
    mkdir -p "$place"
    (cd "$readers/goreleaser" && go mod download "$module") || return
    folder=$(cd "$readers/goreleaser" && go list -mod=readonly -m -f '{{.Dir}}' "$module") || return
    cp -R "$folder" "$place.module" || return
    chmod -R u+w "$place.module"
    mkdir "$place.module/internal/reader"
    cp "$readers/goreleaser/main.go" "$place.module/internal/reader/"
    (cd "$place.module" && go build -mod=readonly -trimpath -o "$place/reader" internal/reader/main.go) || return
    rm -rf "$place.module"
    # A program for macOS to sign.
    printf 'package main\n\nfunc main() {}\n' >"$place/hello.go"
    GOOS=darwin GOARCH=arm64 CGO_ENABLED=0 go build -o "$place/hello.new" "$place/hello.go" || return
    mv "$place/hello.new" "$place/hello"
  fi
  program goreleaser "[ \"\$1\" != --version ] || { echo $version; exit; }
exec '$place/reader' '$readers/goreleaser/config.yaml' '$place/hello'"
}

install_crates() {
  local place name
  place=$(place_for crates "$readers/crates/Cargo.lock")
  (cd "$readers/crates" && cargo fetch --quiet --locked &&
    CARGO_TARGET_DIR=$place cargo build --quiet --locked) || return
  for name in tauri cargo-packager rcodesign; do
    program "$name" "exec '$place/debug/$name' \"\$@\""
  done
}

# In the background, each with a log; what fails is told by cases.rb's run, with the reason.
had() {
  local name=$1 reader
  shift
  if "install_$name" >"$work/$name.log" 2>&1; then return; fi
  {
    printf '%s cannot be had:\n' "$name"
    tail -n 20 "$work/$name.log" | sed 's/^/    /'
  } >&2
  for reader in "$@"; do
    printf '%s\t%s\n' "$reader" "$(tail -n 1 "$work/$name.log")" >>"$work/cannot"
  done
}

# --- The run ----------------------------------------------------------------------

work=$(mktemp -d "${TMPDIR:-/tmp}/apple-readers.XXXXXX")
work=$(cd "$work" && pwd -P)
mkdir "$work/bin"
touch "$work/cannot"

# envman, and Ruby with its gem jwt.
PATH=$("$repo/e2e/run.sh" --tools):$PATH
export PATH
cache=${XDG_CACHE_HOME:-$HOME/.cache}/apple-services-connection-e2e/readers
mkdir -p "$cache"

# What waits for a registry beside what keeps the processor busy.
{
  had npm eas electron-builder
  had pypi codemagic
} &
had quill quill
had goreleaser goreleaser
had crates tauri cargo-packager rcodesign
target=${CARGO_TARGET_DIR:-$repo/target}
[[ $target == /* ]] || target=$PWD/$target
CARGO_TARGET_DIR=$target cargo build --quiet --release --locked --workspace --bins --manifest-path "$repo/Cargo.toml" ||
  die 'the Step could not be built'
wait

cp "$target/release/apple-services-connection" "$target/release/stand-in" "$work/bin/"
ruby "$tools/read.rb" "$work" "$@"
