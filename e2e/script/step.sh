#!/usr/bin/env bash
set -euo pipefail
eval "${content:?}"
