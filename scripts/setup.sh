#!/bin/bash
# Installs what building and testing Windlass needs on Debian 12; only what is missing.
#   setup.sh         everything that `make test` runs
#   setup.sh demo    what `make demo` needs of that: little, because a newcomer waits for it (QUEUE=amqp: RabbitMQ too)
#   setup.sh lab     what the lab's machines need
#   setup.sh bench   what `make bench` needs: also Python environments for the tools that it compares
#   setup.sh image   what `make image` needs on top: podman, which builds and runs images without a daemon
#   setup.sh lint    what `make lint` needs on top: cargo-deny, which takes minutes to compile
set -euo pipefail

everything="build check lab outside authority broker secrets clock page scripts"
wanted=${1:-all}
case $wanted in
all) groups=$everything ;;
demo) groups="build check lab outside authority" ;;
lab) groups="build lab" ;;
bench) groups="build check lab outside broker python" ;;
image) groups="$everything image" ;;
lint)
    if command -v cargo-deny >/dev/null; then exit 0; fi
    echo "setup: compiling cargo-deny, which \`make lint\` runs (once; some minutes)"
    exec cargo install --locked cargo-deny
    ;;
*) echo "usage: setup.sh [demo|lab|bench|image|lint]" >&2; exit 2 ;;
esac
if [ "$wanted" = demo ] && [ "${QUEUE:-}" = amqp ]; then groups+=" broker"; fi

# Installed unless they are there already, if the group $1 is wanted: for the reason $2, the packages $3...
missing=()
group() {
    local reason=$2 absent
    if [[ " $groups " != *" $1 "* ]]; then return; fi
    shift 2
    mapfile -t absent < <(comm -23 <(printf '%s\n' "$@" | sort) \
        <(dpkg-query -W -f '${Package} ${Status}\n' "$@" 2>/dev/null |
            awk '$4 == "installed" { print $1 }' | sort))
    if [ ${#absent[@]} -gt 0 ]; then
        echo "setup: installing ${absent[*]} ($reason)"
        missing+=("${absent[@]}")
    fi
}
group build "to build" gcc make pkg-config libssl-dev git
group check "to check configurations as the worker does" \
    bubblewrap haproxy bind9 bind9-utils iptables openssh-server procps
group secrets "to decrypt the secrets of a repository" age
group lab "to boot the lab's machines" mmdebstrap systemd-container iproute2 nftables util-linux openssh-client
group broker "to test against a message broker" rabbitmq-server
group authority "to test against a certificate authority" pebble
group outside "to look at the lab from outside" curl bind9-dnsutils socat openssl
group clock "to let clocks jump" faketime
group page "to look at the page of a preview" chromium-headless-shell
group scripts "to check the scripts" shellcheck
group python "to run pyinfra and Ansible" python3-venv
group image "to build the image and to read the compose file" podman runc docker-compose

newer_pebble=
if [ "$wanted" = all ] && [ ! -x /usr/local/lib/windlass-tests/pebble ]; then newer_pebble=1; fi
rabbitmq4=$(dirname "$0")/../tests/broker/rabbitmq4.sh
if [ "$wanted" != all ] || [ -d "$("$rabbitmq4" --path)" ]; then rabbitmq4=; fi
if [ ${#missing[@]} = 0 ] && [ -z "$newer_pebble$rabbitmq4" ]; then exit 0; fi

as_root=()
if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "setup: neither root nor sudo: install them as root and run this again" >&2
        exit 1
    fi
    as_root=(sudo)
fi

install_missing() {
    # We want the programs, not their daemons: HAProxy, BIND, sshd and RabbitMQ must not start on this machine.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
        "${as_root[@]}" chmod 755 "$policy"
        trap '"${as_root[@]}" rm -f "$policy"' EXIT
    fi
    # Not quiet: apt says how much it fetches and how far it is.
    "${as_root[@]}" apt-get update
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install --yes --no-install-recommends -o Dpkg::Use-Pty=0 "${missing[@]}"

    # Nor at its next boot; those that were here before are none of our business.
    local package services
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
}

if [ ${#missing[@]} -gt 0 ]; then install_missing; fi
# After apt-get update, so that it finds the machine's own mirror.
if [ -n "$newer_pebble" ]; then "${as_root[@]}" "$(dirname "$0")/newer-pebble.sh"; fi
if [ -n "$rabbitmq4" ]; then "${as_root[@]}" "$rabbitmq4"; fi
