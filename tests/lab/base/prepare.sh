#!/bin/bash
# Turns a fresh Debian root directory ($1) into a lab base: no product service starts by itself,
# nothing of one machine's identity is left in it, and a node's network counts as up when it is.
set -euo pipefail
root=$1

product_services=(
    haproxy named named-resolvconf.service consul containerd docker docker.socket docker-registry
    mariadb glusterd tinc openvpn xinetd fail2ban icinga2 rsyslog cron systemd-timesyncd
    systemd-resolved e2scrub_reap.service
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer
    fstrim.timer logrotate.timer
)
for service in "${product_services[@]}"; do
    systemctl --root="$root" --quiet disable "$service" 2>/dev/null || true
done
systemctl --root="$root" --quiet enable ssh systemd-networkd systemd-networkd-wait-online
systemctl --root="$root" --quiet mask getty@tty1 console-getty systemd-logind systemd-udevd

# Without a named interface, network-online.target is reached before the addresses exist, and
# daemons that bind a fixed address fail at boot.
install -d "$root/etc/systemd/system/systemd-networkd-wait-online.service.d"
cat >"$root/etc/systemd/system/systemd-networkd-wait-online.service.d/lab.conf" <<'UNIT'
[Service]
ExecStart=
ExecStart=/lib/systemd/systemd-networkd-wait-online --interface=host0 --timeout=10
UNIT
install -d "$root/etc/systemd/system.conf.d"
printf '[Manager]\nDefaultTimeoutStopSec=10s\n' >"$root/etc/systemd/system.conf.d/lab.conf"

# An unprivileged way in, for clusters whose nodes allow no root login.
chroot "$root" useradd --uid 1000 --create-home --shell /bin/sh admin
chroot "$root" install -d -o admin -g admin -m 700 /home/admin/.ssh
install -d -m 700 "$root/root/.ssh"
printf 'admin ALL=(ALL) NOPASSWD: ALL\n' >"$root/etc/sudoers.d/admin"
chmod 440 "$root/etc/sudoers.d/admin"

: >"$root/etc/machine-id"
rm -f "$root"/etc/ssh/ssh_host_* "$root/var/lib/dbus/machine-id" "$root/etc/resolv.conf"
: >"$root/etc/resolv.conf"
# The mirror's address, its options and its credentials are the host's business.
rm -rf "$root/etc/apt/sources.list" "$root"/etc/apt/sources.list.d/* \
    "$root/etc/apt/apt.conf.d/99mmdebstrap" "$root"/etc/apt/auth.conf*
