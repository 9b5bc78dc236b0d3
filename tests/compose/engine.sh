# A Docker engine of a test's own, sourced. Everything happens in namespaces of the script's own and
# below one temporary folder, $work: the engine's bridges, packet filters, mounts and processes end
# with the script, however it ends, and the machine is left as it was. The base image
# debian:bookworm-slim is made here, by debootstrap, with this machine's way to packages; nothing is
# pulled. To try again and again: WEIR_BASE_TAR=FILE keeps the base image there.

PATH=/usr/bin:/usr/sbin:$PATH

say() { printf '▸ %s\n' "$*"; }

fail() {
    echo "${0##*/}: $*" >&2
    exit 1
}

# ---- Outside ----

outside_end() {
    code=$?
    trap - EXIT INT TERM HUP
    set +e
    # With the first process of its namespace all others end.
    [ -z "${inside:-}" ] || { kill "$inside"; wait "$inside"; } 2>/dev/null
    [ -z "${network:-}" ] || { kill "$network"; wait "$network"; } 2>/dev/null
    find /sys/fs/cgroup -depth -type d -path "*/${work##*/}*" -exec rmdir {} + 2>/dev/null
    rm -rf --one-file-system "$work"
    exit "$code"
}

# enter PROGRAM...: checks for what is needed, and runs the script that sources this again, inside.
# The network there is a private one; slirp4netns carries its connections out.
enter() {
    [ "$(id -u)" = 0 ] || fail "this takes root: it makes namespaces"
    for program in slirp4netns debootstrap "$@"; do
        command -v "$program" >/dev/null || fail "$program is missing: apt-get install docker.io" \
            "docker-compose debootstrap slirp4netns systemd-container chromium"
    done
    work=$(mktemp -d /tmp/weir-compose-XXXXXX)
    trap outside_end EXIT
    trap 'exit 1' INT TERM HUP
    mkfifo "$work/entered" "$work/connected"
    WEIR_ENGINE=$work unshare --net --mount --pid --fork --kill-child --mount-proc bash "$0" &
    inside=$!
    read -r _ <"$work/entered"
    slirp4netns --configure --mtu=65520 --disable-host-loopback --ready-fd=3 "$inside" tap0 \
        3>"$work/connected" >"$work/network.log" 2>&1 &
    network=$!
    wait "$inside" && code=0 || code=$?
    inside=
    exit "$code"
}

# ---- Inside ----

# What programs leave in these folders is seen in here only.
cover() {
    for folder in /etc /run /var/lib; do
        mkdir -p "$work/cover$folder" "$work/cover-work$folder"
        mount -t overlay overlay \
            -o "lowerdir=$folder,upperdir=$work/cover$folder,workdir=$work/cover-work$folder" "$folder"
    done
}

inside_begin() {
    work=$WEIR_ENGINE
    unset WEIR_ENGINE
    ip link set lo up
    echo >"$work/entered"
    read -r -n 1 _ <"$work/connected"
    cover
    trap 'before_end $?' EXIT
}

# A script may define it; it is called with the exit code, while the engine is still there.
before_end() { :; }

engine_start() {
    export DOCKER_HOST=unix://$work/docker.sock
    say "a Docker engine of its own, in $work"
    dockerd --data-root "$work/data" --exec-root "$work/exec" -p "$work/docker.pid" -H "$DOCKER_HOST" \
        --cgroup-parent "/${work##*/}" >"$work/dockerd.log" 2>&1 &
    engine=$!
    for _ in $(seq 300); do
        docker info >/dev/null 2>&1 && break
        kill -0 "$engine" 2>/dev/null || { tail "$work/dockerd.log"; exit 1; }
        sleep 0.2
    done
    docker info >/dev/null || fail "the engine does not answer"
    base_image
    docker import --change "ENV NODE_EXTRA_CA_CERTS=/etc/machine-ca.crt" "$base" \
        debian:bookworm-slim >/dev/null
}

base_image() {
    base=${WEIR_BASE_TAR:-$work/base.tar}
    [ ! -e "$base" ] || return 0
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
}
