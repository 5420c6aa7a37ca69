#!/bin/sh
# trial.sh SSH-PORT: loads the candidate rules for real, in the check's own network namespace, and looks at
# what came of them. `iptables-restore --test` takes an empty file and a chain that nobody declared.
set -u
port=$1
bad=0

try() {
    command=$1 file=$2
    if ! error=$("$command-restore" --noflush <"$file" 2>&1); then
        line=$(printf '%s\n' "$error" | sed -n 's/.*line:\{0,1\} \([0-9][0-9]*\).*/\1/p' | head -n 1)
        printf '%s\n' "$error" | sed -n "s|^[^:]*: *|$file:${line:-1}: |p" | head -n 1
        bad=1
        return
    fi
    # As text, because every call of iptables takes its time: an empty file has no such rule either.
    case "$("$command" -S WINDLASS-IN 2>/dev/null)
" in
        *"
-A WINDLASS-IN -p tcp -m tcp --dport $port -j ACCEPT
"*) ;;
        *)
            echo "$file:1: the worker's way in, port $port, is not accepted"
            bad=1
            ;;
    esac
}

try iptables /etc/windlass/firewall.v4
if [ -e /proc/net/if_inet6 ]; then try ip6tables /etc/windlass/firewall.v6; fi
exit "$bad"
