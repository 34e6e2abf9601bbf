#!/usr/bin/env bash
# Runs a release of the Step with the Bitrise CLI, by its git URL, without Rust and without a network:
#
#   e2e/release.sh REPOSITORY VERSION
#
# REPOSITORY has the tag VERSION that release/run created. Needs bitrise, envman, stepman and go on the PATH.
# Prints one line.
set -euo pipefail

repository=$(cd "${1:?REPOSITORY}" && pwd -P)
version=${2:?VERSION}

work=$(mktemp -d "${TMPDIR:-/tmp}/apple-release-run.XXXXXX")
trap 'rm -rf "$work"' EXIT

die() {
  [[ ! -e $work/log ]] || tail -n 60 "$work/log"
  printf 'e2e/release.sh: %s\n' "$*"
  exit 1
}

mkdir -p "$work"/{bin,home,tmp,assert}
# `bitrise setup` needs Go. The Step doesn't.
for tool in bitrise envman stepman go; do
  ln -s "$(command -v "$tool")" "$work/bin/$tool" || die "$tool is not on the PATH"
done
path=$work/bin:/usr/bin:/bin:/usr/sbin:/sbin
for tool in cargo rustc; do
  if PATH=$path command -v "$tool" >/dev/null; then die "$tool is on the PATH of the test run ($path), which must not contain Rust: install Rust with rustup instead"; fi
done

# If the system allows it, the run has no network at all. Otherwise, all requests except to loopback go
# to a proxy that doesn't exist.
without_network=()
if unshare --net --map-root-user true 2>/dev/null; then without_network=(unshare --net --map-root-user); fi

openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out "$work/AuthKey_0123456701.p8" 2>/dev/null
cat >"$work/bitrise.yml" <<YAML
format_version: "23"
default_step_lib_source: https://localhost:9/no-steplib.git
workflows:
  w:
    steps:
    - git::file://$repository@$version:
        inputs:
        - connection: "off"
        - verify: "no"
        - api_key_path: $work/AuthKey_0123456701.p8
        - api_issuer: c055ca8c-e5a8-4836-b61d-aa5794eeb3f4
    - path::$work/assert: {}
YAML
printf 'title: A later step\ntoolkit:\n  bash:\n    entry_file: step.sh\n' >"$work/assert/step.yml"
# shellcheck disable=SC2016 # the later Step expands it
printf '#!/bin/sh\nprintf "%%s %%s\\n" "$APPLE_AUTH_METHOD" "$APPLE_API_KEY_ID" >"$LATER"\n' >"$work/assert/step.sh"

# Runs a command without this machine's environment.
isolated() {
  env -i PATH="$path" LANG=C.UTF-8 CI=true TMPDIR="$work/tmp" HOME="$work/home" LATER="$work/later" \
    GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null GIT_TERMINAL_PROMPT=0 BITRISE_ANALYTICS_DISABLED=true BITRISE_OFFLINE_MODE=true \
    HTTPS_PROXY=http://127.0.0.1:9 HTTP_PROXY=http://127.0.0.1:9 NO_PROXY=localhost,127.0.0.1 \
    https_proxy=http://127.0.0.1:9 http_proxy=http://127.0.0.1:9 no_proxy=localhost,127.0.0.1 \
    ${without_network[@]+"${without_network[@]}"} "$@" </dev/null
}

{
  isolated bitrise setup --minimal && (cd "$work" && isolated bitrise run --config "$work/bitrise.yml" w)
} >"$work/log" 2>&1 || die 'the workflow failed'
[[ -e $work/later && $(<"$work/later") == 'api_key 0123456701' ]] || die 'the later Step does not see the key'
if [[ -e $work/home/.cache/apple-services-connection ]]; then die 'the Step downloaded or built something'; fi
printf 'ok  git::%s@%s runs with the Bitrise CLI, without Rust and without a network%s\n' "file://<repository>" "$version" \
  "${without_network[*]:+ (own network namespace)}"
