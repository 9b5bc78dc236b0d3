#!/bin/sh
# with_pg.sh PORT [NAME=VALUE ...] -- COMMAND ...
# Runs COMMAND beside a throw-away Postgres with these settings; its conninfo is in WEIR_TEST_DB.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
port=$1
shift
folder=$(mktemp -d)
chmod 755 "$folder"
trap '"$here/pg_cluster.sh" stop "$folder/pg"; rm -rf "$folder"' EXIT
trap 'exit 1' INT TERM
settings=
while [ "$1" != -- ]; do
    settings="$settings $1"
    shift
done
shift
# shellcheck disable=SC2086 # one word a setting
WEIR_TEST_DB=$("$here/pg_cluster.sh" start "$folder/pg" "$port" $settings)
export WEIR_TEST_DB
"$@"
