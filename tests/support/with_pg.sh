#!/bin/sh
# with_pg.sh [NAME=VALUE ...] -- COMMAND ...
# Runs COMMAND beside a throw-away Postgres with these settings, on a free port; its conninfo is in
# WEIR_TEST_DB.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
free_port() {
    node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => {
        console.log(s.address().port); s.close() })'
}
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
# A port that was free a moment ago may be taken by now: another one then.
attempts=3
# shellcheck disable=SC2086 # one word a setting
until WEIR_TEST_DB=$("$here/pg_cluster.sh" start "$folder/pg" "$(free_port)" $settings); do
    attempts=$((attempts - 1))
    [ "$attempts" -gt 0 ] || exit 1
done
export WEIR_TEST_DB
"$@"
