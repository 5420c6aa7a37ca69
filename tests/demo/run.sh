#!/bin/bash
# make demo: builds what the story needs, side by side, and plays it. KEEP=1 leaves everything running.
set -euo pipefail
cd "$(dirname "$0")/../.."
echo "Building the program, and beside it the base image of the machines (the first time: some minutes)"
tests/lab/base/build.sh core &
base=$!
# Both are waited for, so that neither goes on behind a message of the other.
built=0
scripts/cargo.sh build -p windlass -p windlass-tests --bins || built=$?
wait "$base"
[ "$built" = 0 ] || exit "$built"
exec "${CARGO_TARGET_DIR:-target}/debug/demo"
