#include "handle.h"

#include <stdlib.h>

bool pg_copy_begin(struct pg_connection *connection, struct err *err, const char *copy_sql)
{
    connection->sqlstate[0] = '\0';
    PGresult *result = PQexec(connection->conn, copy_sql);
    bool ok = PQresultStatus(result) == PGRES_COPY_OUT;
    if (!ok)
        session_fail(connection->conn, result, "COPY failed", connection->sqlstate, err);
    PQclear(result);
    return ok;
}

static char unescape(char c)
{
    switch (c) {
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case 'v':
        return '\v';
    default:
        return c;
    }
}

/* Unescapes in place, which never lengthens. https://www.postgresql.org/docs/15/sql-copy.html */
static struct slice unescape_field(char *field, char *end)
{
    if (end - field == 2 && field[0] == '\\' && field[1] == 'N')
        return SLICE_NONE;
    char *to = memchr(field, '\\', (size_t)(end - field));
    if (!to)
        return slice_of(field, (size_t)(end - field));
    for (char *from = to; from < end; from++) {
        if (*from == '\\' && from + 1 < end)
            *to++ = unescape(*++from);
        else
            *to++ = *from;
    }
    return slice_of(field, (size_t)(to - field));
}

static void add_field(struct pg_connection *connection, size_t index, struct slice field)
{
    if (index == connection->field_capacity) {
        connection->field_capacity = index ? index * 2 : FIELDS_AT_FIRST;
        connection->fields =
            realloc(connection->fields, connection->field_capacity * sizeof *connection->fields);
        check(connection->fields != NULL);
    }
    connection->fields[index] = field;
}

/* A tab inside a value is escaped, so every bare one is a separator. */
static size_t split_row(struct pg_connection *connection, char *row, size_t len)
{
    char *end = len && row[len - 1] == '\n' ? row + len - 1 : row + len;
    size_t count = 0;
    for (char *field = row;;) {
        char *tab = memchr(field, '\t', (size_t)(end - field));
        add_field(connection, count++, unescape_field(field, tab ? tab : end));
        if (!tab)
            return count;
        field = tab + 1;
    }
}

/* The copy is over on the wire; whether it worked is in the results behind it. */
static enum pg_copy_step finish(struct pg_connection *connection, struct err *err)
{
    enum pg_copy_step step = PG_COPY_END;
    PGresult *result;
    while ((result = PQgetResult(connection->conn))) {
        if (PQresultStatus(result) != PGRES_COMMAND_OK) {
            session_fail(connection->conn, result, "COPY failed", connection->sqlstate, err);
            step = PG_COPY_FAILED;
        }
        PQclear(result);
    }
    return step;
}

enum pg_copy_step pg_copy_next(struct pg_connection *connection, const struct slice **fields,
                               size_t *field_count, struct err *err)
{
    PQfreemem(connection->copy_row);
    connection->copy_row = NULL;
    int len = PQgetCopyData(connection->conn, &connection->copy_row, 0);
    if (len == -1)
        return finish(connection, err);
    if (len < 0) {
        session_fail(connection->conn, NULL, "COPY failed", connection->sqlstate, err);
        return PG_COPY_FAILED;
    }
    *field_count = split_row(connection, connection->copy_row, (size_t)len);
    *fields = connection->fields;
    return PG_COPY_ROW;
}
