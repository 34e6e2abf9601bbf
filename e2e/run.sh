#!/usr/bin/env bash
# Runs the workflows of bitrise.yml under the real Bitrise CLI, on this machine alone:
#
#   e2e/run.sh            all of them
#   e2e/run.sh NAME...    these
#   e2e/run.sh --tools    none: installs what it needs, and prints where envman is
#
# Prints one line for each, and `N passed, N failed` at the end. What it needs, it
# installs: Debian packages, and the CLI with its helpers unless they are on the PATH.
# It leaves nothing behind but the caches of Cargo, Go and its own.
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
e2e=$repo/e2e
work=
# Most of a scenario is the CLI's start-up and pauses between retries.
lanes=4

die() {
  printf 'e2e/run.sh: %s\n' "$*" >&2
  exit 1
}

clean_up() {
  [[ -n $work ]] || return 0
  touch "$work/stopped" # a lane looks for it before each scenario
  wait
  rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP

# --- What the run needs -----------------------------------------------------------

# The libraries of ruby-http-cookie and ruby-jwt are the ones that fastlane uses.
has_packages() {
  command -v rsync >/dev/null && command -v curl >/dev/null && command -v ruby >/dev/null &&
    ruby -e 'require "http-cookie"; require "jwt"; require "openssl"' 2>/dev/null
}

install_packages() {
  if has_packages; then return; fi
  command -v apt-get >/dev/null ||
    die 'rsync, curl, ruby and the gems http-cookie and jwt are needed; without apt-get, please install them yourself'
  local sudo=()
  [[ $(id -u) == 0 ]] || sudo=(sudo)
  {
    ${sudo[@]+"${sudo[@]}"} apt-get update &&
      ${sudo[@]+"${sudo[@]}"} env DEBIAN_FRONTEND=noninteractive \
        apt-get install --yes --no-install-recommends rsync curl ruby ruby-http-cookie ruby-jwt
  } >"$work/apt.log" 2>&1 || { tail -n 20 "$work/apt.log" >&2; die 'apt-get could not install rsync, curl, ruby, ruby-http-cookie, ruby-jwt'; }
  has_packages || die 'rsync, curl, ruby, ruby-http-cookie and ruby-jwt are installed, but do not work'
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
  CARGO_TARGET_DIR=$target cargo build --quiet --release --locked --bins \
    --package apple-services-connection --package stand-in --manifest-path "$repo/Cargo.toml" || die 'the Step could not be built'
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
  cp -R "$e2e/assert" "$e2e/script" "$work/stage/e2e/"
  ruby "$e2e/stage.rb" <"$e2e/bitrise.yml" >"$work/stage/e2e/bitrise.yml"
}

make_fixtures() {
  mkdir "$work/root"
  ruby "$e2e/fixtures.rb" "$work/root"
  mkdir "$work/home"
}

# The lane's own, so that what it was asked is known for each scenario.
start_stand_in() {
  mkfifo "$lane/alive"
  "$stand_in" --root "$lane/root" --token "$(<"$lane/root/token")" <"$lane/alive" >"$lane/stand-in.log" 2>&1 &
  stand_in_pid=$!
  exec 9>"$lane/alive"
  local tries=0
  until [[ -s $lane/root/origin ]]; do
    if ! kill -0 "$stand_in_pid" 2>/dev/null || [[ $tries == 100 ]]; then
      cat "$lane/stand-in.log" >&2
      die 'the stand-in did not start'
    fi
    tries=$((tries + 1))
    sleep 0.1
  done
  touch "$lane/root/requests.jsonl"
}

stop_stand_in() {
  exec 9>&- # it ends with its standard input
  wait "$stand_in_pid" || true
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
  env -i PATH="$work/bin:$PATH" LANG=C.UTF-8 CI=true \
    BITRISE_OFFLINE_MODE=true BITRISE_ANALYTICS_DISABLED=true BITRISE_NO_OUTPUT_TIMEOUT=60 \
    E2E_RUBY="$ruby" GEM_PATH="$gems" "$@" 9>&- </dev/null
}

# A folder of its own for each scenario, so that what the Step leaves behind is seen. The
# stand-in is the proxy, too: what would leave this machine ends there, and is recorded.
run_scenario() {
  local name=$1 run=$work/runs/$1 origin status=0 asked
  mkdir -p "$run/tmp" "$run/results"
  origin=$(<"$lane/root/origin")
  asked=$(wc -l <"$lane/root/requests.jsonl")
  (
    cd "$work/stage"
    bitrise_cli HOME="$lane/home" TMPDIR="$run/tmp" HTTP_PROXY="$origin" HTTPS_PROXY="$origin" \
      E2E_ROOT="$lane/root" E2E_ORIGIN="$origin" E2E_RESULTS="$run/results" E2E_ASKED="$asked" \
      bitrise run --config e2e/bitrise.yml --inventory "$lane/root/secrets.yml" "$name"
  ) >"$run/log" 2>&1 || status=$?
  printf '%s\n' "$status" >"$run/status"
  tail -n "+$((asked + 1))" "$lane/root/requests.jsonl" >"$run/requests.jsonl"

  if E2E_ROOT=$lane/root ruby "$e2e/judge.rb" "$name" "$run" >"$run/problems" 2>&1; then
    printf 'ok      %s\n' "$name"
    printf '%s\n' "$name" >>"$work/passed"
  else
    {
      printf 'FAILED  %s\n' "$name"
      sed 's/^/        - /' "$run/problems"
      printf '        the end of the log:\n'
      # A log that holds a secret is not shown.
      if grep -q '^the log holds' "$run/problems"; then
        printf '        | (not shown: it holds a secret)\n'
      else
        grep -v '^ *$' "$run/log" | tail -n 60 | sed 's/^/        | /'
      fi
    } >"$run/shown"
    cat "$run/shown" # at once, beside what other lanes print
    printf '%s\n' "$name" >>"$work/failed"
  fi
  rm -rf "$run"
}

# Takes one scenario after another, as long as there are any that no lane has taken.
run_lane() {
  local lane=$work/lanes/$1 stand_in_pid name
  mkdir -p "$lane"
  cp -R "$work/root" "$work/home" "$lane/"
  start_stand_in
  while read -r name; do
    [[ ! -e $work/stopped ]] || break
    ! mkdir "$work/taken/$name" 2>/dev/null || run_scenario "$name"
  done <<<"$scenarios"
  stop_stand_in
}

# --- The run ----------------------------------------------------------------------

work=$(mktemp -d "${TMPDIR:-/tmp}/apple-e2e.XXXXXX")
work=$(cd "$work" && pwd -P)

install_packages
install_bitrise
if [[ ${1:-} == --tools ]]; then
  dirname "$(command -v envman)"
  exit
fi
# By its full path and with its gems, so that neither depends on HOME.
ruby=$(ruby -e 'print RbConfig.ruby')
gems=$(ruby -e 'print Gem.path.join(":")')

scenarios=$(ruby -ryaml -e 'puts YAML.safe_load(File.read(ARGV[0]), aliases: true)["workflows"].keys.grep_v(/\A_/)' "$e2e/bitrise.yml")
for name in "$@"; do
  grep -qxF -- "$name" <<<"$scenarios" || die "there is no workflow $name in e2e/bitrise.yml; there are:"$'\n'"$scenarios"
done
[[ $# == 0 ]] || scenarios=$(printf '%s\n' "$@")

# The properties that need Ruby and envman, where both are. The pieces are built for the tests.
[[ $# != 0 ]] || (cd "$repo" && cargo test --quiet --locked --test round_trip) || die 'something is lost on its way to fastlane or envman'

build
make_stage
make_fixtures
make_bash
mkdir "$work/tmp" "$work/taken"
bitrise_cli HOME="$work/home" TMPDIR="$work/tmp" bitrise setup --minimal >"$work/setup.log" 2>&1 ||
  { cat "$work/setup.log" >&2; die 'bitrise setup failed'; }

touch "$work/passed" "$work/failed"
for ((lane = 1; lane <= lanes; lane++)); do
  run_lane "$lane" &
done
wait

count() { grep -c '' "$work/$1" || true; }
printf '%d passed, %d failed\n' "$(count passed)" "$(count failed)"
# A scenario that no lane has come to has not passed.
[[ $(count passed) == $(sort -u <<<"$scenarios" | grep -c '') ]]
[[ $# != 0 ]] || "$e2e/steplib/run.sh" "$step_binary"
