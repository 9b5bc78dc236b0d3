/* A connection to Postgres for ordinary queries, and what every connection shares.
 *
 * Blocking; one thread at a time per connection. Errors carry Postgres's own message and hint,
 * never a row's values (DETAIL is left out, as it may quote them). Passwords of the connection
 * string never reach an err. https://www.postgresql.org/docs/15/libpq.html */
#pragma once

#include "weir/base/arena.h"
#include "weir/base/buffer.h"
#include "weir/base/err.h"

struct pg_connection;

enum pg_reach {
    PG_CONNECTED,
    PG_UNREACHABLE, /* no answer, starting up, no free connection: waiting can help */
    PG_REFUSED,     /* password, pg_hba.conf, no such database, not UTF8: waiting does not help */
};

/* Connects with the session settings that values depend on pinned: datestyle ISO, intervalstyle
 * postgres, timezone UTC, extra_float_digits 3, bytea_output hex, client_encoding UTF8,
 * search_path pg_catalog. Also pinned: row_security off, so that a policy that would hide rows is
 * an error, and no statement_timeout. application_name is `weir` unless the string has one. Refuses
 * a database whose encoding is not UTF8, with its name. Blocks for connect_timeout of the string,
 * or 15 s. *connection is NULL unless PG_CONNECTED. */
enum pg_reach pg_try_connect(const char *conninfo, struct pg_connection **connection,
                             struct err *err) WEIR_MUST_CHECK;

/* As pg_try_connect(), for callers that do not retry: NULL on failure. */
struct pg_connection *pg_connect(const char *conninfo, struct err *err) WEIR_MUST_CHECK;
void pg_close(struct pg_connection *connection); /* NULL is allowed */

/* Whether an error of the last call was a lost connection (retrying may help), and the SQLSTATE of
 * the last failed statement ("" when there was none); borrowed until the next call. */
bool pg_is_broken(const struct pg_connection *connection);
const char *pg_sqlstate(const struct pg_connection *connection);

/* After a call that failed: whether that was the server's day and not the statement, so that the
 * same may succeed later: no connection, a lock that was waited for too long, no memory. */
bool pg_may_retry(const struct pg_connection *connection);

/* Between two statements: whether the other side has closed the connection meanwhile. Does not
 * block; it is broken from then on. */
bool pg_has_been_closed(struct pg_connection *connection);

/* Where it is connected to, as a connection string: host, port and database, without the user. */
void pg_add_address(const struct pg_connection *connection, struct buffer *out);

int pg_server_version(const struct pg_connection *connection); /* 150020 */

/* The rows of a query, all in memory, as text. */
struct pg_rows;

/* Runs one statement with text parameters (NULL allowed) and returns its rows, which the caller
 * frees with pg_rows_free(). A statement without rows returns an empty set. */
struct pg_rows *pg_query(struct pg_connection *connection, struct err *err, const char *sql,
                         size_t parameter_count, const char *const *parameters) WEIR_MUST_CHECK;

/* Several statements in one string, as psql -f would send them; results are thrown away. Not a
 * transaction unless the text makes one. Notices are passed to the log at level info. */
bool pg_execute(struct pg_connection *connection, struct err *err, const char *sql) WEIR_MUST_CHECK;

size_t pg_rows_count(const struct pg_rows *rows);
bool pg_rows_is_null(const struct pg_rows *rows, size_t row, size_t column);
const char *pg_rows_str(const struct pg_rows *rows, size_t row, size_t column); /* "" for NULL */
struct slice pg_rows_slice(const struct pg_rows *rows, size_t row, size_t column);
void pg_rows_free(struct pg_rows *rows); /* NULL is allowed */

/* COPY (query) TO STDOUT in text format: each call gives the fields of one row, unescaped, NULLs as
 * slices with a NULL pointer (an empty text has a pointer). The fields are borrowed until the next
 * call. */
bool pg_copy_begin(struct pg_connection *connection, struct err *err,
                   const char *copy_sql) WEIR_MUST_CHECK;
enum pg_copy_step { PG_COPY_ROW, PG_COPY_END, PG_COPY_FAILED };
enum pg_copy_step pg_copy_next(struct pg_connection *connection, const struct slice **fields,
                               size_t *field_count, struct err *err) WEIR_MUST_CHECK;

/* name quoted as an identifier / a literal, NUL-terminated, in the arena. */
const char *pg_quote_identifier(struct arena *arena, const char *name);
const char *pg_quote_literal(struct arena *arena, const char *text);
