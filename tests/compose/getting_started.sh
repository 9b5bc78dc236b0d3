#!/bin/bash
# docs/getting-started.md on a clean machine: a container with nothing but Debian, Postgres with a
# database app, and a clone of this tree; the page's commands one after the other, scripts/deps and
# the build among them.
#
#   tests/compose/getting_started.sh      about five minutes, as root; needs docker.io, debootstrap, slirp4netns
#
# What differs from the page: the clone's address, and who restarts Postgres, as a container has no
# systemd.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
. "$root/tests/compose/engine.sh"
[ -n "${WEIR_ENGINE:-}" ] || enter dockerd
inside_begin
engine_start

mkdir "$work/clone"
git -C "$root" archive HEAD | tar -C "$work/clone" -x

# The page's shell blocks in their order; the last one removes everything.
sed -n '/^```sh$/,/^```$/p' "$root/docs/getting-started.md" | awk '
    /^```sh$/ { part++; next }
    /^```$/ { next }
    { print > sprintf("'"$work"'/clone/block-%02d.sh", part) }'
cat "$work"/clone/block-*.sh | grep -c . >/dev/null

cat >"$work/clone/follow.sh" <<'END'
set -eum
systemctl() { [ "$*" = "restart postgresql" ] && sudo pg_ctlcluster 15 main restart; }
sudo() { if [ "$1" = systemctl ]; then "$@"; else command sudo "$@"; fi; }
psql() { command psql -X -v ON_ERROR_STOP=1 "$@"; }
last=$(ls block-*.sh | tail -1)
for block in block-*.sh; do
    if [ "$block" = "$last" ]; then
        kill %?serve %?bridge
        wait %?serve %?bridge || true
    fi
    sed -i 's/^wait \$!$/wait $! || true/' "$block"
    echo "--- $block"
    . "./$block"
done
echo "--- the page was followed to its end"
END

say "a clean machine"
timeout 1500 docker run --rm -v "$work/clone:/home/user/weir" debian:bookworm-slim bash -euc '
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q >/dev/null
    apt-get install -y -q --no-install-recommends sudo postgresql-15 postgresql-client-15 ca-certificates >/dev/null 2>&1
    cp /etc/machine-ca.crt /usr/local/share/ca-certificates/machine-ca.crt
    update-ca-certificates >/dev/null 2>&1
    useradd -m -s /bin/bash user
    echo "user ALL=(ALL) NOPASSWD: ALL" >/etc/sudoers.d/user
    chown -R user: /home/user
    echo "host all all 127.0.0.1/32 trust" >/etc/postgresql/15/main/pg_hba.conf
    echo "local all postgres peer" >>/etc/postgresql/15/main/pg_hba.conf
    echo "host replication all 127.0.0.1/32 trust" >>/etc/postgresql/15/main/pg_hba.conf
    pg_ctlcluster 15 main start
    su postgres -c "psql -qc \"CREATE ROLE app LOGIN\" -c \"CREATE DATABASE app OWNER app\""
    sudo -u user --preserve-env=NODE_EXTRA_CA_CERTS -H bash -c "cd ~/weir && bash follow.sh"
' 2>&1 | tee "$work/log" | grep -v '^\[[0-9]*/[0-9]*\]'
grep -q -- '--- the page was followed to its end' "$work/log"
grep -q '"title":"read about rules"' "$work/log"
say "it works"
