#!/bin/bash
# docker-compose.yml on a real Docker engine, from nothing to the example working in a browser against
# it; then all of it down and up again, with what was written still there.
#
#   tests/compose/run.sh          about five minutes, as root; needs docker.io, docker-compose,
#                                 debootstrap, chromium
#
# The engine is its own: data, socket and containers below one temporary folder, which is gone in the
# end. The base image is made here, by debootstrap, with this machine's way to packages; nothing is
# pulled. To try again and again: WEIR_BASE_TAR=FILE keeps the base image there.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
here=$root/tests/compose
[ "$(id -u)" = 0 ] || { echo "run.sh: this takes root: it starts a Docker engine" >&2; exit 1; }
for program in dockerd docker-compose debootstrap chromium; do
    [ -n "$(PATH=/usr/bin:/usr/sbin command -v $program)" ] || {
        echo "run.sh: $program is missing: apt-get install docker.io docker-compose debootstrap chromium" >&2
        exit 1
    }
done

work=$(mktemp -d /tmp/weir-compose-XXXXXX)
export DOCKER_HOST=unix://$work/docker.sock COMPOSE_PROJECT_NAME=weircompose COMPOSE_HTTP_TIMEOUT=300
PATH=/usr/bin:/usr/sbin:$PATH
engine=

compose() { (cd "$root" && timeout 1500 docker-compose "$@"); }
say() { printf '▸ %s\n' "$*"; }

finish() {
    code=$?
    set +e
    if [ "$code" != 0 ] && [ -n "$engine" ]; then
        compose ps
        compose logs --tail=30
    fi
    if [ -n "$engine" ]; then
        compose down -v --remove-orphans >"$work/down.log" 2>&1
        kill "$engine"
        wait "$engine"
    fi
    grep -o "$work/[^ ]*" /proc/mounts | sort -r | while read -r mount; do umount "$mount"; done
    rm -rf --one-file-system "$work"
    exit "$code"
}
trap finish EXIT

free_port() {
    node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close() })'
}

say "a Docker engine of its own, in $work"
dockerd --data-root "$work/data" --exec-root "$work/exec" -p "$work/docker.pid" -H "$DOCKER_HOST" \
    >"$work/dockerd.log" 2>&1 &
engine=$!
for _ in $(seq 300); do
    docker info >/dev/null 2>&1 && break
    kill -0 "$engine" || { cat "$work/dockerd.log"; exit 1; }
    sleep 0.2
done
docker info >/dev/null

base=${WEIR_BASE_TAR:-$work/base.tar}
if [ ! -e "$base" ]; then
    say "debian:bookworm-slim, by debootstrap"
    debootstrap --variant=minbase bookworm "$work/base" >"$work/debootstrap.log" 2>&1 ||
        { tail "$work/debootstrap.log"; exit 1; }
    rm -rf "$work/base/etc/apt" "$work/base/var/cache/apt/archives" "$work/base/var/lib/apt/lists"
    cp -r /etc/apt "$work/base/etc/apt"
    cp -L /etc/ssl/certs/ca-certificates.crt "$work/base/etc/machine-ca.crt"
    tar -C "$work/base" -cf "$base" .
    rm -rf "$work/base"
fi
docker import --change "ENV NODE_EXTRA_CA_CERTS=/etc/machine-ca.crt" "$base" debian:bookworm-slim >/dev/null

WEIR_PORT=$(free_port) EXAMPLE_PORT=$(free_port) POSTGRES_PORT=$(free_port)
export WEIR_PORT EXAMPLE_PORT POSTGRES_PORT

say "docker-compose build"
compose build -q
docker images --format '{{.Repository}} {{.Size}}' | grep '^weir' | sort

check() {
    for _ in $(seq 240); do
        [ "$(compose ps | grep -c '(healthy)')" = 3 ] && break
        sleep 1
    done
    compose ps
    [ "$(compose ps | grep -c '(healthy)')" = 3 ]
    admin=$(compose run --rm --entrypoint cat secrets /run/weir-secrets/admin.token 2>/dev/null)
    ROUND=$1 EXAMPLE_URL=http://127.0.0.1:$EXAMPLE_PORT WEIR_URL=http://127.0.0.1:$WEIR_PORT \
        ADMIN_TOKEN=$admin node --test "$here/compose.test.js"
}

say "docker-compose up"
compose up -d
check 1

say "nobody is root"
for container in $(docker ps -q); do
    name=$(docker inspect -f '{{.Name}}' "$container")
    uid=$(docker exec "$container" id -u)
    echo "$name: uid $uid"
    [ "$uid" != 0 ]
done

say "down and up again"
compose down >/dev/null 2>&1
compose up -d
check 2
say "it works"
