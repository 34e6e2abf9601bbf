#!/usr/bin/env bash
set -euo pipefail
exec "${E2E_RUBY:?set by e2e/run.sh}" "$BITRISE_STEP_SOURCE_DIR/assert.rb"
