#!/usr/bin/env bash
# Checks that the tools' own code reads the outputs of the Step:
#
#   e2e/tools/run.sh             runs all cases in cases.rb
#   e2e/tools/run.sh READER...   runs only the cases of these readers
#
# Prints one line per case, and `N passed, N failed` at the end. If a tool cannot be installed, its cases
# fail. Installs the dependencies of e2e/run.sh, and the tools at the versions that the lock files in readers/
# pin, into a cache folder. Contacts only package registries.
#
# Two tools are not covered. asc (App Store Connect CLI) is on no Go module proxy, because the tags of its releases are
# not Go versions. fastlane is published only as a gem; e2e/run.sh uses the libraries with which fastlane
# reads a session and a key.
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

# Prints the path of a cache folder. $1: its name. The rest: files; if one changes, the path changes too.
cache_folder() {
  local name=$1
  shift
  cat "$@" | ruby -rdigest -e 'print "#{ARGV[0]}-#{Digest::SHA256.hexdigest(STDIN.read)[0, 16]}"' "$cache/$name"
}

# Creates the program that runs a reader. $1: its name in cases.rb. $2: the shell commands.
make_program() {
  printf '#!/bin/sh\n%s\n' "$2" >"$work/bin/$1.new"
  chmod +x "$work/bin/$1.new"
  mv "$work/bin/$1.new" "$work/bin/$1"
}

# Installs packages without running their install scripts.
install_npm() {
  command -v npm >/dev/null || { echo 'npm is not on the PATH'; return 1; }
  local out
  out=$(cache_folder npm "$readers/npm/package-lock.json")
  if [[ ! -e $out/done ]]; then
    rm -rf "$out"
    mkdir -p "$out"
    cp "$readers/npm/package.json" "$readers/npm/package-lock.json" "$out/"
    (cd "$out" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) || return
    touch "$out/done"
  fi
  # The readers run in another folder, so NODE_PATH tells node where the packages are.
  make_program eas "NODE_PATH='$out/node_modules' exec node '$readers/npm/eas.js' \"\$@\""
  make_program electron-builder "NODE_PATH='$out/node_modules' exec node '$readers/npm/electron-builder.js' \"\$@\""
}

install_pypi() {
  local out
  out=$(cache_folder pypi "$readers/pypi/requirements.txt")
  if [[ ! -e $out/done ]]; then
    rm -rf "$out"
    { python3 -m venv "$out" &&
      "$out/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes \
        --requirement "$readers/pypi/requirements.txt"; } || return
    touch "$out/done"
  fi
  make_program codemagic "exec '$out/bin/python' -B '$readers/pypi/app-store-connect.py' \"\$@\""
}

install_quill() {
  command -v go >/dev/null || { echo 'go is not on the PATH'; return 1; }
  local out
  out=$(cache_folder quill "$readers"/quill/go.mod "$readers"/quill/go.sum "$readers"/quill/main.go)
  if [[ ! -e $out/reader ]]; then
    mkdir -p "$out"
    (cd "$readers/quill" && go build -mod=readonly -trimpath -o "$out/reader.new" .) || return
    mv "$out/reader.new" "$out/reader"
  fi
  make_program quill "exec '$out/reader' \"\$@\""
}

# GoReleaser signs and notarizes in internal packages, so the reader is built inside a copy of its module.
install_goreleaser() {
  command -v go >/dev/null || { echo 'go is not on the PATH'; return 1; }
  local out module=github.com/goreleaser/goreleaser/v2 folder version
  out=$(cache_folder goreleaser "$readers"/goreleaser/go.mod "$readers"/goreleaser/go.sum "$readers"/goreleaser/main.go)
  version=$(cd "$readers/goreleaser" && go list -mod=readonly -m -f '{{.Version}}' "$module") || return
  if [[ ! -e $out/hello ]]; then
    rm -rf "$out" "$out.module"
    mkdir -p "$out"
    (cd "$readers/goreleaser" && go mod download "$module") || return
    folder=$(cd "$readers/goreleaser" && go list -mod=readonly -m -f '{{.Dir}}' "$module") || return
    cp -R "$folder" "$out.module" || return
    chmod -R u+w "$out.module"
    mkdir "$out.module/internal/reader"
    cp "$readers/goreleaser/main.go" "$out.module/internal/reader/"
    (cd "$out.module" && go build -mod=readonly -trimpath -o "$out/reader" internal/reader/main.go) || return
    rm -rf "$out.module"
    # A macOS program for the reader to sign.
    printf 'package main\n\nfunc main() {}\n' >"$out/hello.go"
    GOOS=darwin GOARCH=arm64 CGO_ENABLED=0 go build -o "$out/hello.new" "$out/hello.go" || return
    mv "$out/hello.new" "$out/hello"
  fi
  make_program goreleaser "[ \"\$1\" != --version ] || { echo $version; exit; }
exec '$out/reader' '$readers/goreleaser/config.yaml' '$out/hello'"
}

install_crates() {
  local out name
  out=$(cache_folder crates "$readers/crates/Cargo.lock")
  (cd "$readers/crates" && cargo fetch --quiet --locked &&
    CARGO_TARGET_DIR=$out cargo build --quiet --locked) || return
  for name in tauri cargo-packager rcodesign; do
    make_program "$name" "exec '$out/debug/$name' \"\$@\""
  done
}

# Runs an installer with a log. If it fails, read.rb fails the cases of its readers. $1: the part of the function's
# name after install_. The rest: its readers.
install_readers() {
  local name=$1 reader
  shift
  if "install_$name" >"$work/$name.log" 2>&1; then return; fi
  {
    printf 'cannot install %s:\n' "$name"
    tail -n 20 "$work/$name.log" | sed 's/^/    /'
  } >&2
  for reader in "$@"; do
    printf '%s\t%s\n' "$reader" "$(tail -n 1 "$work/$name.log")" >>"$work/not-installed"
  done
}

# --- The run ----------------------------------------------------------------------

work=$(mktemp -d "${TMPDIR:-/tmp}/apple-readers.XXXXXX")
work=$(cd "$work" && pwd -P)
mkdir "$work/bin"
touch "$work/not-installed"

# Installs Ruby with the gem jwt, and envman.
PATH=$("$repo/e2e/run.sh" --tools):$PATH
export PATH
cache=${XDG_CACHE_HOME:-$HOME/.cache}/apple-services-connection-e2e/readers
mkdir -p "$cache"

# npm and pip mostly wait for the registry, so they run in parallel with the builds.
{
  install_readers npm eas electron-builder
  install_readers pypi codemagic
} &
install_readers quill quill
install_readers goreleaser goreleaser
install_readers crates tauri cargo-packager rcodesign
target=${CARGO_TARGET_DIR:-$repo/target}
[[ $target == /* ]] || target=$PWD/$target
CARGO_TARGET_DIR=$target cargo build --quiet --release --locked --workspace --bins --manifest-path "$repo/Cargo.toml" ||
  die 'cannot build the Step'
wait

cp "$target/release/apple-services-connection" "$target/release/stand-in" "$work/bin/"
ruby "$tools/read.rb" "$work" "$@"
