#!/usr/bin/env bash
# The toolkit's door: finds the Step's binary, or builds it, then becomes it.
#
# 1. A binary beside this file, named for this system.
# 2. One built earlier from the very same sources, in the cache.
# 3. A build with cargo, into the cache.
# Prints nothing when nothing is wrong. Works in the bash 3.2 of macOS.
set -eu

name=apple-services-connection
# The CLI copies the Step for every run; where this file lies is where the rest lies.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# One red block: the Bitrise CLI shows the last one as the Step's error message.
fail() {
  printf '\033[31;1m%s\033[0m\n' "$*"
  # The CLI may stop reading as soon as this ends.
  sleep 0.2
  exit 1
}

case "$(uname -s)" in
  Darwin) os=darwin ;;
  Linux) os=linux ;;
  *) os=$(uname -s | tr '[:upper:]' '[:lower:]') ;;
esac
case "$(uname -m)" in
  x86_64 | amd64) arch=amd64 ;;
  arm64 | aarch64) arch=arm64 ;;
  *) arch=$(uname -m) ;;
esac

beside=$here/$name-$os-$arch
if [ -x "$beside" ]; then
  exec "$beside"
fi

sha256() {
  if command -v sha256sum >/dev/null 2>&1; then sha256sum; else shasum -a 256; fi | cut -d ' ' -f 1
}

# Keyed by content: the copy's own path changes from run to run.
key=$(cd "$here" && {
  cat Cargo.toml Cargo.lock step.yml
  find src -type f | LC_ALL=C sort | while IFS= read -r file; do
    printf '%s\n' "$file"
    cat "$file"
  done
} | sha256)
cache=${XDG_CACHE_HOME:-${HOME:-${TMPDIR:-/tmp}}/.cache}/$name
built=$cache/$key/$name
if [ -x "$built" ]; then
  exec "$built"
fi

command -v cargo >/dev/null 2>&1 || fail \
  "There is no binary of this Step for $os-$arch, and cargo is not on the PATH to build it:" \
  "install Rust (https://rustup.rs) in a step before this one, and a C compiler."

if ! { mkdir -p "$cache" && chmod 700 "$cache"; } 2>/dev/null; then
  fail "The cache folder $cache cannot be made: set XDG_CACHE_HOME to a folder that this build may write to."
fi
log=$(mktemp "$cache/build.XXXXXX")
if ! cargo build --release --locked --quiet --package "$name" --bin "$name" \
  --manifest-path "$here/Cargo.toml" --target-dir "$cache/target" >"$log" 2>&1; then
  cat "$log"
  rm -f "$log"
  fail "The Step cannot be built with cargo (its messages stand above):" \
    "it needs Rust 1.88 or newer and a C compiler."
fi
rm -f "$log"

# Moved into place whole, so that a run beside this one finds all of it or nothing.
mkdir -p "$cache/$key"
half=$(mktemp "$cache/$key/half.XXXXXX")
cp "$cache/target/release/$name" "$half" && chmod 755 "$half" && mv -f "$half" "$built"
exec "$built"
