#include "weir/postgres/connection.h"

#include "postgres/session.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#define EXPECT_PART(text, part) \
    cr_assert(strstr(text, part), "\"%s\" lacks \"%s\"", (const char *)(text), part)

static const char *conninfo(const char *more)
{
    static char text[512];
    snprintf(text, sizeof text, "%s %s", getenv("WEIR_TEST_DB"), more);
    return text;
}

static struct pg_connection *connect_or_fail(void)
{
    struct err err;
    struct pg_connection *connection = pg_connect(conninfo(""), &err);
    cr_assert(connection, "%s", err.message);
    return connection;
}

static void execute(struct pg_connection *connection, const char *sql)
{
    struct err err;
    cr_assert(pg_execute(connection, &err, sql), "%s", err.message);
}

static struct pg_rows *query(struct pg_connection *connection, const char *sql)
{
    struct err err;
    struct pg_rows *rows = pg_query(connection, &err, sql, 0, NULL);
    cr_assert(rows, "%s", err.message);
    return rows;
}

static void expect_value(struct pg_connection *connection, const char *sql, const char *expected)
{
    struct pg_rows *rows = query(connection, sql);
    cr_assert_str_eq(pg_rows_str(rows, 0, 0), expected, "%s: %s", sql, pg_rows_str(rows, 0, 0));
    pg_rows_free(rows);
}

Test(pg_connection, pins_settings_whatever_the_role_has)
{
    struct pg_connection *connection = connect_or_fail();
    execute(connection, "CREATE ROLE odd LOGIN SUPERUSER; ALTER ROLE odd SET datestyle = 'German';"
                        "ALTER ROLE odd SET bytea_output = 'escape';"
                        "ALTER ROLE odd SET timezone = 'Asia/Kolkata';"
                        "ALTER ROLE odd SET statement_timeout = '1ms';"
                        "ALTER ROLE odd SET search_path = 'nowhere';"
                        "ALTER ROLE odd SET quote_all_identifiers = on;"
                        "ALTER ROLE odd SET exit_on_error = on;"
                        "ALTER ROLE odd SET idle_session_timeout = '1h'");
    pg_close(connection);
    struct err err;
    connection = pg_connect(conninfo("user=odd"), &err);
    cr_assert(connection, "%s", err.message);
    expect_value(connection, "SELECT timestamptz '2024-02-29 12:00+02'", "2024-02-29 10:00:00+00");
    expect_value(connection, "SELECT '\\x00ff'::bytea", "\\x00ff");
    expect_value(connection, "SHOW search_path", "pg_catalog");
    expect_value(connection, "SHOW statement_timeout", "0");
    expect_value(connection, "SHOW idle_session_timeout", "0");
    expect_value(connection, "SHOW exit_on_error", "off");
    expect_value(connection, "SELECT 'pg_class'::regclass::text", "pg_class");
    expect_value(connection,
                 "SELECT application_name FROM pg_stat_activity"
                 " WHERE pid = pg_backend_pid()",
                 "weir");
    cr_assert_geq(pg_server_version(connection), 100000);
    pg_close(connection);
    pg_close(NULL);
}

Test(pg_connection, a_policy_that_would_hide_rows_is_an_error)
{
    struct pg_connection *connection = connect_or_fail();
    execute(connection, "CREATE ROLE limited LOGIN; CREATE TABLE public.secrets (id integer);"
                        "ALTER TABLE public.secrets ENABLE ROW LEVEL SECURITY;"
                        "GRANT SELECT ON public.secrets TO limited");
    pg_close(connection);
    struct err err;
    connection = pg_connect(conninfo("user=limited"), &err);
    cr_assert(connection, "%s", err.message);
    cr_assert_null(pg_query(connection, &err, "SELECT * FROM public.secrets", 0, NULL));
    EXPECT_PART(err.message, "row-level security");
    pg_close(connection);
}

Test(pg_connection, queries_take_parameters_and_give_nulls_and_bytes)
{
    struct pg_connection *connection = connect_or_fail();
    struct err err;
    const char *parameters[] = {"it's", NULL};
    struct pg_rows *rows =
        pg_query(connection, &err, "SELECT $1::text, $2::text, '' UNION ALL SELECT 'b', 'c', 'd'",
                 2, parameters);
    cr_assert(rows, "%s", err.message);
    cr_assert_eq(pg_rows_count(rows), 2);
    cr_assert(slice_eq_str(pg_rows_slice(rows, 0, 0), "it's"));
    cr_assert(pg_rows_is_null(rows, 0, 1));
    cr_assert_str_eq(pg_rows_str(rows, 0, 1), "");
    cr_assert_not(pg_rows_is_null(rows, 0, 2));
    cr_assert_str_eq(pg_rows_str(rows, 1, 2), "d");
    pg_rows_free(rows);
    rows = query(connection, "CREATE TEMPORARY TABLE t (id integer)");
    cr_assert_eq(pg_rows_count(rows), 0);
    pg_rows_free(rows);
    pg_close(connection);
}

Test(pg_connection, an_error_has_the_words_and_state_but_no_detail)
{
    struct pg_connection *connection = connect_or_fail();
    struct err err;
    execute(connection, "CREATE TEMPORARY TABLE t (id text PRIMARY KEY);"
                        "INSERT INTO t VALUES ('a private value')");
    cr_assert_not(pg_execute(connection, &err, "INSERT INTO t VALUES ('a private value')"));
    EXPECT_PART(err.message, "duplicate key value violates unique constraint");
    cr_assert_not(strstr(err.message, "private"));
    cr_assert_not(strstr(err.hint, "private"));
    cr_assert_str_eq(pg_sqlstate(connection), "23505");
    cr_assert_not(pg_is_broken(connection));
    cr_assert_null(pg_query(connection, &err, "SELECT lenght('a')", 0, NULL));
    cr_assert_str_eq(pg_sqlstate(connection), "42883");
    EXPECT_PART(err.hint, "No function matches");
    expect_value(connection, "SELECT 1", "1");
    cr_assert_str_eq(pg_sqlstate(connection), "");
    cr_assert_not(pg_execute(connection, &err, "SELECT pg_terminate_backend(pg_backend_pid())"));
    cr_assert(pg_is_broken(connection));
    pg_close(connection);
}

Test(pg_connection, quotes_names_and_texts)
{
    struct pg_connection *connection = connect_or_fail();
    struct arena arena = ARENA_INIT;
    static const char *const texts[] = {"plain", "it's \"so\"", "back\\slash\\'", "$1 -- ;", "ü"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const char *sql =
            arena_printf(&arena, "SELECT %s AS %s", pg_quote_literal(&arena, texts[i]),
                         pg_quote_identifier(&arena, texts[i]));
        expect_value(connection, sql, texts[i]);
    }
    cr_assert_str_eq(pg_quote_identifier(&arena, "a\"b"), "\"a\"\"b\"");
    arena_release(&arena);
    pg_close(connection);
}

Test(pg_connection, copy_gives_fields_as_they_are)
{
    struct pg_connection *connection = connect_or_fail();
    struct err err;
    const struct slice *fields;
    size_t count;
    cr_assert(
        pg_copy_begin(connection, &err,
                      "COPY (SELECT * FROM (VALUES (1, E'a\\tb\\nc\\\\d\\b\\f\\x0b\\r', NULL),"
                      " (2, '', '\\N'), (3, 'ü', '\\.')) t) TO STDOUT"),
        "%s", err.message);
    static const char *const expected[3][3] = {
        {"1", "a\tb\nc\\d\b\f\v\r", NULL}, {"2", "", "\\N"}, {"3", "ü", "\\."}};
    for (size_t row = 0; row < 3; row++) {
        cr_assert_eq(pg_copy_next(connection, &fields, &count, &err), PG_COPY_ROW);
        cr_assert_eq(count, 3);
        for (size_t i = 0; i < 3; i++) {
            cr_assert_eq(fields[i].data == NULL, expected[row][i] == NULL);
            cr_assert(slice_eq_str(fields[i], expected[row][i]), "row %zu field %zu", row, i);
        }
    }
    cr_assert_eq(pg_copy_next(connection, &fields, &count, &err), PG_COPY_END);
    expect_value(connection, "SELECT 1", "1");
    pg_close(connection);
}

Test(pg_connection, copy_of_many_columns_and_a_failure_on_the_way)
{
    struct pg_connection *connection = connect_or_fail();
    struct err err;
    const struct slice *fields;
    size_t count, rows = 0;
    cr_assert(pg_copy_begin(connection, &err,
                            "COPY (SELECT 1/(5 - i), 'x' AS a, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, "
                            "12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, "
                            "29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, "
                            "46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, "
                            "63, 64, 65, 66, 67, 68 FROM generate_series(1, 9) i) TO STDOUT"));
    enum pg_copy_step step;
    while ((step = pg_copy_next(connection, &fields, &count, &err)) == PG_COPY_ROW) {
        cr_assert_eq(count, 70);
        cr_assert(slice_eq_str(fields[69], "68"));
        rows++;
    }
    cr_assert_eq(rows, 4);
    cr_assert_eq(step, PG_COPY_FAILED);
    EXPECT_PART(err.message, "division by zero");
    cr_assert_not(pg_copy_begin(connection, &err, "SELECT 1"));
    cr_assert_not(pg_copy_begin(connection, &err, "COPY nowhere TO STDOUT"));
    EXPECT_PART(err.message, "nowhere");
    expect_value(connection, "SELECT 1", "1");
    pg_close(connection);
}

Test(pg_connection, tells_unreachable_from_refused)
{
    struct pg_connection *connection = connect_or_fail();
    execute(connection, "CREATE DATABASE latin ENCODING LATIN1 TEMPLATE template0");
    pg_close(connection);
    static const struct {
        const char *more;
        enum pg_reach reach;
        const char *message, *hint;
    } cases[] = {
        {"host=127.0.0.1 port=1", PG_UNREACHABLE, "cannot connect to Postgres", "listen_addresses"},
        {"host=/nonexistent", PG_UNREACHABLE, "cannot connect to Postgres", "listen_addresses"},
        {"dbname=nowhere", PG_REFUSED, "\"nowhere\" does not exist", "dbname="},
        {"user=nobody_here", PG_REFUSED, "\"nobody_here\" does not exist", "pg_hba.conf"},
        {"dbname=latin", PG_REFUSED, "\"latin\" is encoded in LATIN1", "ENCODING 'UTF8'"},
        {"port=secret", PG_UNREACHABLE, "cannot connect", ""},
        {"nonsense", PG_REFUSED, "malformed", "postgresql://"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err err;
        cr_assert_eq(pg_try_connect(conninfo(cases[i].more), &connection, &err), cases[i].reach,
                     "%s: %s", cases[i].more, err.message);
        cr_assert_null(connection);
        EXPECT_PART(err.message, cases[i].message);
        EXPECT_PART(err.hint, cases[i].hint);
        cr_assert_null(pg_connect(conninfo(cases[i].more), NULL));
    }
}

Test(pg_connection, a_password_never_reaches_the_words)
{
    static const char *const strings[] = {
        "host=127.0.0.1 port=1 password=hunter2 user=a",
        "host=127.0.0.1 port=1 password=a hunter2 user=a",
        "host=127.0.0.1 port=1 hunter2=",
        "postgresql://a:hunter2@127.0.0.1:1/db",
        "postgresql://a:p@hunter2@127.0.0.1:1/db",
        "postgresql://a:p/hunter2@127.0.0.1:1/db",
        "postgresql://a:hunter2%zz@127.0.0.1:1/db",
    };
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) {
        struct err err;
        cr_assert_null(pg_connect(strings[i], &err), "%s", strings[i]);
        cr_assert_not(strstr(err.message, "hunter2"), "%s: %s", strings[i], err.message);
        cr_assert_not(strstr(err.hint, "hunter2"));
    }
}

Test(pg_connection, a_replication_session_has_patience)
{
    PGconn *conn;
    struct err err;
    cr_assert_eq(session_open(conninfo(""), true, &conn, &err), PG_CONNECTED, "%s", err.message);
    PGresult *result = PQexec(conn, "SHOW wal_sender_timeout");
    cr_assert_str_eq(PQgetvalue(result, 0, 0), "30min");
    PQclear(result);
    result = PQexec(conn, "SHOW timezone");
    cr_assert_str_eq(PQgetvalue(result, 0, 0), "UTC");
    PQclear(result);
    PQfinish(conn);
}
