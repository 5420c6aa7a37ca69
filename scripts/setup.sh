#!/bin/bash
# Installs what building and testing Windlass needs on Debian 12; only what is missing.
#   setup.sh         packages for building, for the checks and for the lab
#   setup.sh bench   what `make bench` needs on top: Python environments for the tools that it compares
#   setup.sh image   what `make image` needs on top: podman, which builds and runs images without a daemon
#   setup.sh lint    what `make lint` needs on top: cargo-deny, which takes minutes to compile
set -euo pipefail

if [ "${1:-}" = lint ]; then
    if command -v cargo-deny >/dev/null; then exit 0; fi
    echo "setup: compiling cargo-deny, which \`make lint\` runs (once; some minutes)"
    exec cargo install --locked cargo-deny
fi

declare -A needs=(
    ["to build"]="gcc make pkg-config libssl-dev git"
    ["to check configurations as the worker does"]="bubblewrap haproxy bind9 bind9-utils iptables openssh-server procps"
    ["to decrypt the secrets of a repository"]="age"
    ["to boot the lab's machines"]="mmdebstrap systemd-container iproute2 nftables util-linux openssh-client"
    ["to test against a message broker"]="rabbitmq-server"
    ["to test against a certificate authority"]="pebble"
    ["to look at the lab from outside"]="curl bind9-dnsutils socat openssl"
    ["to look at the page of a preview"]="chromium-headless-shell"
    ["to check the scripts"]="shellcheck"
)
if [ "${1:-}" = bench ]; then needs["to run pyinfra and Ansible"]="python3-venv"; fi
if [ "${1:-}" = image ]; then
    needs["to build the image and to read the compose file"]="podman runc docker-compose"
fi

missing=()
for reason in "${!needs[@]}"; do
    # shellcheck disable=SC2086 # a list of words
    mapfile -t absent < <(comm -23 <(printf '%s\n' ${needs[$reason]} | sort) \
        <(dpkg-query -W -f '${Package} ${Status}\n' ${needs[$reason]} 2>/dev/null |
            awk '$4 == "installed" { print $1 }' | sort))
    if [ ${#absent[@]} -gt 0 ]; then
        echo "setup: installing ${absent[*]} ($reason)"
        missing+=("${absent[@]}")
    fi
done
if [ ${#missing[@]} = 0 ] && [ -x /usr/local/lib/windlass-tests/pebble ]; then exit 0; fi

as_root=()
if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "setup: neither root nor sudo: install them as root and run this again" >&2
        exit 1
    fi
    as_root=(sudo)
fi
"${as_root[@]}" "$(dirname "$0")/newer-pebble.sh"
if [ ${#missing[@]} = 0 ]; then exit 0; fi

# We want the programs, not their daemons: HAProxy, BIND, sshd and RabbitMQ must not start on this machine.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
    "${as_root[@]}" chmod 755 "$policy"
    trap '"${as_root[@]}" rm -f "$policy"' EXIT
fi
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install --yes --no-install-recommends -qq -o Dpkg::Use-Pty=0 "${missing[@]}"

# Nor at its next boot; those that were here before are none of our business.
for package in "${missing[@]}"; do
    case $package in
    haproxy) services=(haproxy) ;;
    bind9) services=(named) ;;
    openssh-server) services=(ssh) ;;
    rabbitmq-server) services=(rabbitmq-server epmd.socket epmd) ;;
    *) continue ;;
    esac
    "${as_root[@]}" systemctl --quiet disable "${services[@]}" 2>/dev/null || true
done
