#!/bin/bash
# Format, lints, dependencies, shell scripts: what must be clean before anything lands.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh
scripts/setup.sh lint
echo "lint: format"
cargo fmt --all --check
echo "lint: shell scripts"
git ls-files -z '*.sh' .ci/run | xargs -0 shellcheck
if command -v docker-compose >/dev/null; then
    echo "lint: compose file"
    (cd docker && docker-compose config --quiet)
fi
echo "lint: dependencies"
cargo deny --log-level error check bans licenses sources
echo "lint: clippy"
cargo clippy --workspace --all-targets -- -D warnings
