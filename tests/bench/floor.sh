#!/bin/bash
# The least that a careful person's script does: files rendered beforehand, one archive over one SSH connection a
# node, HAProxy's own check, a rename, a reload, and requests until the new version answers. No journal, no going
# back, no drift, no gates: what Windlass does on top of this is measured against it.
#   floor.sh change | nothing | diff
set -euo pipefail
cd "$BENCH_WORK"

read -ra nodes <nodes.txt
login() { ssh -F ssh_config "$@"; }

change() {
    local node=$1 tries=0 url
    url=http://$(address "$node"):$BENCH_PORT/version/$BENCH_VERSION
    tar -C "trees/floor/$node" -cf - . | login "$node" '
        set -e
        cd /etc/bench
        rm -rf floor.new floor.old
        mkdir floor.new
        tar -C floor.new -xf -
        haproxy -c -q -f floor.new/haproxy.cfg
        mv floor floor.old
        mv floor.new floor
        systemctl reload bench-floor'
    until curl -fs -m 2 "$url" >/dev/null; do
        tries=$((tries + 1))
        if [ "$tries" -gt 100 ]; then echo "$node does not serve $BENCH_VERSION" >&2; exit 1; fi
        sleep 0.02
    done
}

address() { awk -v node="$1" '$1 == "Host" { at = $2 } $1 == "HostName" && at == node { print $2 }' ssh_config; }

nothing() { (cd "trees/floor/$1" && sha256sum ./*) | login "$1" 'cd /etc/bench/floor && sha256sum --check --quiet -'; }

diff_of() {
    local held=held/$1
    rm -rf "$held"
    mkdir -p "$held"
    login "$1" 'tar -C /etc/bench/floor -cf - .' | tar -C "$held" -xf -
    diff -ru "$held" "trees/floor/$1" || [ $? = 1 ]
}

# On all nodes at once.
everywhere() {
    local jobs=() node job
    for node in "${nodes[@]}"; do
        "$1" "$node" &
        jobs+=($!)
    done
    for job in "${jobs[@]}"; do wait "$job"; done
}

case $1 in
change) for node in "${nodes[@]}"; do change "$node"; done ;;
nothing) everywhere nothing ;;
diff) everywhere diff_of ;;
esac
