#!/bin/bash
# Inside the machine of systemd.sh, as root, once it has booted.
set -euEo pipefail
stage=$(cat /root/stage)

on_error() {
    echo "failed: line $1: $2"
    journalctl --no-pager -o short-monotonic -n 80 >/root/journal
    tail -n 40 /root/journal
}
trap 'on_error $LINENO "$BASH_COMMAND"' ERR

step() { echo "  $*"; }

# "! command" would pass unnoticed.
refute() {
    if "$@"; then
        echo "should not be so: $*"
        return 1
    fi
}

wait_for() {
    for _ in $(seq 600); do
        if "$@" >/dev/null 2>&1; then return; fi
        sleep 0.1
    done
    echo "waited in vain for: $*"
    return 1
}

psql() { sudo -u postgres psql -qXtA -v ON_ERROR_STOP=1 -d app "$@"; }
is_active() { systemctl is-active --quiet "$@"; }
field() { systemctl show -p "$2" --value "$1"; }
stream() { curl -sf "http://127.0.0.1:4437/v1/stream/user/ana/data?offset=-1"; }
comes() { psql -c "INSERT INTO todos VALUES ($1, 'ana')"; wait_for eval "stream | grep -q '\"key\":\"$1\"'"; }

# What the kernel says of the running process, and not the unit's text.
check_confined() {
    local pid status
    pid=$(field "$1" MainPID)
    status=/proc/$pid/status
    [ "$(stat -c %U /proc/"$pid")" = weir ]
    grep -q '^NoNewPrivs:[[:space:]]*1$' "$status"
    grep -q '^CapEff:[[:space:]]*0*$' "$status"
    grep -q '^Seccomp:[[:space:]]*2$' "$status"
    # Everything is read-only to it but its own folder.
    in_its_place() { nsenter -t "$pid" -m "$@" 2>/dev/null; }
    in_its_place touch "/var/lib/weir/$2/written"
    in_its_place rm "/var/lib/weir/$2/written"
    refute in_its_place touch /var/lib/written
    refute in_its_place touch /etc/weir/written
    refute in_its_place ls /root/stage
    refute in_its_place ls /dev/kmsg
}

install_package() {
    step "apt install: nothing starts, and the user and the files are there"
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q /root/weir.deb >/root/apt.log 2>&1 || { tail /root/apt.log; return 1; }
    for unit in weir-serve weir-bridge; do
        refute is_active "$unit"
        [ "$(systemctl is-enabled "$unit" || true)" = disabled ]
    done
    getent passwd weir >/dev/null
    [ "$(stat -c '%U:%G %a' /etc/weir/serve.env)" = "root:weir 640" ]
    man_page=/usr/share/man/man1/weir-doctor.1
    [ -e "$man_page" ] || [ -e "$man_page.gz" ] || grep -q path-exclude /etc/dpkg/dpkg.cfg.d/*
}

# The SQL and the commands that docs/operations.md gives.
prepare_postgres() {
    step "Postgres, as docs/operations.md says"
    sudo -u postgres createdb app
    psql -c "ALTER SYSTEM SET wal_level = logical" -c "ALTER SYSTEM SET max_slot_wal_keep_size = '1GB'"
    sed -n '/^```sh peer$/,/^```$/p' /root/operations.md | grep -v '^```' >/root/peer.sh
    grep -q pg_ident /root/peer.sh
    (cd / && bash -euo pipefail /root/peer.sh)
    systemctl restart postgresql
    psql >/dev/null <<'SQL'
SELECT 'ALTER SYSTEM SET output_plugin_libraries TO pgoutput, test_decoding, wal2json'
  FROM pg_settings WHERE name = 'output_plugin_libraries' \gexec
SELECT pg_reload_conf();
SQL
    (cd / && sudo -u postgres weir install --db "dbname=app")
    sed -n '/^```sql$/,/^```$/p' /root/operations.md | sed '1d;/^```$/,$d' >/root/role.sql
    grep -q 'CREATE ROLE weir_bridge' /root/role.sql
    psql -f - </root/role.sql
    psql -c "CREATE TABLE todos (id int PRIMARY KEY, owner text)" -c "GRANT SELECT ON todos TO weir_bridge" \
        -c "ALTER PUBLICATION weir ADD TABLE todos" \
        -c "INSERT INTO weir.rules (name, relation, audience) VALUES ('own', 'todos', 'SELECT todos.owner')"
}

start() {
    step "weir doctor, as the user weir"
    (cd / && sudo -u weir weir doctor --db "host=/var/run/postgresql dbname=app user=weir_bridge" --state /var/lib/weir/replica)
    step "systemctl enable --now weir-serve weir-bridge"
    systemctl enable --now weir-serve weir-bridge 2>/dev/null
    comes 1
    is_active weir-serve
    is_active weir-bridge
    [ "$(stat -c '%U %a' /var/lib/weir/streams)" = "weir 700" ]
    [ "$(stat -c '%U %a' /var/lib/weir/replica)" = "weir 700" ]
}

tamper() {
    step "both are confined"
    check_confined weir-serve streams
    check_confined weir-bridge replica
    step "killed, they come again and go on"
    systemctl kill -s KILL weir-serve
    systemctl kill -s KILL weir-bridge
    wait_for eval '[ "$(systemctl show -p NRestarts --value weir-serve)" = 1 ] && systemctl is-active --quiet weir-serve'
    wait_for eval '[ "$(systemctl show -p NRestarts --value weir-bridge)" = 1 ] && systemctl is-active --quiet weir-bridge'
    comes 2
    step "Postgres is restarted under the bridge"
    systemctl restart postgresql
    comes 3
    [ "$(field weir-bridge NRestarts)" = 1 ]
    step "stopped, they end well"
    systemctl stop weir-bridge weir-serve
    [ "$(field weir-bridge Result) $(field weir-serve Result)" = "success success" ]
    step "a wrong option: it says so, and is not tried again and again"
    echo 'WEIR_LONG_POLL_TIMEOUT=soon' >>/etc/weir/serve.env
    systemctl reset-failed weir-serve weir-bridge
    systemctl start weir-serve
    wait_for systemctl is-failed --quiet weir-serve
    [ "$(field weir-serve NRestarts) $(field weir-serve ExecMainStatus)" = "0 2" ]
    journalctl -u weir-serve -n 5 --no-pager | grep -q -- '--long-poll-timeout is not a duration'
    sed -i '$d' /etc/weir/serve.env
    systemctl reset-failed weir-serve
    systemctl start weir-serve weir-bridge
    comes 4
}

read_journal() {
    step "the journal: what it holds, and no error but those that were made"
    journalctl -u weir-bridge --no-pager | grep -q 'msg=following'
    journalctl -u weir-serve --no-pager | grep -q 'level=info'
    refute eval "journalctl -u weir-bridge --no-pager | grep 'level=error'"
    refute eval "journalctl -u weir-serve --no-pager | grep 'level=error'"
    refute eval "journalctl --no-pager -k -o cat | grep -i 'weir.*\\(segfault\\|seccomp\\|SIGSYS\\)'"
    refute eval "journalctl --no-pager | grep -i 'weir.*\\(Failed to set up\\|ignoring\\)'"
}

upgrade_and_remove() {
    step "an upgrade leaves them running"
    local pid
    pid=$(field weir-serve MainPID)
    apt-get install -y -q --reinstall /root/weir.deb >/root/apt.log 2>&1
    [ "$(field weir-serve MainPID)" = "$pid" ]
    comes 6
    step "removed: both end, and the data stays; purged: the options go too"
    apt-get remove -y -q weir >/root/apt.log 2>&1
    refute is_active weir-serve
    refute is_active weir-bridge
    [ -e /var/lib/weir/replica/replica.mdb ]
    [ -e /etc/weir/serve.env ]
    apt-get purge -y -q weir >/root/apt.log 2>&1
    [ ! -e /etc/weir/serve.env ]
    [ -e /var/lib/weir/replica/replica.mdb ]
}

case $stage in
first)
    install_package
    prepare_postgres
    start
    tamper
    read_journal
    ;;
second)
    step "after a reboot both are there by themselves"
    wait_for is_active weir-serve
    wait_for is_active weir-bridge
    comes 5
    stream | grep -q '"key":"1"'
    read_journal
    upgrade_and_remove
    ;;
esac
echo "$stage: all of it"
