#!/bin/bash
# Runs all tests. As root the lab's tests run too, and its base image is built while cargo compiles;
# without root they are reported as ignored.
#   test.sh [FILTER...]      only the tests whose names contain one of these
set -euo pipefail
cd "$(dirname "$0")/.."

filter=("$@")
lab_too=() as_root=
if [ "$(id -u)" = 0 ]; then as_root=1; else echo "not root: the lab's tests will be reported as ignored"; fi

if scripts/cargo.sh nextest --version >/dev/null 2>&1; then
    run=(nextest run --workspace --no-fail-fast)
    compile=(nextest run --workspace --no-run)
    if [ -n "$as_root" ]; then lab_too=(--run-ignored all); fi
else
    echo "cargo-nextest is not installed: \`cargo test\` is slower and ends no test that hangs" \
        "(better: cargo install --locked cargo-nextest)"
    run=(test --workspace --no-fail-fast --)
    compile=(test --workspace --no-run)
    # Not more labs at once than .config/nextest.toml says. cargo has no such limit for a single package.
    if [ -n "$as_root" ]; then lab_too=(--include-ignored --test-threads=2); fi
fi
run=("${run[@]}" "${lab_too[@]}" "${filter[@]}")

if [ -z "$as_root" ]; then exec scripts/cargo.sh "${run[@]}"; fi
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
scripts/cargo.sh --as-root "${run[@]}"
