#include "weir/postgres/replication.h"

#include "weir/postgres/connection.h"
#include "weir/wal2json/decode.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define EXPECT_PART(text, part) \
    cr_assert(strstr(text, part), "\"%s\" lacks \"%s\"", (const char *)(text), part)

enum { PATIENCE_MS = 20000, LOCK_TIMEOUT_MS = 10000 };

static const struct replication_option options[] = {
    {"format-version", "2"},    {"include-types", "0"},     {"include-xids", "1"},
    {"include-lsn", "1"},       {"include-timestamp", "1"}, {"include-transaction", "1"},
    {"add-tables", "public.*"},
};
enum { OPTION_COUNT = sizeof options / sizeof *options };

static const char *conninfo(const char *more)
{
    static char text[512];
    snprintf(text, sizeof text, "%s %s", getenv("WEIR_TEST_DB"), more);
    return text;
}

/* An ordinary connection, a replication connection and the slot `weir`. */
struct fixture {
    struct pg_connection *sql;
    struct replication *replication;
    struct replication_slot slot;
};

static void execute(struct fixture *fixture, const char *sql)
{
    struct err err;
    cr_assert(pg_execute(fixture->sql, &err, sql), "%s", err.message);
}

/* The walsender holds the slot until it has noticed; waiting for that is Postgres's own business:
 * pg_terminate_backend() with a timeout (PostgreSQL 14) waits in the server. */
static void drop_slots(struct pg_connection *sql)
{
    struct err err;
    cr_assert(pg_execute(sql, &err,
                         "SELECT pg_catalog.pg_terminate_backend(active_pid, 10000)"
                         " FROM pg_replication_slots WHERE active;"
                         "SELECT pg_drop_replication_slot(slot_name)"
                         " FROM pg_replication_slots"),
              "%s", err.message);
}

static struct fixture fixture_over(const char *transport)
{
    struct fixture fixture;
    struct err err;
    fixture.sql = pg_connect(conninfo(""), &err);
    cr_assert(fixture.sql, "%s", err.message);
    drop_slots(fixture.sql); /* of a test that failed before */
    fixture.replication = replication_connect(conninfo(transport), &err);
    cr_assert(fixture.replication, "%s", err.message);
    execute(&fixture, "DROP TABLE IF EXISTS public.t; CREATE TABLE public.t (id integer PRIMARY "
                      "KEY, note text); INSERT INTO public.t VALUES (1, 'before the slot')");
    cr_assert(
        replication_create_slot(fixture.replication, "weir", LOCK_TIMEOUT_MS, &fixture.slot, &err),
        "%s", err.message);
    return fixture;
}

static struct fixture fixture_new(void)
{
    return fixture_over("");
}

static void fixture_free(struct fixture *fixture)
{
    replication_close(fixture->replication);
    drop_slots(fixture->sql);
    pg_close(fixture->sql);
}

static void start(struct replication *replication)
{
    struct err err;
    bool is_busy;
    cr_assert(replication_start(replication, "weir", 0, options, OPTION_COUNT, &is_busy, &err),
              "%s", err.message);
}

/* The next change, keep-alives passed over (and answered where the server asks). */
static struct change next_change(struct fixture *fixture, struct change_decoder *decoder)
{
    struct replication_input input;
    struct change change;
    struct err err;
    enum replication_event event;
    while ((event = replication_receive(fixture->replication, -1, PATIENCE_MS, &input, &err)) ==
           REPLICATION_KEEPALIVE) {
        if (input.reply_requested)
            cr_assert(replication_confirm(fixture->replication, 0, false, &err));
    }
    cr_assert_eq(event, REPLICATION_MESSAGE, "event %d: %s", event, err.message);
    cr_assert_gt(input.server_lsn, 0);
    cr_assert(change_decode(decoder, input.message, &change, &err), "%s", err.message);
    return change;
}

static uint64_t confirmed_lsn(struct fixture *fixture)
{
    struct err err;
    struct pg_rows *rows =
        pg_query(fixture->sql, &err,
                 "SELECT confirmed_flush_lsn - '0/0'::pg_lsn FROM pg_replication_slots", 0, NULL);
    cr_assert(rows, "%s", err.message);
    uint64_t lsn = strtoull(pg_rows_str(rows, 0, 0), NULL, 10);
    pg_rows_free(rows);
    return lsn;
}

/* Every reply is asked for and awaited; a keep-alive that was under way already looks like one, so
 * a few rounds may be needed. */
static void confirm_and_wait(struct fixture *fixture, uint64_t lsn)
{
    struct replication_input input;
    struct err err;
    for (int round = 0; round < 20 && confirmed_lsn(fixture) != lsn; round++) {
        cr_assert(replication_confirm(fixture->replication, lsn, true, &err), "%s", err.message);
        cr_assert_eq(replication_receive(fixture->replication, -1, PATIENCE_MS, &input, &err),
                     REPLICATION_KEEPALIVE);
        cr_assert_geq(input.server_lsn, lsn);
    }
    cr_assert_eq(confirmed_lsn(fixture), lsn);
}

Test(pg_replication, streams_what_is_committed_after_the_snapshot)
{
    struct fixture fixture = fixture_new();
    struct change_decoder *decoder = change_decoder_new();
    struct err err;
    cr_assert_gt(fixture.slot.consistent_lsn, 0);
    execute(&fixture, "INSERT INTO public.t VALUES (2, 'after it')");

    /* The exported snapshot sees what the slot will not send, and nothing else. */
    struct pg_connection *reader = pg_connect(conninfo(""), &err);
    char sql[200];
    snprintf(sql, sizeof sql,
             "BEGIN ISOLATION LEVEL REPEATABLE READ; SET TRANSACTION SNAPSHOT '%s'",
             fixture.slot.snapshot);
    cr_assert(pg_execute(reader, &err, sql), "%s", err.message);
    struct pg_rows *rows = pg_query(reader, &err, "SELECT note FROM public.t", 0, NULL);
    cr_assert_eq(pg_rows_count(rows), 1);
    cr_assert_str_eq(pg_rows_str(rows, 0, 0), "before the slot");
    pg_rows_free(rows);
    pg_close(reader);

    start(fixture.replication);
    cr_assert_eq(next_change(&fixture, decoder).kind, CHANGE_BEGIN);
    struct change insert = next_change(&fixture, decoder);
    cr_assert_eq(insert.kind, CHANGE_INSERT);
    cr_assert(slice_eq_str(insert.columns[1].value.raw, "\"after it\""));
    struct change commit = next_change(&fixture, decoder);
    cr_assert_eq(commit.kind, CHANGE_COMMIT);

    confirm_and_wait(&fixture, commit.next_lsn);
    change_decoder_free(decoder);
    fixture_free(&fixture);
}

Test(pg_replication, a_large_message_arrives_whole)
{
    struct fixture fixture = fixture_new();
    struct change_decoder *decoder = change_decoder_new();
    execute(&fixture, "INSERT INTO public.t VALUES (2, repeat('x', 3000000))");
    start(fixture.replication);
    cr_assert_eq(next_change(&fixture, decoder).kind, CHANGE_BEGIN);
    struct change change = next_change(&fixture, decoder);
    cr_assert_eq(change.columns[1].value.raw.len, 3000002);
    cr_assert_eq(next_change(&fixture, decoder).kind, CHANGE_COMMIT);
    change_decoder_free(decoder);
    fixture_free(&fixture);
}

/* PostgreSQL 15 sends TLS records that one read of libpq empties; the longer ones of later versions
 * are what replication_receive() reads twice for. */
Test(pg_replication, messages_of_many_sizes_arrive_over_tls)
{
    enum { ROWS = 400 };
    struct fixture fixture = fixture_over("host=127.0.0.1 sslmode=require");
    struct change_decoder *decoder = change_decoder_new();
    execute(&fixture, "INSERT INTO public.t SELECT i, repeat('x', i * 97) FROM"
                      " generate_series(2, 401) i");
    start(fixture.replication);
    cr_assert_eq(next_change(&fixture, decoder).kind, CHANGE_BEGIN);
    for (size_t i = 2; i < 2 + ROWS; i++)
        cr_assert_eq(next_change(&fixture, decoder).columns[1].value.raw.len, i * 97 + 2);
    cr_assert_eq(next_change(&fixture, decoder).kind, CHANGE_COMMIT);
    change_decoder_free(decoder);
    fixture_free(&fixture);
}

Test(pg_replication, waiting_ends_by_the_wake_fd_or_at_once)
{
    struct fixture fixture = fixture_new();
    struct replication_input input;
    struct err err;
    start(fixture.replication);
    int wake_fd = eventfd(1, 0);
    enum replication_event event;
    /* A keep-alive may come first; the wake-up stays until it is read. */
    do
        event = replication_receive(fixture.replication, wake_fd, PATIENCE_MS, &input, &err);
    while (event == REPLICATION_KEEPALIVE);
    cr_assert_eq(event, REPLICATION_IDLE);
    do
        event = replication_receive(fixture.replication, -1, 0, &input, &err);
    while (event == REPLICATION_KEEPALIVE);
    cr_assert_eq(event, REPLICATION_IDLE);
    close(wake_fd);
    fixture_free(&fixture);
}

Test(pg_replication, a_walsender_that_is_ended_is_a_failure_in_words)
{
    struct fixture fixture = fixture_new();
    struct replication_input input;
    struct err err;
    start(fixture.replication);
    execute(&fixture, "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots");
    enum replication_event event;
    do
        event = replication_receive(fixture.replication, -1, PATIENCE_MS, &input, &err);
    while (event == REPLICATION_KEEPALIVE);
    cr_assert_eq(event, REPLICATION_FAILED);
    EXPECT_PART(err.message, "terminating connection");
    fixture_free(&fixture);
}

Test(pg_replication, an_unknown_option_is_an_error_at_the_start)
{
    struct fixture fixture = fixture_new();
    struct err err;
    bool is_busy;
    struct replication_option odd[] = {{"it's", "\"odd\" 'value'"}};
    cr_assert_not(replication_start(fixture.replication, "weir", 0, odd, 1, &is_busy, &err));
    EXPECT_PART(err.message, "option \"it's\" = \"\"odd\" 'value'\" is unknown");
    cr_assert_not(is_busy);
    fixture_free(&fixture);
}

Test(pg_replication, a_slot_in_use_names_its_user)
{
    struct fixture fixture = fixture_new();
    struct err err;
    bool is_busy;
    start(fixture.replication);
    struct replication *second = replication_connect(conninfo(""), &err);
    cr_assert_not(replication_start(second, "weir", 0, options, OPTION_COUNT, &is_busy, &err));
    cr_assert(is_busy);
    EXPECT_PART(err.message, "slot \"weir\" is in use by the process with pid ");
    EXPECT_PART(err.hint, "pg_terminate_backend(active_pid)");
    replication_close(second);
    fixture_free(&fixture);
}

Test(pg_replication, a_slot_that_does_not_exist_or_exists_already)
{
    struct fixture fixture = fixture_new();
    struct replication_slot slot;
    struct err err;
    bool is_busy;
    cr_assert_not(
        replication_start(fixture.replication, "other", 0, options, OPTION_COUNT, &is_busy, &err));
    EXPECT_PART(err.message, "\"other\" does not exist");
    cr_assert_not(is_busy);
    cr_assert_not(
        replication_create_slot(fixture.replication, "weir", LOCK_TIMEOUT_MS, &slot, &err));
    EXPECT_PART(err.message, "already exists");
    EXPECT_PART(err.hint, "pg_drop_replication_slot('weir')");
    cr_assert_not(
        replication_create_slot(fixture.replication, "No name", LOCK_TIMEOUT_MS, &slot, &err));
    EXPECT_PART(err.message, "invalid character");
    /* Some minors of Postgres do not read a doubled quote here; none may take it for a name. */
    cr_assert_not(
        replication_create_slot(fixture.replication, "no\"name", LOCK_TIMEOUT_MS, &slot, &err));
    fixture_free(&fixture);
}

Test(pg_replication, a_lost_slot_is_called_lost)
{
    struct fixture fixture = fixture_new();
    struct err err;
    bool is_busy;
    for (int i = 0; i < 3; i++)
        execute(&fixture, "UPDATE public.t SET note = note; SELECT pg_switch_wal(); CHECKPOINT");
    cr_assert_not(
        replication_start(fixture.replication, "weir", 0, options, OPTION_COUNT, &is_busy, &err));
    EXPECT_PART(err.message, "slot \"weir\" is lost");
    EXPECT_PART(err.hint, "pg_drop_replication_slot('weir')");
    fixture_free(&fixture);
}

Test(pg_replication, no_slot_is_free)
{
    struct fixture fixture = fixture_new();
    struct replication_slot slot;
    struct err err;
    execute(&fixture, "SELECT pg_create_physical_replication_slot('a'),"
                      " pg_create_physical_replication_slot('b')");
    cr_assert_not(
        replication_create_slot(fixture.replication, "weir2", LOCK_TIMEOUT_MS, &slot, &err));
    EXPECT_PART(err.message, "all 3 replication slots");
    EXPECT_PART(err.hint, "SET max_replication_slots = 13;");
    fixture_free(&fixture);
}

Test(pg_replication, creation_names_the_transaction_it_waits_for)
{
    struct fixture fixture = fixture_new();
    struct replication_slot slot;
    struct err err;
    struct pg_connection *blocker = pg_connect(conninfo(""), &err);
    cr_assert(pg_execute(blocker, &err, "BEGIN; UPDATE public.t SET note = 'open'"));
    struct pg_rows *rows = pg_query(blocker, &err, "SELECT pg_backend_pid()", 0, NULL);
    char expected[64];
    snprintf(expected, sizeof expected, "process with pid %s", pg_rows_str(rows, 0, 0));
    pg_rows_free(rows);
    cr_assert_not(replication_create_slot(fixture.replication, "weir2", 100, &slot, &err));
    EXPECT_PART(err.message, expected);
    EXPECT_PART(err.hint, "pg_terminate_backend(");
    pg_close(blocker);
    cr_assert(replication_create_slot(fixture.replication, "weir2", LOCK_TIMEOUT_MS, &slot, &err),
              "%s", err.message);
    fixture_free(&fixture);
}

Test(pg_replication, a_role_without_the_right_gets_the_sql)
{
    struct err err;
    struct pg_connection *sql = pg_connect(conninfo(""), &err);
    cr_assert(pg_execute(sql, &err, "CREATE ROLE plain LOGIN"), "%s", err.message);
    struct replication *replication;
    cr_assert_eq(replication_try_connect(conninfo("user=plain"), &replication, &err), PG_REFUSED);
    cr_assert_null(replication);
    cr_assert_str_eq(err.hint, "ALTER ROLE \"plain\" REPLICATION;");
    pg_close(sql);
}

Test(pg_replication, a_plugin_that_is_not_installed_or_not_allowed)
{
    struct replication_slot slot;
    struct err err;
    struct pg_connection *sql = pg_connect(conninfo(""), &err);
    cr_assert(pg_execute(sql, &err,
                         "CREATE ROLE unarmed LOGIN REPLICATION;"
                         "ALTER ROLE unarmed SET dynamic_library_path = '/nonexistent'"),
              "%s", err.message);
    struct replication *replication = replication_connect(conninfo("user=unarmed"), &err);
    cr_assert_not(replication_create_slot(replication, "x", LOCK_TIMEOUT_MS, &slot, &err));
    EXPECT_PART(err.message, "wal2json is not installed");
    EXPECT_PART(err.hint, "-wal2json");
    replication_close(replication);

    struct pg_rows *rows = pg_query(sql, &err,
                                    "SELECT 1 FROM pg_settings WHERE name = "
                                    "'output_plugin_libraries'",
                                    0, NULL);
    if (pg_rows_count(rows)) { /* a minor before August 2026 allows every plugin */
        cr_assert(pg_execute(sql, &err,
                             "CREATE ROLE unlisted LOGIN REPLICATION; ALTER ROLE unlisted SET "
                             "output_plugin_libraries = 'pgoutput, wal2json'"),
                  "%s", err.message);
        replication = replication_connect(conninfo("user=unlisted"), &err);
        cr_assert_not(replication_create_slot(replication, "x", LOCK_TIMEOUT_MS, &slot, &err));
        EXPECT_PART(err.message, "not on output_plugin_libraries");
        /* Where it is set for the role, nothing else helps. */
        EXPECT_PART(err.hint, "ALTER ROLE unlisted SET output_plugin_libraries TO pgoutput, "
                              "test_decoding, wal2json;");
        replication_close(replication);
        cr_assert(pg_execute(sql, &err, err.hint), "%s", err.message);
        replication = replication_connect(conninfo("user=unlisted"), &err);
        cr_assert(replication_create_temporary_slot(replication, "x", LOCK_TIMEOUT_MS, &slot, &err),
                  "%s", err.message);
        replication_close(replication);
    }
    pg_rows_free(rows);
    pg_close(sql);
}
