#!/usr/bin/env bash
# Runs the workflows in bitrise.yml with the real Bitrise CLI. The workflows contact no other machine.
#
#   e2e/run.sh            runs all workflows, then e2e/steplib/run.sh
#   e2e/run.sh NAME...    runs only these workflows
#   e2e/run.sh --tools    only installs the dependencies, and prints the folder of envman
#
# Prints one line per workflow, and `N passed, N failed` at the end. Installs missing dependencies: Debian
# packages, and the Bitrise CLI with envman and stepman. Leaves other files only in Cargo's target folder, and in
# the caches of this script, Cargo and Go.
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
e2e=$repo/e2e
work=
# Can exceed the number of cores, because a scenario mostly waits for the CLI to start and for pauses between tries.
workers=4

die() {
  printf 'e2e/run.sh: %s\n' "$*" >&2
  exit 1
}

clean_up() {
  [[ -n $work ]] || return 0
  touch "$work/stopped" # workers check for it before each scenario
  wait
  rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP

# --- Dependencies -----------------------------------------------------------------

# The gems http-cookie and jwt are those that fastlane uses.
has_packages() {
  command -v rsync >/dev/null && command -v curl >/dev/null && command -v ruby >/dev/null &&
    ruby -e 'require "http-cookie"; require "jwt"; require "openssl"' 2>/dev/null
}

install_packages() {
  if has_packages; then return; fi
  command -v apt-get >/dev/null ||
    die 'apt-get is missing: install rsync, curl, ruby and the gems http-cookie and jwt yourself'
  local sudo=()
  [[ $(id -u) == 0 ]] || sudo=(sudo)
  {
    ${sudo[@]+"${sudo[@]}"} apt-get update &&
      ${sudo[@]+"${sudo[@]}"} env DEBIAN_FRONTEND=noninteractive \
        apt-get install --yes --no-install-recommends rsync curl ruby ruby-http-cookie ruby-jwt
  } >"$work/apt.log" 2>&1 || { tail -n 20 "$work/apt.log" >&2; die 'apt-get cannot install rsync, curl, ruby, ruby-http-cookie and ruby-jwt: its messages are above'; }
  has_packages || die 'rsync, curl, ruby, ruby-http-cookie and ruby-jwt are installed, but at least one of them does not work'
}

install_bitrise() {
  if command -v bitrise >/dev/null && command -v envman >/dev/null && command -v stepman >/dev/null; then return; fi
  command -v go >/dev/null ||
    die 'bitrise, envman or stepman is not on the PATH, and building them requires Go: install these three or Go'
  local pins cache
  pins=$(ruby -rdigest -e 'print Digest::SHA256.file(ARGV[0]).hexdigest[0, 16]' "$e2e/tools/go.sum")
  cache=${XDG_CACHE_HOME:-$HOME/.cache}/apple-services-connection-e2e/$pins
  if [[ ! -x $cache/stepman || ! -x $cache/envman || ! -x $cache/bitrise ]]; then
    mkdir -p "$cache"
    (cd "$e2e/tools" && GOBIN=$work/gobin GOFLAGS=-mod=readonly go install tool) >"$work/go.log" 2>&1 ||
      { tail -n 20 "$work/go.log" >&2; die 'cannot build the Bitrise CLI: the errors are above'; }
    mv "$work"/gobin/* "$cache/"
  fi
  PATH=$cache:$PATH
}

# --- Setup ------------------------------------------------------------------------

build() {
  command -v cargo >/dev/null || die 'cargo is missing: install Rust from https://rustup.rs'
  local target=${CARGO_TARGET_DIR:-$repo/target}
  [[ $target == /* ]] || target=$PWD/$target
  CARGO_TARGET_DIR=$target cargo build --quiet --release --locked --bins \
    --package apple-services-connection --package stand-in --manifest-path "$repo/Cargo.toml" || die 'cannot build the Step'
  step_binary=$target/release/apple-services-connection
  stand_in=$target/release/stand-in
}

platform() {
  local os arch
  case $(uname -s) in Darwin) os=darwin ;; *) os=linux ;; esac
  case $(uname -m) in arm64 | aarch64) arch=arm64 ;; *) arch=amd64 ;; esac
  printf '%s-%s' "$os" "$arch"
}

# The CLI copies the folder of a `path::` Step in every run. So that it doesn't copy the whole repository with
# its target folder, `path::./` is a folder that contains only the files of a release and the workflows.
make_stage() {
  mkdir -p "$work/stage/e2e"
  cp "$repo/step.yml" "$repo/step.sh" "$work/stage/"
  cp "$step_binary" "$work/stage/apple-services-connection-$(platform)"
  cp -R "$e2e/assert" "$e2e/script" "$work/stage/e2e/"
  ruby "$e2e/add_common_inputs.rb" <"$e2e/bitrise.yml" >"$work/stage/e2e/bitrise.yml"
}

make_fixtures() {
  mkdir "$work/root"
  ruby "$e2e/fixtures.rb" "$work/root"
  mkdir "$work/home"
}

# Each worker has its own stand-in, so that a request belongs to the scenario that the worker is running.
start_stand_in() {
  mkfifo "$folder/alive"
  "$stand_in" --root "$folder/root" --token "$(<"$folder/root/token")" <"$folder/alive" >"$folder/stand-in.log" 2>&1 &
  stand_in_pid=$!
  exec 9>"$folder/alive"
  local tries=0
  until [[ -s $folder/root/origin ]]; do
    if ! kill -0 "$stand_in_pid" 2>/dev/null || [[ $tries == 100 ]]; then
      cat "$folder/stand-in.log" >&2
      die 'the stand-in did not start'
    fi
    tries=$((tries + 1))
    sleep 0.1
  done
  touch "$folder/root/requests.jsonl"
}

stop_stand_in() {
  exec 9>&- # it exits when its standard input closes
  wait "$stand_in_pid" || true
}

# The CLI stops reading a Step's log as soon as the Step's process exits, and loses whatever is still in the
# pipe: of the Steps that print one line and exit, up to a third lose it. This wrapper around bash waits after a
# Step that succeeds, so that checks of the log are reliable. The Step under test waits by itself when it fails.
make_bash() {
  mkdir "$work/bin"
  printf '#!/bin/sh\n"%s" "$@" || exit\nsleep 0.1\n' "$(command -v bash)" >"$work/bin/bash"
  chmod +x "$work/bin/bash"
}

# Runs a command without this machine's environment. The CLI sends no analytics in offline mode; setting only
# BITRISE_ANALYTICS_DISABLED doesn't work, because the CLI overwrites it.
bitrise_cli() {
  env -i PATH="$work/bin:$PATH" LANG=C.UTF-8 CI=true \
    BITRISE_OFFLINE_MODE=true BITRISE_ANALYTICS_DISABLED=true BITRISE_NO_OUTPUT_TIMEOUT=60 \
    E2E_RUBY="$ruby" GEM_PATH="$gems" "$@" 9>&- </dev/null
}

# Each scenario has its own TMPDIR, so that files that the Step leaves behind are noticed. The stand-in is
# also the proxy: it rejects and records requests to other machines.
run_scenario() {
  local name=$1 run=$work/runs/$1 origin earlier_requests status=0
  mkdir -p "$run/tmp" "$run/results"
  origin=$(<"$folder/root/origin")
  earlier_requests=$(wc -l <"$folder/root/requests.jsonl")
  (
    cd "$work/stage"
    bitrise_cli HOME="$folder/home" TMPDIR="$run/tmp" HTTP_PROXY="$origin" HTTPS_PROXY="$origin" \
      E2E_ROOT="$folder/root" E2E_ORIGIN="$origin" E2E_RESULTS="$run/results" E2E_EARLIER_REQUESTS="$earlier_requests" \
      bitrise run --config e2e/bitrise.yml --inventory "$folder/root/secrets.yml" "$name"
  ) >"$run/log" 2>&1 || status=$?
  printf '%s\n' "$status" >"$run/status"
  tail -n "+$((earlier_requests + 1))" "$folder/root/requests.jsonl" >"$run/requests.jsonl"

  if E2E_ROOT=$folder/root ruby "$e2e/verify_run.rb" "$name" "$run" >"$run/problems" 2>&1; then
    printf 'ok      %s\n' "$name"
    printf '%s\n' "$name" >>"$work/passed"
  else
    {
      printf 'FAILED  %s\n' "$name"
      sed 's/^/        - /' "$run/problems"
      printf '        end of the log:\n'
      if grep -q '^the log contains' "$run/problems"; then
        printf '        | (hidden, because it contains a secret)\n'
      else
        grep -v '^ *$' "$run/log" | tail -n 60 | sed 's/^/        | /'
      fi
    } >"$run/report"
    cat "$run/report" # in one piece, because other workers print too
    printf '%s\n' "$name" >>"$work/failed"
  fi
  rm -rf "$run"
}

# Runs scenarios until all are taken. mkdir is atomic, so no two workers run the same scenario. $1: the worker.
run_worker() {
  local folder=$work/workers/$1 stand_in_pid name
  mkdir -p "$folder"
  cp -R "$work/root" "$work/home" "$folder/"
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
# bitrise_cli replaces HOME, on which finding Ruby and its gems can depend.
ruby=$(ruby -e 'print RbConfig.ruby')
gems=$(ruby -e 'print Gem.path.join(":")')

scenarios=$(ruby -ryaml -e 'puts YAML.safe_load(File.read(ARGV[0]), aliases: true)["workflows"].keys.grep_v(/\A_/)' "$e2e/bitrise.yml")
for name in "$@"; do
  grep -qxF -- "$name" <<<"$scenarios" || die "e2e/bitrise.yml has no workflow $name. Its workflows:"$'\n'"$scenarios"
done
[[ $# == 0 ]] || scenarios=$(printf '%s\n' "$@")

build
make_stage
make_fixtures
make_bash
mkdir "$work/tmp" "$work/taken"
bitrise_cli HOME="$work/home" TMPDIR="$work/tmp" bitrise setup --minimal >"$work/setup.log" 2>&1 ||
  { cat "$work/setup.log" >&2; die 'bitrise setup failed'; }

touch "$work/passed" "$work/failed"
for ((worker = 1; worker <= workers; worker++)); do
  run_worker "$worker" &
done
wait

count() { grep -c '' "$work/$1" || true; }
printf '%d passed, %d failed\n' "$(count passed)" "$(count failed)"
# This also fails if a worker ended early and skipped scenarios.
[[ $(count passed) == $(sort -u <<<"$scenarios" | grep -c '') ]]
[[ $# != 0 ]] || "$e2e/steplib/run.sh" "$step_binary"
