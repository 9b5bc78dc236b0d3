#include "weir/postgres/origin.h"

#include "handle.h"
#include "walsender.h"

#include "weir/base/lsn.h"

#include <stdio.h>
#include <stdlib.h>

/* concat() and not ||, which is not unique where the application has made a cast of integers to
 * text.
 *
 * The timeline of the WAL's name is the one that is written to; pg_control_checkpoint() would still
 * say the old one for a while after a promotion. */
static const char origin_sql[] =
    "SELECT concat((SELECT system_identifier FROM pg_control_system()), '/', oid),"
    "       CASE WHEN NOT pg_is_in_recovery()"
    "            THEN substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END,"
    "       CASE WHEN NOT pg_is_in_recovery() THEN pg_current_wal_lsn() END,"
    "       concat(pg_backend_pid(), ' since ', (SELECT backend_start FROM pg_stat_activity"
    "                                             WHERE pid = pg_backend_pid()))"
    "  FROM pg_database WHERE datname = current_database()";

static bool find_origin(PGconn *conn, struct pg_origin *origin, struct err *err)
{
    PGresult *result =
        session_run(conn, origin_sql, "cannot tell which database this is", NULL, err);
    *origin = (struct pg_origin){.timeline = 0};
    if (!result)
        return false;
    bool ok = PQntuples(result) == 1 && PQnfields(result) == 4;
    if (ok) {
        snprintf(origin->database, sizeof origin->database, "%s", PQgetvalue(result, 0, 0));
        snprintf(origin->backend, sizeof origin->backend, "%s", PQgetvalue(result, 0, 3));
        origin->is_recovering = PQgetisnull(result, 0, 1);
        origin->timeline = (uint32_t)strtoul(PQgetvalue(result, 0, 1), NULL, 16);
        ok = origin->is_recovering ||
             lsn_parse(slice_from_str(PQgetvalue(result, 0, 2)), &origin->lsn);
    }
    PQclear(result);
    return ok || err_set(err, "cannot tell which database this is: unexpected answer");
}

bool pg_find_origin(struct pg_connection *connection, struct pg_origin *origin, struct err *err)
{
    return find_origin(connection->conn, origin, err);
}

bool replication_find_origin(struct replication *replication, struct pg_origin *origin,
                             struct err *err)
{
    return find_origin(replication->conn, origin, err);
}

bool pg_end_backend(struct pg_connection *connection, const char *slot, const char *backend)
{
    const char *parameters[] = {slot, backend};
    struct err ignored;
    struct pg_rows *rows =
        pg_query(connection, &ignored,
                 "SELECT pg_terminate_backend(pid)"
                 "  FROM pg_stat_activity JOIN pg_replication_slots ON active_pid = pid"
                 " WHERE slot_name = $1 AND concat(pid, ' since ', backend_start) = $2",
                 2, parameters);
    bool has_ended = rows && pg_rows_count(rows) == 1 && pg_rows_str(rows, 0, 0)[0] == 't';
    pg_rows_free(rows);
    return has_ended;
}
