# shellcheck shell=bash
# podman with a store of its own, so that what is built and tried here leaves the machine's containers alone.
# It needs no daemon. Sourced by build.sh and try.sh.

# shellcheck disable=SC2034 # for those who source this
image=docker.io/library/windlass:latest
cache=${WINDLASS_IMAGE_CACHE:-/var/cache/windlass-image}
# Builds, too, keep what they remember there.
export TMPDIR=$cache/tmp

podman() {
    command podman --root "$cache/storage" --runroot "$cache/run" --runtime runc --cgroup-manager cgroupfs \
        --events-backend file "$@" 9>&-
}

say() { echo "image: $*" >&2; }
