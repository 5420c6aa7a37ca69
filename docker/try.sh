#!/bin/bash
# Tries an image as docker/compose.yaml runs it: as its own user, without capabilities, with a read-only root.
#   try.sh ARCHIVE      an archive as `docker save` writes it
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
cd "$here/.."
# shellcheck source=docker/engine.sh
. docker/engine.sh
tried=$1
container=windlass-try-$$
broker=$container-broker
programs=/usr/lib/rabbitmq/bin

mkdir -p "$TMPDIR"
work=$(mktemp -d)
clean() {
    podman rm --force --time 0 --ignore --volumes "$container" "$broker" >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap clean EXIT

fail() {
    say "FAILED: $*"
    exit 1
}
passed() { say "ok: $*"; }

# Waits until "$2…" succeeds, for a minute at most; else fails with the words $1 and what the worker said.
within_a_minute() {
    local what=$1 end=$((SECONDS + 60))
    shift
    until "$@"; do
        if [ "$SECONDS" -ge "$end" ]; then
            podman logs "$container" >&2 || podman logs "$broker" >&2
            fail "$what"
        fi
        sleep 0.2
    done
}

nothing_that_does_not_belong() {
    local layer unpacked=$work/unpacked
    mkdir "$work/archive" "$unpacked"
    tar -xf "$tried" -C "$work/archive"
    grep -q '"docker.io/library/windlass:latest"' "$work/archive/manifest.json" || fail "the archive names another image"
    # Layer by layer: what a later one removes is still there for whoever looks.
    find "$work/archive" -name '*.tar' >"$work/layers"
    [ -s "$work/layers" ] || fail "the archive has no layers"
    while read -r layer; do
        if tar -tf "$layer" | grep -E '(^|/)\.git(/|$)|(^|/)target/|\.rs$|^src/|ssh_host_|rndc\.key$|^root/\..+/'; then
            fail "these do not belong into an image"
        fi
        rm -rf "$unpacked"
        mkdir "$unpacked"
        tar -xf "$layer" -C "$unpacked" --exclude='dev/*'
        if grep -rlI --devices=skip -e 'PRIVATE KEY-----' "$unpacked"; then fail "these hold private keys"; fi
    done <"$work/layers"
    passed "no layer holds sources, history or keys"
}

# podman's words for what compose.yaml asks of Docker. Limits are given because its own are above what some
# machines allow; health checks would need systemd.
limited=(--read-only --cap-drop all --no-healthcheck
    --ulimit nofile=1024:1024 --ulimit nproc=1000:1000 --tmpfs /tmp:mode=1777)
hardened=("${limited[@]}" --network none)
sandbox=(--security-opt unmask=ALL --security-opt "seccomp=$here/seccomp.json")
in_image() {
    podman run --rm "${hardened[@]}" --security-opt no-new-privileges --entrypoint /bin/sh "$@"
}

the_program_runs() {
    podman run --rm "${hardened[@]}" "$image" --version | grep -q '^windlass ' || fail "it does not say its version"
    local user
    user=$(in_image "$image" -c id)
    [[ $user == "uid=10001(windlass)"* ]] || fail "it runs as $user"
    passed "it runs as a user of its own over a read-only root"
}

its_checks_run() {
    local said
    # shellcheck disable=SC2016 # the $ are the inner shell's
    local check='windlass init /tmp/c >/dev/null && windlass -C /tmp/c check'
    said=$(in_image "${sandbox[@]}" "$image" -c "$check" 2>&1) || fail "the starter repository does not pass: $said"
    # A program that is missing, or a check that did not run, is only a warning: the nodes ask again.
    if grep -E 'WL3[0-9]{2}' <<<"$said"; then fail "not all checks ran: $said"; fi
    passed "every check of the starter repository runs in its sandbox"
    said=$(in_image "$image" -c "$check" 2>&1) || fail "without a sandbox it does not go on: $said"
    grep -q WL306 <<<"$said" || fail "it does not say that there is no sandbox: $said"
    passed "without what bubblewrap needs, it runs no check and says so"
}

# What the image itself says of its health.
healthy() {
    local command
    mapfile -t command < <(podman image inspect --format '{{range .HealthCheck.Test}}{{println .}}{{end}}' "$image")
    [ "${command[0]}" = CMD ] || fail "the image has no health check"
    podman exec "$container" "${command[@]:1:${#command[@]}-2}" >/dev/null 2>&1
}

get() {
    # shellcheck disable=SC2016 # the $ are the inner shell's
    podman exec "$container" bash -c \
        'exec 3<>/dev/tcp/127.0.0.1/8320; printf "GET %s HTTP/1.0\r\n\r\n" "$1" >&3; cat <&3' get "$1" 2>/dev/null
}

a_push_was_looked_at() { get '/api/v1/rolls?cluster=example' | grep -q '"outcome"'; }

the_worker_lives() {
    mkdir "$work/repo" "$work/config"
    chown 10001 "$work" "$work/repo"
    in_image --volume "$work/repo:/repo" "$image" -c 'windlass init /repo/work' >/dev/null
    local git=(git -c safe.directory='*' -c user.name=try -c user.email=try@example.org -c init.defaultBranch=main)
    "${git[@]}" -C "$work/repo/work" init --quiet
    "${git[@]}" -C "$work/repo/work" add --all
    "${git[@]}" -C "$work/repo/work" commit --quiet --message begin
    "${git[@]}" clone --quiet --bare "$work/repo/work" "$work/repo/cluster.git"
    chown -R 10001 "$work/repo"
    cat >"$work/config/worker.yaml" <<YAML
listen: 0.0.0.0:8320
clusters:
  - name: example
    repository: { url: /repo/cluster.git }
YAML
    podman create --name "$container" "${hardened[@]}" "${sandbox[@]}" --security-opt no-new-privileges \
        --volume "$work/repo:/repo:ro" --volume "$work/config:/etc/windlass:ro" "$image" >/dev/null
    podman start "$container" >/dev/null
    within_a_minute "the worker does not become healthy" healthy
    passed "the worker becomes healthy, as its own health check says"
    within_a_minute "the worker does not look at its repository" a_push_was_looked_at
    if get '/api/v1/rolls?cluster=example' | grep -E '"code":"WL3'; then fail "not all checks ran for the worker"; fi
    # There is no network here: that ssh says so shows that it was asked.
    get '/api/v1/rolls?cluster=example' | grep -q 'Network is unreachable' || fail "it did not try to reach the nodes"
    passed "it fetches, runs the checks of what it fetched, and looks for the nodes"
}

it_stops_and_starts_again() {
    podman stop --time 60 "$container" >/dev/null 2>&1
    local status
    status=$(podman inspect --format '{{.State.ExitCode}}' "$container")
    [ "$status" = 0 ] || fail "asked to stop, it ended with $status: $(podman logs "$container" 2>&1)"
    podman logs "$container" 2>&1 | grep -q 'stopped' || fail "it did not end by itself"
    passed "it ends by itself when asked"
    podman start "$container" >/dev/null
    within_a_minute "it does not start again over its volume" healthy
    a_push_was_looked_at || fail "its volume did not keep what it knew"
    passed "started again, it still knows what it did"
}

# As compose.yaml asks.
the_broker_is_healthy() {
    podman exec "$broker" "$programs/rabbitmq-diagnostics" --quiet check_port_connectivity >/dev/null 2>&1
}

# compose.yaml's two services, which are alone on a network: the RabbitMQ 4 of the tests stands for its image, and
# rabbitmq.conf and worker.yaml are those of this folder but for the repository.
it_works_with_its_broker() {
    local root secrets=$work/secrets config=$work/composed
    root=$(tests/broker/rabbitmq4.sh --path)
    if [ ! -d "$root" ]; then
        say "NOT TRIED with a broker: RabbitMQ 4 could not be had (make setup)"
        return
    fi
    podman rm --force --time 0 --volumes "$container" >/dev/null
    mkdir "$secrets" "$config" "$config/certificates" "$config/secrets"
    openssl rand -hex 32 >"$secrets/hook-secret"
    openssl rand -hex 32 >"$secrets/broker-password"
    ssh-keygen -q -t ed25519 -N '' -f "$secrets/ssh-key"
    chmod 0400 "$secrets"/*
    chmod 0444 "$secrets/broker-password"
    sed 's|url: https:.*|url: /repo/cluster.git|' docker/worker.yaml >"$config/worker.yaml"
    chown -R 10001 "$secrets" "$config"

    podman create --name "$broker" "${limited[@]}" --network none --hostname rabbitmq \
        --tmpfs /var/lib/rabbitmq:mode=0700 --tmpfs /var/log/rabbitmq --tmpfs /run \
        --volume "$here/rabbitmq.conf:/etc/rabbitmq/conf.d/50-windlass.conf:ro" \
        --volume "$secrets/broker-password:/run/secrets/broker-password:ro" \
        --env HOME=/var/lib/rabbitmq --env RABBITMQ_CONF_ENV_FILE=/dev/null --env RABBITMQ_LOGS=- \
        --env RABBITMQ_ENABLED_PLUGINS_FILE=/tmp/plugins \
        --rootfs "$root:O" "$programs/rabbitmq-server" >/dev/null
    podman start "$broker" >/dev/null
    within_a_minute "the broker does not become healthy" the_broker_is_healthy
    # Names are for compose to know.
    echo '127.0.0.1 localhost rabbitmq' >"$work/hosts"
    podman create --name "$container" "${limited[@]}" "${sandbox[@]}" --security-opt no-new-privileges \
        --network "container:$broker" --volume "$work/hosts:/etc/hosts:ro" --volume "$work/repo:/repo:ro" --volume "$secrets:/run/secrets:ro" \
        --volume "$config:/etc/windlass:ro" "$image" >/dev/null
    podman start "$container" >/dev/null
    within_a_minute "the worker does not become healthy beside its broker" healthy
    within_a_minute "no event came through the broker" a_push_was_looked_at
    podman exec "$broker" "$programs/rabbitmqctl" --quiet --vhost windlass list_queues name type |
        grep -q '^windlass\.v1\.cluster\.example.*quorum$' || fail "the worker has no queue at its broker"
    passed "with the broker of compose.yaml it is healthy, and events come through it"
}

nothing_that_does_not_belong
podman load --quiet --input "$tried" >/dev/null
the_program_runs
its_checks_run
the_worker_lives
it_stops_and_starts_again
it_works_with_its_broker
