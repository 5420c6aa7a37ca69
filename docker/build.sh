#!/bin/bash
# make image: builds docker/Dockerfile without a Docker engine and without a registry, tries the result, and leaves
# target/windlass-image.tar, which `docker load` takes.
# The two images that the Dockerfile begins with are made here, from Debian's packages and the Rust of this machine;
# everything else is the Dockerfile's.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
cd "$here/.."
suite=bookworm
# shellcheck source=docker/engine.sh
. docker/engine.sh
# shellcheck source=tests/lab/base/apt.sh
. tests/lab/base/apt.sh

if [ "$(id -u)" != 0 ]; then
    echo "make image makes a Debian of its own, and that needs root: run it as 'sudo make image'" >&2
    exit 1
fi
mkdir -p "$TMPDIR" target
exec 9>"$cache/lock"
flock 9

# What debian:bookworm-slim is: the smallest Debian, without documents.
make_debian() {
    local options hooks=/usr/share/mmdebstrap/hooks/merged-usr
    mapfile -t options < <(apt_options)
    debian_sources "$suite" | mmdebstrap --variant=minbase --mode=root "${options[@]}" \
        --hook-dir="$hooks" --include=usr-is-merged,ca-certificates \
        --dpkgopt='force-unsafe-io' \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
        "$suite" - - 2>"$cache/mmdebstrap.log" | podman import --quiet - "$1" >/dev/null && return
    cat "$cache/mmdebstrap.log" >&2
    return 1
}

# What rust:bookworm is, but for Rust itself: that of this machine is mounted while the program is built.
make_rust() {
    podman build --quiet --isolation chroot --network host --tag "$1" - <<DOCKERFILE >/dev/null
FROM $2
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev make pkg-config libssl-dev \
    && apt-get clean
ENV PATH=/usr/local/rust/bin:/usr/local/bin:/usr/bin:/bin CARGO_HOME=/usr/local/cargo
DOCKERFILE
}

# Their tags are the digest of their recipe, so that a changed one is followed.
recipe=$(cat docker/build.sh tests/lab/base/apt.sh | sha256sum | cut -c1-12)
debian=localhost/windlass/debian:$suite-$recipe
rust=localhost/windlass/rust:$suite-$recipe
if ! podman image exists "$debian"; then
    say "making a Debian to begin with (once; about a minute)"
    make_debian "$debian"
fi
if ! podman image exists "$rust"; then
    say "making a Debian that Rust can build in (once; about a minute)"
    make_rust "$rust" "$debian"
fi

say "building docker/Dockerfile (the first time the whole program: some minutes)"
registry=${CARGO_HOME:-$HOME/.cargo}/registry
mkdir -p "$registry"
podman build --isolation chroot --network host --format docker --file docker/Dockerfile \
    --build-arg RUST_IMAGE="$rust" --build-arg DEBIAN_IMAGE="$debian" \
    --volume "$(rustc --print sysroot):/usr/local/rust:ro" --volume "$registry:/usr/local/cargo/registry" \
    --tag "$image" .

archive=target/windlass-image.tar
say "writing $archive"
rm -f "$archive.partial"
podman save --quiet --format docker-archive --output "$archive.partial" "$image"
docker/try.sh "$archive.partial"
mv "$archive.partial" "$archive"
podman image prune --force >/dev/null
say "$archive is ready ($(du -m "$archive" | cut -f1) MiB): docker load --input $archive"
