#!/bin/sh
# may-log-in.sh CONFIG USER [trial]: the file is valid, and it leaves USER a way in by key.
# `sshd -t` alone is content with a file that lets nobody in.
set -u
config=$1 user=$2 trial=${3-}
# In a sandbox sshd's own directory is missing.
mkdir -p /run/sshd
keys=$(mktemp -d) || exit 1
trap 'rm -rf "$keys"' EXIT
set --
if [ "$trial" = trial ] || ! [ -r /etc/ssh/ssh_host_ed25519_key ]; then
    ssh-keygen -q -t ed25519 -N '' -f "$keys/host" || exit 1
    set -- -h "$keys/host"
fi
sshd -t "$@" -f "$config" || exit 1
settings=$(sshd -T "$@" -f "$config" -C "user=$user,host=windlass,addr=192.0.2.1") || exit 1
has() { printf '%s\n' "$settings" | grep -qix "$1"; }

if ! has 'pubkeyauthentication yes'; then
    echo "$user could not log in: public keys are switched off"
    exit 1
fi
if [ "$user" = root ] && has 'permitrootlogin no'; then
    echo "root could not log in: PermitRootLogin is no"
    exit 1
fi
# Patterns, perhaps with a host behind an @, which only a real login could judge.
set -f
allowed=$(printf '%s\n' "$settings" | awk '$1 == "allowusers" { print $2 }')
found=${allowed:+no}
for pattern in $allowed; do
    # shellcheck disable=SC2254 # it is a pattern
    case $user in ${pattern%%@*}) found=yes ;; esac
done
if [ "$found" = no ]; then
    echo "$user could not log in: AllowUsers has only $(printf '%s\n' "$allowed" | paste -sd ' ')"
    exit 1
fi
if printf '%s\n' "$settings" | grep -qixE "denyusers $user"; then
    echo "$user could not log in: DenyUsers names it"
    exit 1
fi
