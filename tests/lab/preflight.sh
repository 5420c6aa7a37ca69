#!/bin/bash
# Says in a line why this machine cannot boot the lab, before anything is installed or built for it.
#   preflight.sh WHAT      WHAT is the command that wants the lab, as one types it
# It uses only what every Debian has; that the lab's own programs are there is looked at when it boots.
set -euo pipefail
what=$1

# Does not come back.
cannot() {
    echo "$what boots machines, which this machine cannot: $*" >&2
    exit 1
}

if [ "$(id -u)" != 0 ]; then
    echo "$what boots machines, and that needs root: run it as 'sudo $what'" >&2
    exit 1
fi

said=$(unshare --mount --net --pid --fork true 2>&1) ||
    cannot "it allows no namespaces (${said:-unshare fails}), as most containers do; a real or a virtual machine can"

# As tests/src/lab/cgroup.rs: a node is frozen by v1's freezer where there is one, else by v2.
hierarchy=$(awk '$2 ~ "^/sys/fs/cgroup(/|$)" && ($3 == "cgroup2" || ($3 == "cgroup" && $4 ~ /(^|,)freezer(,|$)/)) {
        print $3 == "cgroup", $2 }' /proc/self/mounts | sort -r | head -n 1 | cut -d' ' -f2)
[ -n "$hierarchy" ] || cannot "no cgroups that can freeze are mounted below /sys/fs/cgroup"
trial=$hierarchy/windlass-preflight-$$
said=$(mkdir "$trial" 2>&1 && rmdir "$trial" 2>&1) || cannot "it lets nobody make a cgroup ($said)"

# As tests/src/lab/disk.rs mounts a node's disk. What is mounted here ends with the namespace.
# shellcheck disable=SC2016 # the inner shell's
said=$(unshare --mount --propagation private sh -euc '
    mount -t tmpfs windlass-preflight /mnt
    cd /mnt
    mkdir lower upper work root
    mount -t overlay -o redirect_dir=on,lowerdir=lower,upperdir=upper,workdir=work windlass-preflight root' 2>&1) ||
    cannot "it mounts no overlay ($said)"
