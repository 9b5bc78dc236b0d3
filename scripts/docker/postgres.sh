#!/bin/sh
# The container's Postgres: on an empty volume makes a cluster with the database app, its owner app, and
# the bridge's role, all with the password that POSTGRES_PASSWORD holds; then serves it.
set -eu
if [ ! -e "$PGDATA/PG_VERSION" ]; then
    # Half a cluster, as after a first start that was cut off, is none.
    find "$PGDATA" -mindepth 1 -delete
    password=$(mktemp)
    printf '%s\n' "${POSTGRES_PASSWORD:?a password for the roles}" >"$password"
    initdb -U postgres --pwfile="$password" -A scram-sha-256 -E UTF8 --locale=C.UTF-8 >/dev/null
    rm -f "$password"
    cat >>"$PGDATA/postgresql.conf" <<'END'
listen_addresses = '*'
wal_level = logical
END
    # Only minor releases from August 2026 on have this list; the older ones would not start with it.
    if postgres -C output_plugin_libraries >/dev/null 2>&1; then
        echo "output_plugin_libraries = 'pgoutput, test_decoding, wal2json'" >>"$PGDATA/postgresql.conf"
    fi
    echo 'host all,replication all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
    quoted=$(printf '%s' "$POSTGRES_PASSWORD" | sed "s/'/''/g")
    postgres --single -j postgres >/dev/null <<END
CREATE ROLE app LOGIN PASSWORD '$quoted';

CREATE ROLE weir_bridge LOGIN REPLICATION PASSWORD '$quoted';

CREATE DATABASE app OWNER app;

END
fi
exec postgres
