#!/bin/sh
# The example's tables, rules and first rows, once; and what the bridge's role may read. Runs as the
# owner of the database, after weir install.
set -eu
psql() { command psql -X -q -v ON_ERROR_STOP=1 "$@"; }
if [ "$(psql -A -t -c "SELECT to_regclass('public.todos') IS NULL")" = t ]; then
    psql -1 -f /example/schema.sql -f /example/rules.sql -f /example/data.sql
fi
psql <<'END'
GRANT USAGE ON SCHEMA weir TO weir_bridge;
GRANT SELECT ON ALL TABLES IN SCHEMA weir TO weir_bridge;
GRANT SELECT, INSERT, UPDATE, DELETE ON weir.rule_status TO weir_bridge;
GRANT SELECT ON users, projects, members, todos TO weir_bridge;
END
