#include "handle.h"

#include <stdlib.h>

enum pg_reach pg_try_connect(const char *conninfo, struct pg_connection **connection,
                             struct err *err)
{
    PGconn *conn;
    *connection = NULL;
    enum pg_reach reach = session_open(conninfo, false, &conn, err);
    if (reach != PG_CONNECTED)
        return reach;
    *connection = calloc(1, sizeof **connection);
    check(*connection != NULL);
    (*connection)->conn = conn;
    return PG_CONNECTED;
}

struct pg_connection *pg_connect(const char *conninfo, struct err *err)
{
    struct pg_connection *connection;
    enum pg_reach reach = pg_try_connect(conninfo, &connection, err);
    return reach == PG_CONNECTED ? connection : NULL;
}

void pg_close(struct pg_connection *connection)
{
    if (!connection)
        return;
    PQfreemem(connection->copy_row);
    PQfinish(connection->conn);
    free(connection->fields);
    free(connection);
}

bool pg_is_broken(const struct pg_connection *connection)
{
    return PQstatus(connection->conn) != CONNECTION_OK;
}

bool pg_has_been_closed(struct pg_connection *connection)
{
    /* The first call may only take in Postgres's last words. */
    bool is_open = PQconsumeInput(connection->conn) && PQconsumeInput(connection->conn);
    return !is_open || pg_is_broken(connection);
}

const char *pg_sqlstate(const struct pg_connection *connection)
{
    return connection->sqlstate;
}

bool pg_may_retry(const struct pg_connection *connection)
{
    static const char *const classes[] = {"08", "40", "53", "55", "57", "58", "XX"};
    if (pg_is_broken(connection) || !connection->sqlstate[0])
        return true;
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        if (strncmp(connection->sqlstate, classes[i], 2) == 0)
            return true;
    }
    return false;
}

int pg_server_version(const struct pg_connection *connection)
{
    return PQserverVersion(connection->conn);
}

static void add_keyword(struct buffer *out, const char *name, const char *value)
{
    buffer_add_str(out, name);
    bool is_plain = value[0] && !value[strcspn(value, " '\\")];
    buffer_add_str(out, is_plain ? "" : "'");
    for (; *value; value++) {
        if (*value == '\'' || *value == '\\')
            buffer_add_char(out, '\\');
        buffer_add_char(out, *value);
    }
    buffer_add_str(out, is_plain ? "" : "'");
}

void pg_add_address(const struct pg_connection *connection, struct buffer *out)
{
    add_keyword(out, "host=", PQhost(connection->conn));
    add_keyword(out, " port=", PQport(connection->conn));
    add_keyword(out, " dbname=", PQdb(connection->conn));
}

/* A struct pg_rows is libpq's result under a name of ours; no layer above sees libpq. */
static struct pg_rows *rows_of(PGresult *result)
{
    return (struct pg_rows *)result;
}

static const PGresult *result_of(const struct pg_rows *rows)
{
    return (const PGresult *)rows;
}

struct pg_rows *pg_query(struct pg_connection *connection, struct err *err, const char *sql,
                         size_t parameter_count, const char *const *parameters)
{
    check(parameter_count <= UINT16_MAX);
    connection->sqlstate[0] = '\0';
    PGresult *result =
        PQexecParams(connection->conn, sql, (int)parameter_count, NULL, parameters, NULL, NULL, 0);
    ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK || status == PGRES_EMPTY_QUERY)
        return rows_of(result);
    session_fail(connection->conn, result, "query failed", connection->sqlstate, err);
    PQclear(result);
    return NULL;
}

bool pg_execute(struct pg_connection *connection, struct err *err, const char *sql)
{
    connection->sqlstate[0] = '\0';
    PGresult *result =
        session_run(connection->conn, sql, "statement failed", connection->sqlstate, err);
    PQclear(result);
    return result != NULL;
}

size_t pg_rows_count(const struct pg_rows *rows)
{
    return (size_t)PQntuples(result_of(rows));
}

static void check_bounds(const struct pg_rows *rows, size_t row, size_t column)
{
    check(row < (size_t)PQntuples(result_of(rows)));
    check(column < (size_t)PQnfields(result_of(rows)));
}

bool pg_rows_is_null(const struct pg_rows *rows, size_t row, size_t column)
{
    check_bounds(rows, row, column);
    return PQgetisnull(result_of(rows), (int)row, (int)column);
}

const char *pg_rows_str(const struct pg_rows *rows, size_t row, size_t column)
{
    check_bounds(rows, row, column);
    return PQgetvalue(result_of(rows), (int)row, (int)column);
}

struct slice pg_rows_slice(const struct pg_rows *rows, size_t row, size_t column)
{
    check_bounds(rows, row, column);
    return slice_of(PQgetvalue(result_of(rows), (int)row, (int)column),
                    (size_t)PQgetlength(result_of(rows), (int)row, (int)column));
}

void pg_rows_free(struct pg_rows *rows)
{
    PQclear((PGresult *)rows);
}

static char *put_doubled(char *to, const char *text, char doubled)
{
    for (; *text; text++) {
        if (*text == doubled)
            *to++ = doubled;
        *to++ = *text;
    }
    return to;
}

const char *pg_quote_identifier(struct arena *arena, const char *name)
{
    char *quoted = arena_alloc(arena, 2 * strlen(name) + 3), *to = quoted;
    *to++ = '"';
    to = put_doubled(to, name, '"');
    *to++ = '"';
    *to = '\0';
    return quoted;
}

/* Sessions have standard_conforming_strings on, so a backslash is an ordinary character. */
const char *pg_quote_literal(struct arena *arena, const char *text)
{
    char *quoted = arena_alloc(arena, 2 * strlen(text) + 3), *to = quoted;
    *to++ = '\'';
    to = put_doubled(to, text, '\'');
    *to++ = '\'';
    *to = '\0';
    return quoted;
}
