#!/bin/bash
# Runs all tests. As root the lab's tests run too, and its base image is built while cargo compiles;
# without root they are reported as ignored.
#   test.sh [FILTER...]      only the tests whose names contain one of these
set -euo pipefail
cd "$(dirname "$0")/.."

run=(test --workspace --no-fail-fast)
compile=(test --workspace --no-run)
lab_too=(-- --include-ignored)
filter=()
if scripts/cargo.sh nextest --version >/dev/null 2>&1; then
    run=(nextest run --workspace --no-fail-fast)
    compile=(nextest run --workspace --no-run)
    lab_too=(--run-ignored all)
fi
if [ $# -gt 0 ]; then filter=("$@"); fi

if [ "$(id -u)" != 0 ]; then
    echo "not root: the lab's tests will be reported as ignored"
    exec scripts/cargo.sh "${run[@]}" "${filter[@]}"
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
tests/lab/base/build.sh core >"$log" 2>&1 &
base=$!
compiled=0
scripts/cargo.sh "${compile[@]}" || compiled=$?
tail --lines=+1 --follow --pid="$base" "$log"
if ! wait "$base"; then
    echo "the lab's base image could not be built" >&2
    exit 1
fi
if [ "$compiled" != 0 ]; then exit "$compiled"; fi
scripts/cargo.sh --as-root "${run[@]}" "${filter[@]}" "${lab_too[@]}"
