#include "session.h"

#include "weir/base/clock.h"
#include "weir/base/log.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

enum { CONNECT_TIMEOUT_S = 15, MESSAGE_LINE_SIZE = 600 };

/* Values depend on these; a role's or a database's own settings must not reach them. row_security
 * off turns a policy that would hide rows from us without a word into an error. And what is asked
 * of the catalogs would be compiled by JIT each time, which takes longer than the answer. The
 * timeouts at the end are not known to every version. */
static const char pinned_settings[] =
    "SET quote_all_identifiers = off; SET exit_on_error = off;"
    "SET datestyle = 'ISO'; SET intervalstyle = 'postgres'; SET timezone = 'UTC';"
    "SET extra_float_digits = 3; SET bytea_output = 'hex'; SET search_path = pg_catalog;"
    "SET standard_conforming_strings = on; SET array_nulls = on; SET transform_null_equals = off;"
    "SET row_security = off; SET statement_timeout = 0;"
    "SET idle_in_transaction_session_timeout = 0; SET default_transaction_read_only = off;"
    "SET jit = off;"
    "SELECT set_config(name, '0', false) FROM pg_settings"
    " WHERE name IN ('idle_session_timeout', 'transaction_timeout')";

/* wal2json 2.5 on PostgreSQL 15 says nothing while it decodes a large filtered transaction, and the
 * server would take that for a dead client: raise its timeout (never lower it), and let TCP find
 * the dead ones. */
static const char replication_settings[] =
    "SELECT set_config('wal_sender_timeout', '30min', false) FROM pg_settings"
    " WHERE name = 'wal_sender_timeout' AND setting::bigint BETWEEN 1 AND 1799999;"
    "SET tcp_keepalives_idle = 60; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 6";

/* The first line of text, bounded: libpq's continuation lines repeat what hints say better. */
static void first_line(const char *text, char out[MESSAGE_LINE_SIZE])
{
    size_t len = strcspn(text, "\n");
    snprintf(out, MESSAGE_LINE_SIZE, "%.*s", (int)(len < 500 ? len : 500), text);
}

bool session_fail(PGconn *conn, const PGresult *result, const char *what,
                  char sqlstate[SQLSTATE_SIZE], struct err *err)
{
    const char *primary = result ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : NULL;
    const char *state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    const char *hint = result ? PQresultErrorField(result, PG_DIAG_MESSAGE_HINT) : NULL;
    char line[MESSAGE_LINE_SIZE];
    first_line(primary ? primary : PQerrorMessage(conn), line);
    err_set(err, "%s: %s", what, line[0] ? line : "the connection was lost");
    if (hint)
        err_hint(err, "%s", hint);
    if (sqlstate)
        snprintf(sqlstate, SQLSTATE_SIZE, "%s", state ? state : "");
    return false;
}

PGresult *session_run(PGconn *conn, const char *sql, const char *what, char sqlstate[SQLSTATE_SIZE],
                      struct err *err)
{
    PGresult *result = PQexec(conn, sql);
    ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY)
        return result;
    session_fail(conn, result, what, sqlstate, err);
    PQclear(result);
    return NULL;
}

static void log_notice(void *ignored, const PGresult *result)
{
    (void)ignored;
    const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    enum log_level level = severity && strcmp(severity, "WARNING") == 0 ? LOG_WARN : LOG_INFO;
    if (message)
        log_event(level, "postgres says", LOG_STR("notice", message));
}

/* libpq's complaints about a malformed URI quote the part it stumbled over, and with an unescaped
 * '@', ':' or '/' in the password that part is the password. Such a URI is refused here, unquoted.
 * Past the '?' an '@' is harmless. */
static bool uri_is_sound(const char *conninfo)
{
    const char *authority = strstr(conninfo, "://");
    if (!authority ||
        (strncmp(conninfo, "postgresql://", 13) != 0 && strncmp(conninfo, "postgres://", 11) != 0))
        return true;
    authority += 3;
    size_t len = strcspn(authority, "?");
    const char *at = memchr(authority, '@', len);
    if (!at)
        return true;
    return strcspn(authority, "/") > (size_t)(at - authority) &&
           !memchr(at + 1, '@', len - (size_t)(at + 1 - authority));
}

enum { KEYWORD_MAX = 64 };

struct keywords {
    PQconninfoOption *parsed;
    const char *names[KEYWORD_MAX];
    const char *values[KEYWORD_MAX];
    size_t count;
    uint64_t timeout_ms;
};

static void add_keyword(struct keywords *keywords, const char *name, const char *value)
{
    check(keywords->count < KEYWORD_MAX - 1);
    keywords->names[keywords->count] = name;
    keywords->values[keywords->count] = value;
    keywords->count++;
}

static bool parse_conninfo(const char *conninfo, bool is_replication, struct keywords *keywords,
                           struct err *err)
{
    *keywords = (struct keywords){.timeout_ms = CONNECT_TIMEOUT_S * 1000};
    char *ignored = NULL; /* libpq's reason may quote a password */
    if (uri_is_sound(conninfo))
        keywords->parsed = PQconninfoParse(conninfo, &ignored);
    PQfreemem(ignored);
    if (!keywords->parsed) {
        err_set(err, "the connection string is malformed");
        return err_hint(err,
                        "write \"host=HOST port=5432 dbname=DB user=USER\" or "
                        "postgresql://USER:PASSWORD@HOST:5432/DB, and in a URI's password @ as "
                        "%%40, : as %%3A, / as %%2F");
    }
    /* A peer that is gone without a word is found within a minute; the system's own defaults take
     * two hours. What the connection string says comes later, and wins. */
    add_keyword(keywords, "keepalives_idle", "30");
    add_keyword(keywords, "keepalives_interval", "10");
    add_keyword(keywords, "keepalives_count", "3");
    add_keyword(keywords, "tcp_user_timeout", "60000");
    for (PQconninfoOption *option = keywords->parsed; option->keyword; option++) {
        if (!option->val || !option->val[0])
            continue;
        if (strcmp(option->keyword, "connect_timeout") == 0 && atoi(option->val) > 0)
            keywords->timeout_ms = (uint64_t)atoi(option->val) * 1000;
        if (strcmp(option->keyword, "replication") != 0 &&
            strcmp(option->keyword, "client_encoding") != 0)
            add_keyword(keywords, option->keyword, option->val);
    }
    add_keyword(keywords, "fallback_application_name", "weir");
    add_keyword(keywords, "client_encoding", "UTF8");
    if (is_replication)
        add_keyword(keywords, "replication", "database");
    return true;
}

/* Drives the asynchronous connect to its end. PQconnectdb() would do, but only here can the
 * verbosity be raised in time for a refusal to bring its SQLSTATE. */
static bool finish_connecting(PGconn *conn, uint64_t timeout_ms)
{
    uint64_t deadline = clock_monotonic_ms() + timeout_ms;
    PostgresPollingStatusType want = PGRES_POLLING_WRITING;
    while (PQstatus(conn) != CONNECTION_BAD && want != PGRES_POLLING_OK) {
        uint64_t now = clock_monotonic_ms();
        if (now >= deadline)
            return false;
        struct pollfd fd = {.fd = PQsocket(conn),
                            .events = want == PGRES_POLLING_READING ? POLLIN : POLLOUT};
        int ready = poll(&fd, 1, (int)(deadline - now));
        if (ready < 0 && errno != EINTR)
            return false;
        if (ready > 0)
            want = PQconnectPoll(conn);
        if (want == PGRES_POLLING_FAILED)
            break;
    }
    return true;
}

/* The "28P01" of "...FATAL:  28P01: password authentication failed", or "" when no server spoke. */
static void find_sqlstate(const char *message, char sqlstate[SQLSTATE_SIZE])
{
    sqlstate[0] = '\0';
    for (const char *at = strstr(message, ":  "); at; at = strstr(at + 1, ":  ")) {
        const char *state = at + 3;
        if (strspn(state, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5 && state[5] == ':') {
            memcpy(sqlstate, state, 5);
            sqlstate[5] = '\0';
        }
    }
}

static enum pg_reach refused(const PGconn *conn, bool is_replication, const char *sqlstate,
                             struct err *err)
{
    const char *user = PQuser(conn) ? PQuser(conn) : "";
    if (strcmp(sqlstate, "42501") == 0 && is_replication)
        err_hint(err, "ALTER ROLE \"%s\" REPLICATION;", user);
    else if (strcmp(sqlstate, "3D000") == 0)
        err_hint(err, "name the database with dbname=, or create it");
    else if (strncmp(sqlstate, "28", 2) == 0)
        err_hint(err, "check the user and the password (user=, password=, PGPASSWORD or "
                      "~/.pgpass), and that pg_hba.conf on the server admits them");
    else
        err_hint(err, "check the connection string");
    return PG_REFUSED;
}

static enum pg_reach explain_refusal(const PGconn *conn, bool is_replication, bool timed_out,
                                     struct err *err)
{
    char sqlstate[SQLSTATE_SIZE], line[MESSAGE_LINE_SIZE];
    find_sqlstate(PQerrorMessage(conn), sqlstate);
    first_line(PQerrorMessage(conn), line);
    if (timed_out)
        err_set(err, "cannot connect to Postgres: no answer in time from %s port %s",
                PQhost(conn) ? PQhost(conn) : "", PQport(conn) ? PQport(conn) : "");
    else
        err_set(err, "cannot connect to Postgres: %s", line);
    if (strcmp(sqlstate, "53300") == 0) {
        if (is_replication)
            err_hint(err, "every connection or walsender is taken: close one, or ALTER SYSTEM SET "
                          "max_wal_senders = 20; (or max_connections) and restart Postgres");
        else
            err_hint(err, "close connections, or ALTER SYSTEM SET max_connections = 200; and "
                          "restart Postgres");
        return PG_UNREACHABLE;
    }
    /* Class 57: starting up, shutting down. */
    if (strncmp(sqlstate, "57", 2) == 0) {
        err_hint(err, "wait until the server has started");
        return PG_UNREACHABLE;
    }
    if (sqlstate[0])
        return refused(conn, is_replication, sqlstate, err);
    if (PQconnectionNeedsPassword(conn))
        return refused(conn, is_replication, "28P01", err);
    err_hint(err, "is Postgres running there, and does it listen on that address "
                  "(listen_addresses) and port?");
    return PG_UNREACHABLE;
}

static bool require_utf8(const PGconn *conn, struct err *err)
{
    const char *encoding = PQparameterStatus(conn, "server_encoding");
    if (encoding && strcmp(encoding, "UTF8") == 0)
        return true;
    err_set(err, "database \"%s\" is encoded in %s, and weir needs UTF8", PQdb(conn),
            encoding ? encoding : "something unknown");
    return err_hint(err, "CREATE DATABASE name ENCODING 'UTF8' TEMPLATE template0; and move the "
                         "data there with pg_dump");
}

static bool pin_settings(PGconn *conn, bool is_replication, struct err *err)
{
    PGresult *result = session_run(conn, pinned_settings, "cannot set up the session", NULL, err);
    if (!result)
        return false;
    PQclear(result);
    if (!is_replication)
        return true;
    /* A server that does not let us raise the timeout is still of use. */
    PQclear(PQexec(conn, replication_settings));
    if (PQstatus(conn) == CONNECTION_OK)
        return true;
    return session_fail(conn, NULL, "cannot set up the replication session", NULL, err);
}

enum pg_reach session_open(const char *conninfo, bool is_replication, PGconn **opened,
                           struct err *err)
{
    struct keywords keywords;
    *opened = NULL;
    if (!parse_conninfo(conninfo, is_replication, &keywords, err))
        return PG_REFUSED;
    PGconn *conn = PQconnectStartParams(keywords.names, keywords.values, 0);
    check(conn != NULL);
    PQsetErrorVerbosity(conn, PQERRORS_VERBOSE);
    PQsetNoticeReceiver(conn, log_notice, NULL);
    bool in_time = finish_connecting(conn, keywords.timeout_ms);
    PQconninfoFree(keywords.parsed);

    enum pg_reach reach = PG_CONNECTED;
    if (!in_time || PQstatus(conn) != CONNECTION_OK)
        reach = explain_refusal(conn, is_replication, !in_time, err);
    else if (!require_utf8(conn, err))
        reach = PG_REFUSED;
    else if (!pin_settings(conn, is_replication, err))
        reach = PQstatus(conn) == CONNECTION_OK ? PG_REFUSED : PG_UNREACHABLE;
    if (reach != PG_CONNECTED) {
        PQfinish(conn);
        return reach;
    }
    *opened = conn;
    return PG_CONNECTED;
}
