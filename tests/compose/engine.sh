# A Docker engine of a test's own, sourced: data, socket and containers below one temporary folder,
# $work, which is gone in the end. The base image debian:bookworm-slim is made here, by debootstrap,
# with this machine's way to packages; nothing is pulled. To try again and again: WEIR_BASE_TAR=FILE
# keeps the base image there. A script may define before_end, called before the engine ends.

PATH=/usr/bin:/usr/sbin:$PATH

say() { printf '▸ %s\n' "$*"; }

fail() {
    echo "${0##*/}: $*" >&2
    exit 1
}

before_end() { :; }

engine_end() {
    code=$?
    set +e
    if [ -n "${engine:-}" ]; then
        before_end "$code"
        kill "$engine"
        wait "$engine"
    fi
    grep -o "$work/[^ ]*" /proc/mounts | sort -r | while read -r mount; do umount "$mount"; done
    rm -rf --one-file-system "$work"
    exit "$code"
}

# engine_start PROGRAM...: with the programs that the script needs besides.
engine_start() {
    [ "$(id -u)" = 0 ] || fail "this takes root: it starts a Docker engine"
    for program in dockerd debootstrap "$@"; do
        command -v "$program" >/dev/null ||
            fail "$program is missing: apt-get install docker.io docker-compose debootstrap chromium"
    done
    work=$(mktemp -d /tmp/weir-compose-XXXXXX)
    export DOCKER_HOST=unix://$work/docker.sock
    trap engine_end EXIT
    trap 'exit 1' INT TERM HUP
    say "a Docker engine of its own, in $work"
    dockerd --data-root "$work/data" --exec-root "$work/exec" -p "$work/docker.pid" -H "$DOCKER_HOST" \
        >"$work/dockerd.log" 2>&1 &
    engine=$!
    for _ in $(seq 300); do
        docker info >/dev/null 2>&1 && break
        kill -0 "$engine" 2>/dev/null || { tail "$work/dockerd.log"; exit 1; }
        sleep 0.2
    done
    docker info >/dev/null || fail "the engine does not answer"
    base_image
}

base_image() {
    base=${WEIR_BASE_TAR:-$work/base.tar}
    if [ ! -e "$base" ]; then
        say "debian:bookworm-slim, by debootstrap"
        debootstrap --variant=minbase bookworm "$work/base" >"$work/debootstrap.log" 2>&1 ||
            { tail "$work/debootstrap.log"; exit 1; }
        rm -rf "$work/base/etc/apt" "$work/base/var/cache/apt/archives" "$work/base/var/lib/apt/lists"
        cp -r /etc/apt "$work/base/etc/apt"
        # As Debian's own image has it: nobody misses a build that a power cut has halved.
        echo force-unsafe-io >"$work/base/etc/dpkg/dpkg.cfg.d/docker-apt-speedup"
        cp -L /etc/ssl/certs/ca-certificates.crt "$work/base/etc/machine-ca.crt"
        tar -C "$work/base" -cf "$base" .
        rm -rf "$work/base"
    fi
    docker import --change "ENV NODE_EXTRA_CA_CERTS=/etc/machine-ca.crt" "$base" \
        debian:bookworm-slim >/dev/null
}
