#!/bin/bash
# Runs cargo for whoever called. Under sudo that is the user behind it: root's PATH has no ~/.cargo/bin, and a build by
# root would leave files in target/ and ~/.cargo that the user's next build cannot replace.
#   cargo.sh ARGUMENTS...             as that user
#   cargo.sh --as-root ARGUMENTS...   their cargo as root, for tests that boot machines; what it wrote is theirs afterwards
set -euo pipefail

as_root=
if [ "${1:-}" = --as-root ]; then as_root=1; shift; fi

user=${SUDO_USER:-root}
if [ "$(id -u)" = 0 ] && [ "$user" != root ]; then
    home=$(getent passwd "$user" | cut -d: -f6)
    export PATH=$home/.cargo/bin:$PATH RUSTUP_HOME=$home/.rustup CARGO_HOME=$home/.cargo
fi
if ! command -v cargo >/dev/null; then
    echo "cargo is not in PATH${home:+, nor in $home/.cargo/bin}: install Rust from https://rustup.rs" >&2
    exit 1
fi
if [ -z "${home:-}" ]; then exec cargo "$@"; fi

# What only root owns where the user builds, from this run or an earlier one.
give_back() {
    for dir in "${CARGO_TARGET_DIR:-target}" "$CARGO_HOME"; do
        if [ -d "$dir" ]; then find "$dir" -xdev -user root -exec chown --no-dereference "$user:" {} +; fi
    done
}
if [ "$(stat -c %U .)" != "$user" ]; then
    # Root's own checkout, which the user may not write to: the user lends the toolchain, root has its own registry.
    unset CARGO_HOME
    exec cargo "$@"
fi
trap give_back EXIT
if [ -n "$as_root" ]; then
    cargo "$@"
else
    give_back
    runuser -u "$user" -- env HOME="$home" cargo "$@"
fi
