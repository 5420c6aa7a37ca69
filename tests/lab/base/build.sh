#!/bin/bash
# Builds a base image of the lab and prints its directory; does nothing if it is there already.
#   build.sh [--path] core|stack      --path only prints where it is, or would be
# The directory's name is the digest of this recipe, so that a changed recipe is a new image. A build
# that is killed leaves no image: everything happens in a private mount namespace and beside the
# final name, which only a complete image gets.
set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
cache=${WINDLASS_LAB_CACHE:-/var/cache/windlass-lab}
suite=bookworm
# shellcheck source=tests/lab/base/apt.sh
. "$here/apt.sh"

path_only=
if [ "${1:-}" = --path ]; then path_only=1; shift; fi
variant=${1:-core}
case $variant in
core) package_lists=("$here/core.packages") needed_memory_mib=2500 ;;
stack) package_lists=("$here/core.packages" "$here/stack.packages") needed_memory_mib=5000 ;;
*) echo "usage: build.sh [--path] core|stack" >&2; exit 2 ;;
esac

digest=$(cat "$here/build.sh" "$here/apt.sh" "$here/prepare.sh" "${package_lists[@]}" | sha256sum | cut -c1-12)
image=$cache/$variant-$digest
if [ -n "$path_only" ] || [ -d "$image" ]; then echo "$image"; exit 0; fi

if [ "$(id -u)" != 0 ]; then echo "building the lab's base image needs root" >&2; exit 1; fi
if ! command -v mmdebstrap >/dev/null; then
    echo "mmdebstrap is missing: run \`make setup\` first" >&2; exit 1
fi
if [ -z "${WINDLASS_LAB_PRIVATE:-}" ]; then
    exec env WINDLASS_LAB_PRIVATE=1 unshare --mount --propagation private "$0" "$variant"
fi

say() { echo "lab base $variant: $*" >&2; }

sources() {
    debian_sources "$suite"
    # The only suite that still has Consul.
    if [ "$variant" = stack ]; then source_line bullseye "$debian_suites" http://deb.debian.org/debian; fi
}

mkdir -p "$cache/debs"
exec 9>"$cache/build.lock"
if ! flock --nonblock 9; then
    say "waiting for another build"
    flock 9
fi
if [ -d "$image" ]; then echo "$image"; exit 0; fi
rm -rf "$cache"/*.partial
partial=$image.partial
trap 'rm -rf "$partial"' EXIT
mkdir -p "$partial" "$cache/work"

# dpkg's many small writes take most of the time on a disk: unpack in memory where there is enough.
root=$partial
if [ "$(awk '$1 == "MemAvailable:" { print int($2 / 1024) }' /proc/meminfo)" -gt "$needed_memory_mib" ]; then
    mount -t tmpfs -o mode=755 windlass-lab-build "$cache/work"
    mkdir "$cache/work/root"
    root=$cache/work/root
fi

mapfile -t options < <(apt_options)
if [ "$variant" = stack ]; then
    # shellcheck disable=SC2016 # $1 is the hook's
    options+=('--setup-hook=printf "Package: *\nPin: release n=bullseye\nPin-Priority: -1\n\nPackage: consul\nPin: release n=bullseye\nPin-Priority: 500\n" >"$1/etc/apt/preferences.d/consul"')
fi

packages=$(grep -hv '^#' "${package_lists[@]}" | paste -sd,)
started=$SECONDS
say "building $image (once; about two minutes)"
# shellcheck disable=SC2016 # $1 is the hooks'
mmdebstrap --variant=minbase --mode=root \
    --skip=download/empty --skip=essential/unlink \
    --setup-hook='mkdir -p "$1/var/cache/apt/archives" "$1/etc/apt/preferences.d"' \
    "${options[@]}" \
    --setup-hook="sync-in $cache/debs /var/cache/apt/archives/" \
    --customize-hook="sync-out /var/cache/apt/archives $cache/debs" \
    --customize-hook="$here/prepare.sh \"\$1\"" \
    --dpkgopt='force-unsafe-io' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' \
    --include="$packages" \
    "$suite" "$root" - < <(sources) >&2
rm -rf "$cache/debs/partial" "$cache/debs/lock"
if [ "$root" != "$partial" ]; then
    rmdir "$partial"
    cp -a "$root" "$partial"
fi
mv "$partial" "$image"
say "ready after $((SECONDS - started)) s, $(du -sm "$image" | cut -f1) MiB"
echo "$image"
