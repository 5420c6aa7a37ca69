#!/bin/bash
# Removes a lab and everything it started; the only code that does.
#   teardown.sh [--when-stdin-closes] NUMBER OWNER
# OWNER is what the lab's owner file must still say: the number may have been given to another lab.
# With --when-stdin-closes it waits for its owner's death first: the owner holds the other end of the
# pipe, and the kernel closes it however the owner dies.
set -u
if [ "${1:-}" = --when-stdin-closes ]; then
    shift
    cat >/dev/null
fi
number=$1 owner=$2
state=/run/windlass-lab/$number
network=windlass-lab-$number

exec 9>>/run/windlass-lab/lock
flock 9
[ -d "$state" ] || exit 0
[ "$(cat "$state/owner" 2>/dev/null)" = "$owner" ] || exit 0

cgroups=()
for cgroup in "/sys/fs/cgroup/windlass-lab-$number-"* "/sys/fs/cgroup/"*"/windlass-lab-$number-"*; do
    if [ -d "$cgroup" ]; then cgroups+=("$cgroup"); fi
done
processes() {
    if [ ${#cgroups[@]} -gt 0 ]; then find "${cgroups[@]}" -name cgroup.procs -exec cat {} + 2>/dev/null; fi
    if [ -e "/run/netns/$network" ]; then ip netns pids "$network" 2>/dev/null; fi
}
thaw() {
    local cgroup
    for cgroup in "${cgroups[@]}"; do
        if [ -e "$cgroup/freezer.state" ]; then echo THAWED >"$cgroup/freezer.state"; fi
        if [ -e "$cgroup/cgroup.freeze" ]; then echo 0 >"$cgroup/cgroup.freeze"; fi
    done
}
for _ in $(seq 200); do
    mapfile -t pids < <(processes | sort -un)
    [ ${#pids[@]} -gt 0 ] || break
    kill -KILL "${pids[@]}" 2>/dev/null
    thaw 2>/dev/null
    sleep 0.05
done

# The veth first: a dying namespace would remove it only some time later.
ip link delete "wl$number" 2>/dev/null
ip netns delete "$network" 2>/dev/null
awk -v below="$state/" 'index($5, below) == 1 { print $5 }' /proc/self/mountinfo | sort -r |
    while read -r mount; do umount "$mount" || umount --lazy "$mount"; done
rmdir "/run/systemd/nspawn/propagate/w$number-"* 2>/dev/null
for _ in $(seq 100); do
    left=
    for cgroup in "${cgroups[@]}"; do
        if [ -d "$cgroup" ]; then
            find "$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null || left=$cgroup
        fi
    done
    [ -n "$left" ] || break
    sleep 0.05
done
rm -rf --one-file-system "/var/lib/windlass-lab/$number"
# The owner file last: without it nobody would take up what an interrupted teardown left.
find "$state" -mindepth 1 -maxdepth 1 ! -name owner -exec rm -rf --one-file-system {} +
rm -rf --one-file-system "$state"
if [ -d "$state" ]; then
    echo "lab $number could not be removed: $state is still in use" >&2
    exit 1
fi
