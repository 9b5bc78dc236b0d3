#!/bin/sh
# A throw-away Postgres for tests: logical decoding on, wal2json allowed, nothing synced to disk.
#
#   pg_cluster.sh start DIR PORT [NAME=VALUE ...]   creates and starts it; prints the conninfo
#   pg_cluster.sh stop DIR                          stops it and removes DIR
#   pg_cluster.sh crash DIR                         ends it without a checkpoint
#   pg_cluster.sh shutdown DIR                      ends it as an operator does (fast)
#   pg_cluster.sh restart DIR                       starts it again, which recovers
#   pg_cluster.sh copy DIR PORT FROM_PORT [standby] a base backup of one that runs, for PORT; as a
#                                                   standby it goes on following; not started
#   pg_cluster.sh promote DIR                       makes a standby the primary
#
# Run as root, the server belongs to the user postgres (initdb refuses root). The data is in
# DIR/data, the unix socket and the log are in DIR. NAME=VALUE are settings for postgresql.conf;
# with ssl=on the server gets a certificate of its own making.
set -eu

usage() {
    sed -n '2,15s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

bin_dir() {
    for dir in /usr/lib/postgresql/*/bin "${PG_BIN:-}"; do
        [ -x "$dir/initdb" ] && found=$dir
    done
    [ -n "${found:-}" ] || found=$(dirname "$(command -v initdb)") || {
        echo "pg_cluster.sh: initdb not found" >&2
        echo "hint: install postgresql-15, or set PG_BIN to its bin directory" >&2
        exit 1
    }
    echo "$found"
}

as_postgres() {
    if [ "$(id -u)" = 0 ]; then
        (cd / && setpriv --reuid=postgres --regid=postgres --init-groups \
            env LC_ALL=C HOME="$dir" "$@")
    else
        LC_ALL=C "$@"
    fi
}

start() {
    [ $# -ge 2 ] || usage
    dir=$1 port=$2
    shift 2
    # A run that was killed may have left a server here.
    [ ! -e "$dir/data" ] || stop "$dir"
    mkdir -p "$dir"
    dir=$(cd "$dir" && pwd)
    [ "$(id -u)" != 0 ] || chown postgres: "$dir"
    bin=$(bin_dir)
    as_postgres "$bin/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --locale=C -N \
        >"$dir/initdb.log" 2>&1 || { cat "$dir/initdb.log" >&2; exit 1; }
    {
        echo "port = $port"
        echo "listen_addresses = '127.0.0.1'"
        echo "unix_socket_directories = '$dir'"
        echo "wal_level = logical"
        echo "max_wal_senders = 10"
        echo "max_replication_slots = 10"
        # Commits still wait for the WAL to be written: a slot shows only what has been flushed.
        echo "fsync = off"
        echo "full_page_writes = off"
        echo "autovacuum = off"
        echo "log_min_messages = warning"
        for setting in "$@"; do
            echo "${setting%%=*} = ${setting#*=}"
        done
    } >>"$dir/data/postgresql.conf"
    # Minors from August 2026 on load an output plugin only when it is on this list; on older ones
    # an unknown setting would keep the server from starting.
    if as_postgres "$bin/postgres" -D "$dir/data" -C output_plugin_libraries >/dev/null 2>&1; then
        case " $* " in
        *" output_plugin_libraries="*) ;;
        *) echo "output_plugin_libraries = 'pgoutput, test_decoding, wal2json'" \
            >>"$dir/data/postgresql.conf" ;;
        esac
    fi
    case " $* " in
    *" ssl=on "*)
        as_postgres openssl req -new -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 \
            -subj /CN=localhost -days 2 -keyout "$dir/data/server.key" -out "$dir/data/server.crt" \
            2>"$dir/openssl.log" || { cat "$dir/openssl.log" >&2; exit 1; }
        ;;
    esac
    as_postgres "$bin/pg_ctl" -D "$dir/data" -l "$dir/postgres.log" -w -t 60 start >/dev/null ||
        { cat "$dir/postgres.log" >&2; exit 1; }
    echo "host=$dir port=$port user=postgres dbname=postgres"
}

crash() {
    [ $# = 1 ] || usage
    dir=$1
    as_postgres "$(bin_dir)/pg_ctl" -D "$dir/data" -m immediate -w stop >/dev/null
}

shutdown() {
    [ $# = 1 ] || usage
    dir=$1
    as_postgres "$(bin_dir)/pg_ctl" -D "$dir/data" -m fast -w -t 120 stop >/dev/null
}

restart() {
    [ $# = 1 ] || usage
    dir=$1
    as_postgres "$(bin_dir)/pg_ctl" -D "$dir/data" -l "$dir/postgres.log" -w -t 60 start >/dev/null ||
        { cat "$dir/postgres.log" >&2; exit 1; }
}

stop() {
    [ $# = 1 ] || usage
    dir=$1
    if [ -e "$dir/data/postmaster.pid" ]; then
        as_postgres "$(bin_dir)/pg_ctl" -D "$dir/data" -m immediate -w stop >/dev/null 2>&1 || true
    fi
    rm -rf "$dir/data" "$dir"/.s.PGSQL.* "$dir/initdb.log" "$dir/openssl.log" "$dir/postgres.log"
    rmdir "$dir" 2>/dev/null || true
}

copy() {
    [ $# -ge 3 ] || usage
    dir=$1 port=$2 from=$3
    mkdir -p "$dir"
    dir=$(cd "$dir" && pwd)
    [ "$(id -u)" != 0 ] || chown postgres: "$dir"
    as_postgres "$(bin_dir)/pg_basebackup" -h 127.0.0.1 -p "$from" -U postgres -D "$dir/data" \
        -X stream -c fast ${4:+-R}
    printf "port = %s\nunix_socket_directories = '%s'\n" "$port" "$dir" >>"$dir/data/postgresql.conf"
}

promote() {
    [ $# = 1 ] || usage
    dir=$1
    as_postgres "$(bin_dir)/pg_ctl" -D "$dir/data" -w -t 60 promote >/dev/null
}

action=${1:-}
[ $# = 0 ] || shift
case $action in
start) start "$@" ;;
crash) crash "$@" ;;
shutdown) shutdown "$@" ;;
restart) restart "$@" ;;
stop) stop "$@" ;;
copy) copy "$@" ;;
promote) promote "$@" ;;
*) usage ;;
esac
