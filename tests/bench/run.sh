#!/bin/bash
# Sets up what is missing, builds, and measures: `make bench`. Takes about half an hour, nearly all of it Ansible's.
#   BENCH_ROUNDS=1 BENCH_CORE_ROUNDS=3 BENCH_TOOLS=floor,windlass make bench      makes it shorter
set -euo pipefail
cd "$(dirname "$0")/../.."

target=${CARGO_TARGET_DIR:-target}
cache=${WINDLASS_LAB_CACHE:-/var/cache/windlass-lab}
recipe=tests/bench/requirements.txt

# With all of them 0 no machine is booted.
if [ "${BENCH_ROUNDS:-1}${BENCH_PUSH_ROUNDS:-1}${BENCH_PREVIEW_ROUNDS:-1}" != 000 ]; then
    tests/lab/preflight.sh "make bench"
fi
scripts/setup.sh bench
venv=$cache/bench-venv-$(sha256sum "$recipe" | cut -c1-12)
if [ ! -e "$venv/complete" ]; then
    echo "bench: installing $(paste -sd' ' "$recipe") into $venv (once)"
    rm -rf "$venv"
    mkdir -p "$cache"
    /usr/bin/python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$recipe"
    touch "$venv/complete"
fi

if [ "$(id -u)" = 0 ]; then
    tests/lab/base/build.sh core >/dev/null
fi
scripts/cargo.sh build --release --package windlass --package windlass-tests --bin windlass --bin bench
exec "$target/release/bench" run --venv "$venv" --windlass "$target/release/windlass" \
    --logs "$target/bench-logs" --json "$target/bench.json" "$@"
