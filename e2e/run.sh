#!/usr/bin/env bash
# Runs the workflows of bitrise.yml under the real Bitrise CLI, on this machine alone:
#
#   e2e/run.sh            all of them
#   e2e/run.sh NAME...    these
#
# Prints one line for each, and `N passed, N failed` at the end. What it needs, it
# installs: Debian packages, and the CLI with its helpers unless they are on the PATH.
# It leaves nothing behind but the caches of Cargo, Go and its own.
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
e2e=$repo/e2e
work=
stand_in_pid=

die() {
  printf 'e2e/run.sh: %s\n' "$*" >&2
  exit 1
}

clean_up() {
  if [[ -n $stand_in_pid ]]; then
    exec 9>&- # the stand-in ends with its standard input
    wait "$stand_in_pid" || true
  fi
  [[ -z $work ]] || rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP

# --- What the run needs -----------------------------------------------------------

# The libraries of ruby-http-cookie and ruby-jwt are the ones that fastlane uses.
has_packages() {
  command -v rsync >/dev/null && command -v ruby >/dev/null &&
    ruby -e 'require "http-cookie"; require "jwt"; require "openssl"' 2>/dev/null
}

install_packages() {
  if has_packages; then return; fi
  command -v apt-get >/dev/null ||
    die 'rsync, ruby and the gems http-cookie and jwt are needed; without apt-get, please install them yourself'
  local sudo=()
  [[ $(id -u) == 0 ]] || sudo=(sudo)
  {
    ${sudo[@]+"${sudo[@]}"} apt-get update &&
      ${sudo[@]+"${sudo[@]}"} env DEBIAN_FRONTEND=noninteractive \
        apt-get install --yes --no-install-recommends rsync ruby ruby-http-cookie ruby-jwt
  } >"$work/apt.log" 2>&1 || { tail -n 20 "$work/apt.log" >&2; die 'apt-get could not install rsync, ruby, ruby-http-cookie, ruby-jwt'; }
  has_packages || die 'rsync, ruby, ruby-http-cookie and ruby-jwt are installed, but do not work'
}

install_bitrise() {
  if command -v bitrise >/dev/null && command -v envman >/dev/null && command -v stepman >/dev/null; then return; fi
  command -v go >/dev/null ||
    die 'bitrise, envman and stepman are not on the PATH, and without Go they cannot be built; please install either'
  local pins cache
  pins=$(ruby -rdigest -e 'print Digest::SHA256.file(ARGV[0]).hexdigest[0, 16]' "$e2e/tools/go.sum")
  cache=${XDG_CACHE_HOME:-$HOME/.cache}/apple-services-connection-e2e/$pins
  if [[ ! -x $cache/stepman || ! -x $cache/envman || ! -x $cache/bitrise ]]; then
    mkdir -p "$cache"
    (cd "$e2e/tools" && GOBIN=$work/gobin GOFLAGS=-mod=readonly go install tool) >"$work/go.log" 2>&1 ||
      { tail -n 20 "$work/go.log" >&2; die 'the Bitrise CLI could not be built'; }
    mv "$work"/gobin/* "$cache/"
  fi
  PATH=$cache:$PATH
}

# --- What is run ------------------------------------------------------------------

build() {
  command -v cargo >/dev/null || die 'Rust is needed to build the Step; please install it'
  local target=${CARGO_TARGET_DIR:-$repo/target}
  [[ $target == /* ]] || target=$PWD/$target
  CARGO_TARGET_DIR=$target cargo build --quiet --release --locked --workspace --bins \
    --manifest-path "$repo/Cargo.toml" || die 'the Step could not be built'
  step_binary=$target/release/apple-services-connection
  stand_in=$target/release/stand-in
}

platform() {
  local os arch
  case $(uname -s) in Darwin) os=darwin ;; *) os=linux ;; esac
  case $(uname -m) in arm64 | aarch64) arch=arm64 ;; *) arch=amd64 ;; esac
  printf '%s-%s' "$os" "$arch"
}

# The CLI copies the folder of a `path::` step for every run. So `path::./` is not the
# repository with all that was ever built in it, but what a release of the Step holds,
# beside the workflows.
make_stage() {
  mkdir -p "$work/stage/e2e"
  cp "$repo/step.yml" "$repo/step.sh" "$work/stage/"
  cp "$step_binary" "$work/stage/apple-services-connection-$(platform)"
  cp -R "$e2e/bitrise.yml" "$e2e/assert" "$work/stage/e2e/"
}

make_fixtures() {
  mkdir "$work/root"
  ruby "$e2e/fixtures.rb" "$work/root"
  mkdir -p "$work/home/.keys"
  cp "$work"/root/files/team/AuthKey_*.p8 "$work/home/.keys/"
}

start_stand_in() {
  mkfifo "$work/alive"
  "$stand_in" --root "$work/root" --token "$(<"$work/root/token")" <"$work/alive" >"$work/stand-in.log" 2>&1 &
  stand_in_pid=$!
  exec 9>"$work/alive"
  local tries=0
  until [[ -s $work/root/origin ]]; do
    if ! kill -0 "$stand_in_pid" 2>/dev/null || [[ $tries == 100 ]]; then
      cat "$work/stand-in.log" >&2
      die 'the stand-in did not start'
    fi
    tries=$((tries + 1))
    sleep 0.1
  done
  touch "$work/root/requests.jsonl"
}

# The CLI closes a step's log as soon as the step's process ends, and what is still in the
# pipe by then is lost: of steps that print one line and end, up to a third. So that a
# check of the log is no game of chance, a step that succeeds lingers for a moment. One
# that fails must see to it by itself that its error arrives.
make_bash() {
  mkdir "$work/bin"
  printf '#!/bin/sh\n"%s" "$@" || exit\nsleep 0.1\n' "$(command -v bash)" >"$work/bin/bash"
  chmod +x "$work/bin/bash"
}

# The CLI with a home of its own, and nothing of this machine's environment. In offline
# mode it sends no analytics; BITRISE_ANALYTICS_DISABLED alone is overwritten by it.
bitrise_cli() {
  env -i PATH="$work/bin:$PATH" HOME="$work/home" TMPDIR="$1" LANG=C.UTF-8 CI=true \
    BITRISE_OFFLINE_MODE=true BITRISE_ANALYTICS_DISABLED=true BITRISE_NO_OUTPUT_TIMEOUT=60 \
    E2E_ROOT="$work/root" E2E_ORIGIN="$(<"$work/root/origin")" E2E_RESULTS="${2:-}" \
    E2E_RUBY="$ruby" GEM_PATH="$gems" \
    bitrise "${@:3}" 9>&- </dev/null
}

# A folder of its own for each scenario, so that what the Step leaves behind is seen.
run_scenario() {
  local name=$1 run=$work/runs/$1 status=0 asked
  mkdir -p "$run/tmp" "$run/results"
  asked=$(wc -l <"$work/root/requests.jsonl")
  (
    cd "$work/stage"
    bitrise_cli "$run/tmp" "$run/results" run --config e2e/bitrise.yml --inventory "$work/root/secrets.yml" "$name"
  ) >"$run/log" 2>&1 || status=$?
  printf '%s\n' "$status" >"$run/status"
  tail -n "+$((asked + 1))" "$work/root/requests.jsonl" >"$run/requests.jsonl"

  if E2E_ROOT=$work/root ruby "$e2e/judge.rb" "$name" "$run" >"$run/problems" 2>&1; then
    printf 'ok      %s\n' "$name"
    passed=$((passed + 1))
  else
    printf 'FAILED  %s\n' "$name"
    sed 's/^/        - /' "$run/problems"
    printf '        the end of the log:\n'
    # A log that holds a secret is not shown.
    if grep -q '^the log holds' "$run/problems"; then
      printf '        | (not shown: it holds a secret)\n'
    else
      grep -v '^ *$' "$run/log" | tail -n 60 | sed 's/^/        | /'
    fi
    failed=$((failed + 1))
  fi
  rm -rf "$run"
}

# --- The run ----------------------------------------------------------------------

work=$(mktemp -d "${TMPDIR:-/tmp}/apple-e2e.XXXXXX")
work=$(cd "$work" && pwd -P)

install_packages
install_bitrise
# By its full path and with its gems, so that neither depends on HOME.
ruby=$(ruby -e 'print RbConfig.ruby')
gems=$(ruby -e 'print Gem.path.join(":")')

scenarios=$(ruby -ryaml -e 'puts YAML.safe_load(File.read(ARGV[0]), aliases: true)["workflows"].keys.grep_v(/\A_/)' "$e2e/bitrise.yml")
for name in "$@"; do
  grep -qxF -- "$name" <<<"$scenarios" || die "there is no workflow $name in e2e/bitrise.yml; there are:"$'\n'"$scenarios"
done
[[ $# == 0 ]] || scenarios=$(printf '%s\n' "$@")

build
make_stage
make_fixtures
start_stand_in
make_bash
mkdir "$work/tmp"
bitrise_cli "$work/tmp" '' setup --minimal >"$work/setup.log" 2>&1 || { cat "$work/setup.log" >&2; die 'bitrise setup failed'; }

passed=0
failed=0
while read -r name; do
  run_scenario "$name"
done <<<"$scenarios"

printf '%d passed, %d failed\n' "$passed" "$failed"
[[ $failed == 0 ]]
