#!/bin/sh
# capture.sh [PORT]: prints what the installed wal2json makes of golden.sql, a message a line.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
port=${1:-54332}
folder=$(mktemp -d)
chmod 755 "$folder"
cluster=$here/../support/pg_cluster.sh
trap '"$cluster" stop "$folder/pg"; rm -rf "$folder"' EXIT
conninfo=$("$cluster" start "$folder/pg" "$port" timezone=UTC)

psql -qAtX "$conninfo" -c "SELECT pg_create_logical_replication_slot('capture', 'wal2json')" >/dev/null
psql -qAtX -v ON_ERROR_STOP=1 "$conninfo" -f "$here/golden.sql" >/dev/null
# Embedded newlines are escaped by wal2json, so a line is a message.
psql -qAtX "$conninfo" -c "
    SELECT data FROM pg_logical_slot_get_changes('capture', NULL, NULL,
        'format-version', '2', 'include-types', '0', 'include-xids', '1', 'include-lsn', '1',
        'include-timestamp', '1', 'include-transaction', '1')"
