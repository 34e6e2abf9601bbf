#!/usr/bin/env bash
# Does what the Step does, but as a script: exports the connected API key for the same tools, in the same
# outputs. Verifies nothing, and if the script fails midway, only some outputs are exported.
set -euo pipefail
umask 077

json=$(curl -fsS -H "BUILD_API_TOKEN: $BITRISE_BUILD_API_TOKEN" \
  "$BITRISE_BUILD_URL/apple_developer_portal_data.json")
key_id=$(jq -r .key_id <<<"$json")
issuer_id=$(jq -r .issuer_id <<<"$json")

folder=$(mktemp -d)
key_path=$folder/AuthKey_$key_id.p8
jq -r .private_key <<<"$json" >"$key_path"
jq '{key_id, issuer_id, key: .private_key, in_house: false}' <<<"$json" >"$folder/fastlane.json"

add() { printf '%s' "$2" | envman add --key "$1" --no-expand; }

add APPLE_AUTH_METHOD api_key
add APPLE_AUTH_SOURCE connection
add APPLE_AUTH_VERIFIED no
add APPLE_API_KEY_PATH "$key_path"
add APPLE_API_KEY_URL "file://$key_path"
add APPLE_API_KEY_ID "$key_id"
add APPLE_API_ISSUER "$issuer_id"
add APPLE_API_KEY_ENTERPRISE no
add API_PRIVATE_KEYS_DIR "$folder"
add APP_STORE_CONNECT_API_KEY_PATH "$folder/fastlane.json"
add APP_STORE_CONNECT_API_KEY_KEY_ID "$key_id"
add APP_STORE_CONNECT_API_KEY_ISSUER_ID "$issuer_id"
add APP_STORE_CONNECT_API_KEY_KEY_FILEPATH "$key_path"
add APP_STORE_CONNECT_API_KEY_IN_HOUSE false
add PRECHECK_INCLUDE_IN_APP_PURCHASES false
add APPLE_CREDENTIALS_DIR "$folder"
