/* What ordinary and replication connections share: opening, pinned settings, and errors.
 * Inside src/postgres only. */
#pragma once

#include "weir/base/err.h"
#include "weir/postgres/connection.h"

#include <libpq-fe.h>

enum { SQLSTATE_SIZE = 6 };

/* Opens and pins the settings. On anything but PG_CONNECTED *opened is NULL. */
enum pg_reach session_open(const char *conninfo, bool is_replication, PGconn **opened,
                           struct err *err) WEIR_MUST_CHECK;

/* Runs sql by the simple protocol. NULL and err (`what` in front) unless it ended as a command or
 * with rows; sqlstate may be NULL. The caller clears the result. */
PGresult *session_run(PGconn *conn, const char *sql, const char *what, char sqlstate[SQLSTATE_SIZE],
                      struct err *err) WEIR_MUST_CHECK;

/* err from a failed result (NULL: from the connection): Postgres's message in one line, and its
 * hint; never its DETAIL, which may quote a row. Always returns false. */
bool session_fail(PGconn *conn, const PGresult *result, const char *what,
                  char sqlstate[SQLSTATE_SIZE], struct err *err);
