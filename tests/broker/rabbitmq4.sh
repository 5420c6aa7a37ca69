#!/bin/bash
# Puts RabbitMQ 4 of Debian's next release into a root directory of its own, because Debian 12 has 3.10 and Windlass
# works with both. The packages are unpacked and not installed: the tests start its programs in there with bubblewrap.
#   rabbitmq4.sh [--path]      --path only prints where it is, or would be
# The directory's name is the digest of this recipe. Run by setup.sh, as root; verified by apt as always.
set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
cache=${WINDLASS_LAB_CACHE:-/var/cache/windlass-lab}
suite=forky
# shellcheck source=tests/lab/base/apt.sh
. "$here/../lab/base/apt.sh"

# Its scripts need these; nothing but a package's own dependencies is unpacked by itself.
packages=rabbitmq-server,base-files,bash,coreutils,dash,findutils,grep,hostname,mawk,procps,sed
root=$cache/rabbitmq4-$(cat "$here/rabbitmq4.sh" "$here/../lab/base/apt.sh" | sha256sum | cut -c1-12)
if [ "${1:-}" = --path ]; then
    echo "$root"
    exit 0
fi
if [ -d "$root" ]; then exit 0; fi
if [ "$(id -u)" != 0 ]; then echo "unpacking RabbitMQ 4 needs root" >&2; exit 1; fi

echo "setup: unpacking RabbitMQ 4 of Debian $suite beside this machine's own (to test with both; once, about a minute)"
mkdir -p "$cache"
exec 9>"$cache/rabbitmq4.lock"
flock 9
if [ -d "$root" ]; then exit 0; fi
rm -rf "$cache"/rabbitmq4-*.partial
trap 'rm -rf "$root.partial"' EXIT
mapfile -t options < <(apt_options)
if ! mmdebstrap --quiet --variant=extract --mode=root "${options[@]}" --include="$packages" \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' \
    "$suite" "$root.partial" - < <(source_line "$suite" "$debian_suites" http://deb.debian.org/debian); then
    echo "setup: it cannot be had now; the tests that need it will say so" >&2
    exit 0
fi
echo '127.0.0.1 localhost' >"$root.partial/etc/hosts"
# The mirror's address and its credentials are the host's business.
rm -rf "$root.partial/etc/apt"
mv "$root.partial" "$root"
