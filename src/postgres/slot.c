/* Creating and starting a slot, and saying what is wrong when Postgres refuses.
 *
 * What is wrong is found by SQLSTATE and by asking the server for its settings, not by reading the
 * message: that is translated into the server's language. */
#include "walsender.h"

#include "weir/base/buffer.h"
#include "weir/base/lsn.h"

#include <stdio.h>
#include <stdlib.h>

/* The first value of a query on the replication connection, or "" (also when it fails, as this is
 * asked to explain another failure). */
static void ask(PGconn *conn, const char *sql, char *out, size_t size)
{
    PGresult *result = PQexec(conn, sql);
    out[0] = '\0';
    if (PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) > 0)
        snprintf(out, size, "%s", PQgetvalue(result, 0, 0));
    PQclear(result);
}

/* True when that is the reason. */
static bool explain_obstacle(PGconn *conn, struct err *err)
{
    PGresult *result =
        PQexec(conn, REPLICATION_NO_LOGICAL_WAL_SQL " UNION ALL " REPLICATION_NO_FREE_SLOT_SQL);
    bool found = PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) > 0;
    if (found) {
        err_set(err, "%s", PQgetvalue(result, 0, 0));
        err_hint(err, "%s", PQgetvalue(result, 0, 1));
    }
    PQclear(result);
    return found;
}

/* Where the list is set decides what overrides it; the list itself is shown to superusers only. One
 * quoted string in these statements would be stored as a single name and do nothing. */
static bool explain_output_plugin(PGconn *conn, struct err *err)
{
    char setting[200], statement[300];
    ask(conn, "SELECT setting FROM pg_settings WHERE name = 'output_plugin_libraries'", setting,
        sizeof setting);
    ask(conn,
        "SELECT CASE WHEN s.setrole <> 0 AND d.oid IS NOT NULL"
        "                 THEN format('ALTER ROLE %I IN DATABASE %I', current_user, d.datname)"
        "            WHEN s.setrole <> 0 THEN format('ALTER ROLE %I', current_user)"
        "            WHEN d.oid IS NOT NULL THEN format('ALTER DATABASE %I', d.datname)"
        "            ELSE 'ALTER ROLE ALL' END"
        "  FROM pg_db_role_setting s LEFT JOIN pg_database d"
        "    ON d.oid = s.setdatabase AND d.datname = current_database()"
        " WHERE s.setrole IN (0, current_user::regrole) AND (s.setdatabase = 0 OR d.oid IS NOT NULL)"
        "   AND EXISTS (SELECT FROM unnest(s.setconfig) item"
        "                WHERE item LIKE 'output_plugin_libraries=%')"
        " ORDER BY s.setrole <> 0 DESC, s.setdatabase <> 0 DESC LIMIT 1",
        statement, sizeof statement);
    err_set(err,
            "Postgres does not allow wal2json as an output plugin: it is not on "
            "output_plugin_libraries%s%s%s",
            setting[0] ? " (now: " : "", setting, setting[0] ? ")" : "");
    return err_hint(err,
                    "%s SET output_plugin_libraries TO pgoutput, test_decoding, wal2json; SELECT "
                    "pg_reload_conf(); -- as a superuser, without quotes around the list",
                    statement[0] ? statement : "ALTER SYSTEM");
}

static bool explain_missing_plugin(PGconn *conn, struct err *err)
{
    err_set(err, "the output plugin wal2json is not installed on the Postgres server");
    return err_hint(err, "apt install postgresql-%d-wal2json # on the server's machine",
                    PQserverVersion(conn) / 10000);
}

/* Whom slot creation waited for. pg_locks shows every transaction to everybody, which
 * pg_stat_activity does not. */
static bool explain_blocker(PGconn *conn, const char *slot, struct err *err)
{
    char pid[32], since[64], gid[408];
    ask(conn,
        "SELECT coalesce(pid, 0) FROM pg_locks WHERE locktype = 'transactionid' AND granted"
        " AND mode = 'ExclusiveLock' AND pid IS DISTINCT FROM pg_backend_pid()"
        " ORDER BY age(transactionid) DESC LIMIT 1",
        pid, sizeof pid);
    ask(conn,
        "SELECT quote_literal(gid) FROM pg_prepared_xacts ORDER BY age(transaction) DESC LIMIT 1",
        gid, sizeof gid);
    if (pid[0] && strcmp(pid, "0") != 0) {
        /* Seen of one's own role's sessions, and by members of pg_read_all_stats. */
        struct buffer sql = BUFFER_INIT;
        buffer_printf(&sql,
                      "SELECT coalesce(', begun at ' || date_trunc('second', xact_start)::text, '')"
                      "  FROM pg_stat_activity WHERE pid = %s",
                      pid);
        ask(conn, buffer_str(&sql), since, sizeof since);
        buffer_release(&sql);
        err_set(err, "slot \"%s\" waits for a transaction of the process with pid %s%s to end",
                slot, pid, since);
        return err_hint(err,
                        "SELECT pg_terminate_backend(%s); -- ends it; SELECT query FROM "
                        "pg_stat_activity WHERE pid = %s; shows it",
                        pid, pid);
    }
    if (gid[0]) {
        err_set(err, "slot \"%s\" waits for the prepared transaction %s", slot, gid);
        return err_hint(err, "ROLLBACK PREPARED %s; -- or COMMIT PREPARED %s; in its database", gid,
                        gid);
    }
    err_set(err, "slot \"%s\" waited too long for running transactions to end", slot);
    return err_hint(err, "try again");
}

static bool explain_create(PGconn *conn, const char *slot, const char *sqlstate, struct err *err)
{
    if (PQstatus(conn) != CONNECTION_OK)
        return false;
    if (strcmp(sqlstate, "42501") == 0)
        return explain_output_plugin(conn, err);
    if (strcmp(sqlstate, "58P01") == 0)
        return explain_missing_plugin(conn, err);
    if (strcmp(sqlstate, "55P03") == 0)
        return explain_blocker(conn, slot, err);
    if (strcmp(sqlstate, "42710") == 0)
        return err_hint(err,
                        "SELECT pg_drop_replication_slot('%s'); if nothing else uses it, or "
                        "choose another name with --slot",
                        slot);
    if (strcmp(sqlstate, "55000") == 0 || strcmp(sqlstate, "53400") == 0)
        explain_obstacle(conn, err);
    return false;
}

static void add_quoted(struct buffer *sql, const char *text, char quote)
{
    buffer_add_char(sql, quote);
    for (; *text; text++) {
        if (*text == quote)
            buffer_add_char(sql, quote);
        buffer_add_char(sql, *text);
    }
    buffer_add_char(sql, quote);
}

static bool fill_created(const PGresult *result, struct replication_slot *created, struct err *err)
{
    if (PQntuples(result) != 1 || PQnfields(result) < 3 ||
        !lsn_parse(slice_from_str(PQgetvalue(result, 0, 1)), &created->consistent_lsn) ||
        strlen(PQgetvalue(result, 0, 2)) >= sizeof created->snapshot)
        return err_set(err, "CREATE_REPLICATION_SLOT: unexpected answer");
    strcpy(created->snapshot, PQgetvalue(result, 0, 2));
    return true;
}

static bool create_slot(struct replication *replication, const char *slot, const char *kind,
                        uint64_t lock_timeout_ms, struct replication_slot *created, struct err *err)
{
    struct buffer sql = BUFFER_INIT;
    char what[160], sqlstate[SQLSTATE_SIZE];
    created->is_blocked = false;
    snprintf(what, sizeof what, "cannot create replication slot \"%s\"", slot);
    buffer_printf(&sql, "SET lock_timeout = %llu", (unsigned long long)lock_timeout_ms);
    PGresult *result = session_run(replication->conn, buffer_str(&sql), what, NULL, err);
    bool ok = result != NULL;
    PQclear(result);
    if (ok) {
        buffer_clear(&sql);
        buffer_add_str(&sql, "CREATE_REPLICATION_SLOT ");
        add_quoted(&sql, slot, '"');
        buffer_printf(&sql, "%s LOGICAL wal2json EXPORT_SNAPSHOT", kind);
        result = session_run(replication->conn, buffer_str(&sql), what, sqlstate, err);
        ok = result ? fill_created(result, created, err)
                    : explain_create(replication->conn, slot, sqlstate, err);
        created->is_blocked = !ok && strcmp(sqlstate, "55P03") == 0;
        PQclear(result);
    }
    buffer_release(&sql);
    return ok;
}

bool replication_create_slot(struct replication *replication, const char *slot,
                             uint64_t lock_timeout_ms, struct replication_slot *created,
                             struct err *err)
{
    return create_slot(replication, slot, "", lock_timeout_ms, created, err);
}

bool replication_create_temporary_slot(struct replication *replication, const char *slot,
                                       uint64_t lock_timeout_ms, struct replication_slot *created,
                                       struct err *err)
{
    return create_slot(replication, slot, " TEMPORARY", lock_timeout_ms, created, err);
}

static bool explain_busy(PGconn *conn, const char *slot, struct err *err)
{
    struct buffer sql = BUFFER_INIT;
    char pid[32];
    buffer_add_str(&sql, "SELECT active_pid FROM pg_replication_slots WHERE slot_name = ");
    add_quoted(&sql, slot, '\'');
    ask(conn, buffer_str(&sql), pid, sizeof pid);
    buffer_release(&sql);
    err_set(err, "replication slot \"%s\" is in use%s%s", slot,
            pid[0] ? " by the process with pid " : "", pid);
    return err_hint(err,
                    "stop the other bridge; if it is gone already, its walsender ends by itself or "
                    "by SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE "
                    "slot_name = '%s';",
                    slot);
}

/* A slot that was invalidated gives 55000, as other things do. */
static bool explain_lost(PGconn *conn, const char *slot, struct err *err)
{
    struct buffer sql = BUFFER_INIT;
    char lost[32];
    buffer_add_str(&sql, "SELECT 1 FROM pg_replication_slots WHERE wal_status = 'lost'"
                         " AND slot_name = ");
    add_quoted(&sql, slot, '\'');
    ask(conn, buffer_str(&sql), lost, sizeof lost);
    buffer_release(&sql);
    if (!lost[0])
        return false;
    err_set(err, "replication slot \"%s\" is lost: Postgres has removed WAL that it needed", slot);
    err_hint(err,
             "SELECT pg_drop_replication_slot('%s'); and start the bridge again, which re-sends "
             "what differs; max_slot_wal_keep_size says how far a slot may fall behind",
             slot);
    return true;
}

static bool explain_start(struct replication *replication, const char *slot, const char *sqlstate,
                          struct err *err)
{
    PGconn *conn = replication->conn;
    if (PQstatus(conn) != CONNECTION_OK)
        return false;
    bool is_lost = strcmp(sqlstate, "55000") == 0 && explain_lost(conn, slot, err);
    replication->has_no_slot = is_lost || strcmp(sqlstate, "42704") == 0;
    if (strcmp(sqlstate, "55006") == 0)
        return explain_busy(conn, slot, err);
    if (strcmp(sqlstate, "42501") == 0)
        return explain_output_plugin(conn, err);
    if (strcmp(sqlstate, "58P01") == 0)
        return explain_missing_plugin(conn, err);
    if (strcmp(sqlstate, "42704") == 0)
        return err_hint(err, "SELECT slot_name, database FROM pg_replication_slots; shows which "
                             "slots there are");
    if (strcmp(sqlstate, "55000") == 0 && !is_lost)
        explain_obstacle(conn, err);
    return false;
}

static void add_start_command(struct buffer *sql, const char *slot, uint64_t start_lsn,
                              const struct replication_option *options, size_t option_count)
{
    char lsn[LSN_TEXT_SIZE];
    buffer_add_str(sql, "START_REPLICATION SLOT ");
    add_quoted(sql, slot, '"');
    buffer_printf(sql, " LOGICAL %s", lsn_format(start_lsn, lsn));
    for (size_t i = 0; i < option_count; i++) {
        buffer_add_str(sql, i ? ", " : " (");
        add_quoted(sql, options[i].name, '"');
        buffer_add_char(sql, ' ');
        add_quoted(sql, options[i].value, '\'');
    }
    if (option_count)
        buffer_add_char(sql, ')');
}

bool replication_is_broken(const struct replication *replication)
{
    return PQstatus(replication->conn) != CONNECTION_OK;
}

bool replication_has_no_slot(const struct replication *replication)
{
    return replication->has_no_slot;
}

bool replication_start(struct replication *replication, const char *slot, uint64_t start_lsn,
                       const struct replication_option *options, size_t option_count,
                       bool *is_slot_busy, struct err *err)
{
    struct buffer sql = BUFFER_INIT;
    add_start_command(&sql, slot, start_lsn, options, option_count);
    PGresult *result = PQexec(replication->conn, buffer_str(&sql));
    buffer_release(&sql);
    *is_slot_busy = false;
    bool ok = PQresultStatus(result) == PGRES_COPY_BOTH;
    if (!ok) {
        char what[160], sqlstate[SQLSTATE_SIZE];
        snprintf(what, sizeof what, "cannot stream from replication slot \"%s\"", slot);
        session_fail(replication->conn, result, what, sqlstate, err);
        *is_slot_busy = strcmp(sqlstate, "55006") == 0;
        explain_start(replication, slot, sqlstate, err);
    }
    PQclear(result);
    return ok;
}
