#!/bin/bash
# Ends every process of a test's broker and removes its directory; the only code that does.
#   reap.sh [--when-stdin-closes] DIR
# The broker's processes (the Erlang machines, their helpers, epmd) are found by the variable WINDLASS_BROKER in
# their environment, which they inherit however they detach themselves.
# With --when-stdin-closes it waits for its owner's death first: the owner holds the other end of the pipe, and
# the kernel closes it however the owner dies.
set -u
if [ "${1:-}" = --when-stdin-closes ]; then
    shift
    cat >/dev/null
fi
dir=$1

for _ in $(seq 200); do
    pids=()
    for environment in /proc/[0-9]*/environ; do
        if tr '\0' '\n' <"$environment" 2>/dev/null | grep -qxF "WINDLASS_BROKER=$dir"; then
            pid=${environment#/proc/}
            pids+=("${pid%/environ}")
        fi
    done 2>/dev/null
    [ ${#pids[@]} -gt 0 ] || break
    kill -KILL "${pids[@]}" 2>/dev/null
    sleep 0.05
done
rm -rf --one-file-system "$dir"
