#!/bin/sh
# capture.sh FILE.sql: prints what the installed wal2json makes of it, a message a line, with the
# bridge's options; in the database WEIR_TEST_DB (tests/support/with_pg.sh gives one).
set -eu
: "${WEIR_TEST_DB:?run it by tests/support/with_pg.sh timezone=UTC -- $0 ...}"
run() {
    psql -qAtX -v ON_ERROR_STOP=1 "$WEIR_TEST_DB" "$@"
}
run -c "DROP DATABASE IF EXISTS capture" -c "CREATE DATABASE capture"
WEIR_TEST_DB="$WEIR_TEST_DB dbname=capture"
run -c "SELECT pg_create_logical_replication_slot('capture', 'wal2json')" >/dev/null
run -f "$1" >/dev/null
# Embedded newlines are escaped by wal2json, so a line is a message. The tables are named as the
# bridge names them, which leaves out those that a table is rewritten through.
run -c "
    SELECT data FROM pg_logical_slot_get_changes('capture', NULL, NULL,
        'format-version', '2', 'include-types', '0', 'include-xids', '1', 'include-lsn', '1',
        'include-timestamp', '1', 'include-transaction', '1', 'add-msg-prefixes', 'weir', 'add-tables',
        (SELECT string_agg(regexp_replace(n.nspname, '[ ,.*\\\\]', '\\\\\&', 'g') || '.' ||
                           regexp_replace(c.relname, '[ ,.*\\\\]', '\\\\\&', 'g'), ',')
           FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
          WHERE c.relkind = 'r' AND n.nspname !~ '^(pg_|information_schema)'))"
run -c "SELECT pg_drop_replication_slot('capture')" >/dev/null
