#!/usr/bin/env bash
# Runs the Step by its ID from a StepLib, like users do: e2e/steplib/run.sh BINARY
#
# Creates the StepLib and the Step's repository as local git repositories, and contacts no other machine. Needs
# bitrise, envman and stepman on the PATH, so e2e/run.sh calls it.
#
# Prints one line per scenario, and `N passed, N failed` at the end.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
repo=$(cd "$here/../.." && pwd -P)
binary=${1:?BINARY}
name=apple-services-connection
work=

die() {
  printf 'e2e/steplib/run.sh: %s\n' "$*" >&2
  exit 1
}

trap '[[ -z $work ]] || rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP

for tool in bitrise envman stepman git ruby cargo openssl; do
  command -v "$tool" >/dev/null || die "$tool is not on the PATH"
done

# Without this machine's git configuration.
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
export GIT_AUTHOR_NAME=Test GIT_AUTHOR_EMAIL=test@example.com GIT_COMMITTER_NAME=Test GIT_COMMITTER_EMAIL=test@example.com
commit() { git -C "$1" add --all && git -C "$1" commit --quiet -m "$2"; }

work=$(mktemp -d "${TMPDIR:-/tmp}/apple-steplib.XXXXXX")
work=$(cd "$work" && pwd -P)
mkdir -p "$work"/{step,steplib,assert,runs,binaries}
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$repo/Cargo.toml" | head -n 1)
# A version that contains the sources, and a release whose binaries are not executable.
source_version=0.0.0
not_executable_version=0.0.1

# --- The Step's repository, with a tag for each version ---------------------------

git -C "$repo" ls-files -z --cached --others --exclude-standard |
  while IFS= read -r -d '' file; do
    [[ ! -e $repo/$file ]] || printf '%s\0' "$file"
  done | (cd "$repo" && xargs -0 tar -cf -) | tar -xf - -C "$work/step"
git init --quiet --initial-branch main "$work/step"
commit "$work/step" 'Sources'
git -C "$work/step" tag "$source_version"

# This machine runs only one of a release's four binaries, so all four can be copies of the same one.
for target in darwin-arm64 darwin-amd64 linux-amd64 linux-arm64; do
  cp "$binary" "$work/binaries/$name-$target"
done
"$work/step/release/commit" "$version" "$work/binaries" >/dev/null
git -C "$work/step" checkout --quiet "$version"
chmod -x "$work/step/$name"-*
commit "$work/step" 'A release without execute permissions'
git -C "$work/step" tag "$not_executable_version"

# --- The StepLib --------------------------------------------------------------------

cat >"$work/steplib/steplib.yml" <<YAML
format_version: 1.0.0
steplib_source: $work/steplib
download_locations:
- type: git
YAML

# Adds a version to the StepLib as `bitrise share` does. $1: the version.
publish() {
  local folder=$work/steplib/steps/$name/$1
  mkdir -p "$folder"
  {
    cat "$repo/step.yml"
    printf '\npublished_at: 2026-01-01T00:00:00Z\nsource:\n  git: %s.git\n  commit: %s\n' \
      "$source_url" "$(git -C "$work/step" rev-parse "$1")"
  } >"$folder/step.yml"
}
# A StepLib accepts only https URLs of Step repositories, so git replaces them with local folders.
source_url=$(sed -n 's/^source_code_url: //p' "$repo/step.yml")
printf '[url "%s"]\n  insteadOf = %s.git\n' "$work/step" "$source_url" >"$work/gitconfig"
for published in "$source_version" "$not_executable_version" "$version"; do publish "$published"; done
git init --quiet "$work/steplib"
commit "$work/steplib" 'A StepLib with the Step'

# A replacement for Bitrise's StepLib. It has only the Script Step, which the README's quick start uses.
official=https://github.com/bitrise-io/bitrise-steplib.git
script=https://github.com/bitrise-steplib/bitrise-step-script.git
cp -R "$repo/e2e/script" "$work/script"
git init --quiet "$work/script"
commit "$work/script" 'The Script Step'
git -C "$work/script" tag 1.0.0
mkdir -p "$work/official/steps/script/1.0.0"
printf 'format_version: 1.0.0\nsteplib_source: %s\ndownload_locations:\n- type: git\n' "$official" >"$work/official/steplib.yml"
{
  cat "$repo/e2e/script/step.yml"
  printf '\nsource_code_url: %s\nsupport_url: %s\nwebsite: %s\npublished_at: 2026-01-01T00:00:00Z\nsource:\n  git: %s\n  commit: %s\n' \
    "${script%.git}" "${script%.git}" "${script%.git}" "$script" "$(git -C "$work/script" rev-parse HEAD)"
} >"$work/official/steps/script/1.0.0/step.yml"
git init --quiet "$work/official"
commit "$work/official" 'A StepLib with the Script Step'
printf '[url "%s"]\n  insteadOf = %s\n' "$work/official" "$official" "$work/script" "$script" >>"$work/gitconfig"

# --- The workflow -------------------------------------------------------------------

openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out "$work/AuthKey_0123456701.p8" 2>/dev/null
inputs=(
  connection=off
  verify=no
  api_key_path="$work/AuthKey_0123456701.p8"
  api_issuer=c055ca8c-e5a8-4836-b61d-aa5794eeb3f4
  # Nothing listens on this port, so a request would fail.
  app_store_connect_url=https://localhost:9 app_store_connect_enterprise_url=https://localhost:9
  apple_session_url=https://localhost:9 build_url=
)
print_workflow() {
  printf 'format_version: "23"\ndefault_step_lib_source: %s\nworkflows:\n  w:\n    steps:\n    - %s@%s:\n        inputs:\n' \
    "$work/steplib" "$name" "$1"
  local input
  for input in "${inputs[@]}"; do printf '        - %s: "%s"\n' "${input%%=*}" "${input#*=}"; done
  printf '    - path::%s: {}\n' "$work/assert"
}
printf 'title: A later step\ntoolkit:\n  bash:\n    entry_file: step.sh\n' >"$work/assert/step.yml"
# shellcheck disable=SC2016 # the later Step expands it
printf '#!/bin/sh\nprintf "%%s %%s\\n" "$APPLE_AUTH_METHOD" "$APPLE_API_KEY_ID" >"$LATER"\n' >"$work/assert/step.sh"

# Runs a command without this machine's environment. All requests except to loopback go to a proxy that doesn't
# exist.
isolated() {
  env -i PATH="$PATH" LANG=C.UTF-8 CI=true TMPDIR="$run/tmp" HOME="$run/home" LATER="$run/later" \
    GIT_CONFIG_GLOBAL="$work/gitconfig" GIT_CONFIG_SYSTEM=/dev/null GIT_TERMINAL_PROMPT=0 \
    BITRISE_OFFLINE_MODE=true BITRISE_ANALYTICS_DISABLED=true \
    HTTPS_PROXY=http://127.0.0.1:9 HTTP_PROXY=http://127.0.0.1:9 NO_PROXY=localhost,127.0.0.1 \
    https_proxy=http://127.0.0.1:9 http_proxy=http://127.0.0.1:9 no_proxy=localhost,127.0.0.1 \
    "$@" </dev/null
}

# Runs the workflow with the Bitrise CLI. $1: the Step's version. The rest: environment variables.
run_workflow() {
  isolated bitrise setup --minimal
  # The CLI is offline, so it runs the Step from stepman's cache.
  isolated stepman setup --collection "$work/steplib"
  isolated stepman download --collection "$work/steplib" --id "$name" --version "$1"
  print_workflow "$1" >"$run/bitrise.yml"
  (cd "$run" && isolated "${@:2}" bitrise run --config "$run/bitrise.yml" w)
}

# --- Scenarios ----------------------------------------------------------------------

# Records a problem if a check fails. $1: the problem. The rest: the command that checks.
expect() {
  "${@:2}" || printf '%s\n' "$1" >>"$run/problems"
}
log_contains() { grep -Fq -- "$1" "$run/log"; }
later_step_has_key() { [[ -e $run/later && $(<"$run/later") == 'api_key 0123456701' ]]; }
cached() { compgen -G "$run/home/.cache/$name/$name-*" >/dev/null; }
not_cached() { ! cached; }
not_built() { ! log_contains 'Building the Step from source'; }

source_version_is_built_with_cargo() {
  # Uses this machine's cargo offline: its registry has the dependencies, because BINARY was built here.
  mkdir "$run/cargo"
  ln -s "${CARGO_HOME:-$HOME/.cargo}/registry" "$run/cargo/registry"
  run_workflow "$source_version" \
    CARGO_HOME="$run/cargo" RUSTUP_HOME="${RUSTUP_HOME:-$HOME/.rustup}" CARGO_NET_OFFLINE=true
  expect 'a later Step does not see the key' later_step_has_key
  expect 'the log does not contain "Building the Step from source"' log_contains 'Building the Step from source'
  expect 'the binary is not in the cache' cached
}

release_runs_its_own_binary() {
  run_workflow "$version"
  expect 'a later Step does not see the key' later_step_has_key
  expect 'the binary was copied' not_cached
}

release_without_execute_permission_runs() {
  run_workflow "$not_executable_version"
  expect 'a later Step does not see the key' later_step_has_key
  expect 'the binary is not in the cache' cached
}

stepman_audit_accepts_every_version() {
  isolated stepman audit --step-yml "$repo/step.yml"
  isolated stepman audit --before-pr --step-yml "$work/steplib/steps/$name/$version/step.yml"
  isolated stepman setup --collection "$work/steplib"
  isolated stepman audit --collection "$work/steplib"
  expect "version $source_version was not audited" log_contains "Success audit ($name) ($source_version)"
  expect "version $version was not audited" log_contains "Success audit ($name) ($version)"
}

# Runs the first YAML snippet in the README unchanged, with a connected API key. Bitrise's connection is a file, Apple
# is unreachable, and a script that reads the key from fastlane's variable replaces fastlane. The sources are the same
# as in source_version_is_built_with_cargo, so the binary in that scenario's cache runs.
quick_start_in_the_readme_runs() {
  # shellcheck disable=SC2016 # the backticks are Markdown's
  ruby -e 'print File.read(ARGV[0])[/^```yaml\n(.*?)^```$/m, 1]' "$repo/README.md" >"$run/bitrise.yml"
  ruby -rjson -e 'print JSON.generate(key_id: "0123456701", issuer_id: "c055ca8c-e5a8-4836-b61d-aa5794eeb3f4", private_key: File.read(ARGV[0]))' \
    "$work/AuthKey_0123456701.p8" >"$run/connection.json"
  mkdir "$run/bin"
  # shellcheck disable=SC2016 # the script expands it
  printf '%s\n' '#!/usr/bin/env ruby' 'require "json"' \
    'key = JSON.parse(File.read(ENV.fetch("APP_STORE_CONNECT_API_KEY_PATH")))' \
    'File.write(ENV.fetch("LATER"), "#{ENV["APPLE_AUTH_METHOD"]} #{key.fetch("key_id")}") if ARGV[0, 2] == %w[pilot builds]' \
    >"$run/bin/fastlane"
  chmod +x "$run/bin/fastlane"
  mkdir "$run/home/.cache"
  cp -Rp "$work/runs/source_version_is_built_with_cargo/home/.cache/$name" "$run/home/.cache/"
  isolated bitrise setup --minimal
  isolated stepman setup --collection "$official"
  isolated stepman download --collection "$official" --id script --version 1.0.0
  (cd "$run" && isolated PATH="$run/bin:$PATH" BITRISE_BUILD_URL="file://$run/connection.json" BITRISE_BUILD_API_TOKEN=token \
    bitrise run --config "$run/bitrise.yml" builds)
  expect 'the last Step does not see the key' later_step_has_key
  expect 'the Step was built again' not_built
}

passed=0
failed=0
for scenario in stepman_audit_accepts_every_version release_runs_its_own_binary \
  release_without_execute_permission_runs source_version_is_built_with_cargo \
  quick_start_in_the_readme_runs; do
  run=$work/runs/$scenario
  mkdir -p "$run/tmp" "$run/home"
  : >"$run/problems"
  # Runs in a subshell outside of a condition, because bash ignores `set -e` in conditions.
  set +e
  (
    set -e
    "$scenario"
  ) >"$run/log" 2>&1
  status=$?
  set -e
  [[ $status == 0 ]] || printf 'the scenario failed with status %s\n' "$status" >>"$run/problems"
  if [[ ! -s $run/problems ]]; then
    printf 'ok      steplib: %s\n' "${scenario//_/ }"
    passed=$((passed + 1))
  else
    printf 'FAILED  steplib: %s\n' "${scenario//_/ }"
    sed 's/^/        - /' "$run/problems"
    grep -v '^ *$' "$run/log" | tail -n 60 | sed 's/^/        | /'
    failed=$((failed + 1))
  fi
done

printf '%d passed, %d failed\n' "$passed" "$failed"
[[ $failed == 0 ]]
