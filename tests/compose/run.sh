#!/bin/bash
# docker-compose.yml on a real Docker engine, from nothing to the example working in a browser against
# it; then all of it down and up again, with what was written still there.
#
#   tests/compose/run.sh          about ten minutes, as root; needs docker.io, docker-compose,
#                                 debootstrap, slirp4netns, chromium
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
. "$root/tests/compose/engine.sh"
[ -n "${WEIR_ENGINE:-}" ] || enter dockerd docker-compose chromium
inside_begin
export COMPOSE_PROJECT_NAME=weircompose COMPOSE_HTTP_TIMEOUT=300

compose() { (cd "$root" && timeout 1500 docker-compose "$@"); }

before_end() {
    if [ "$1" != 0 ]; then
        compose ps
        compose logs --tail=30
    fi
}

engine_start

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
    ROUND=$1 EXAMPLE_URL=http://127.0.0.1:8080 WEIR_URL=http://127.0.0.1:4437 \
        ADMIN_TOKEN=$admin node --test "$root/tests/compose/compose.test.js"
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
