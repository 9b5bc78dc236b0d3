#include "watch.h"

#include "weir/base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INDEX_TABLES_MAX = 300 };

static unsigned versions; /* a connection may have statements of an earlier struct watch */

void watch_forget(struct watch *watch)
{
    buffer_clear(&watch->question);
    watch->first_to_come = 0;
    watch->running_count = 0;
    watch->is_other = watch->shows_other_rows = false;
}

void watch_release(struct watch *watch)
{
    buffer_release(&watch->looked);
    buffer_release(&watch->answer);
    buffer_release(&watch->question);
    buffer_release(&watch->prepare);
    free(watch->running);
    free(watch->tables);
    *watch = (struct watch){0};
}

bool watch_has_looked(const struct watch *watch)
{
    return watch->question.len > 0;
}

bool watch_is_quiet(const struct watch *watch)
{
    return slice_eq(buffer_slice(&watch->looked), buffer_slice(&watch->answer));
}

/* Whether a comes before b; both are 32 bits that go round. */
static bool is_before(uint32_t a, uint64_t b)
{
    return (int32_t)(a - (uint32_t)b) < 0;
}

bool watch_covers(const struct watch *watch, uint32_t xid)
{
    if (!watch->first_to_come || !is_before(xid, watch->first_to_come))
        return false;
    for (size_t i = 0; i < watch->running_count; i++) {
        if ((uint32_t)watch->running[i] == xid)
            return false;
    }
    return true;
}

static size_t count_of(const char *text, char c)
{
    size_t count = 0;
    for (; *text; text++)
        count += *text == c;
    return count;
}

/* first_unknown:first_to_come:running,running */
static void read_snapshot(struct watch *watch, const char *text)
{
    char *end;
    strtoull(text, &end, 10); /* every transaction below has ended */
    watch->first_to_come = strtoull(end + 1, &end, 10);
    watch->running = realloc(watch->running, (count_of(end, ',') + 1) * sizeof *watch->running);
    check(watch->running);
    watch->running_count = 0;
    while (*end && end[1])
        watch->running[watch->running_count++] = strtoull(end + 1, &end, 10);
}

static bool read_answer(struct watch *watch, struct pg_rows *rows)
{
    if (!rows)
        return false;
    read_snapshot(watch, pg_rows_str(rows, 0, 0));
    buffer_clear(&watch->answer);
    buffer_add_slice(&watch->answer, pg_rows_slice(rows, 0, 1));
    pg_rows_free(rows);
    return true;
}

/* For some dozens of tables Postgres reads all of pg_attribute rather than its index, if it is let,
 * which takes twice as long. */
static void write_prepare(struct watch *watch, size_t table_count)
{
    struct buffer *out = &watch->prepare;
    buffer_clear(out);
    watch->version = ++versions;
    buffer_printf(out, "DEALLOCATE ALL; SET enable_seqscan = %s; PREPARE weir_watch_%u AS ",
                  table_count < INDEX_TABLES_MAX ? "off" : "on", watch->version);
    buffer_add_slice(out, buffer_slice(&watch->question));
    buffer_printf(out, "; EXECUTE weir_watch_%u; RESET enable_seqscan", watch->version);
}

static void compare(struct watch *watch, const struct catalog *known, const struct catalog *now)
{
    const struct relation_set *relations = &known->relations;
    watch->tables = realloc(watch->tables, relations->count * sizeof *watch->tables);
    check(watch->tables);
    watch->is_other = !catalog_equals(now, known);
    watch->shows_other_rows = watch->is_other && catalog_shows_other_rows(known, now);
    for (size_t i = 0; i < relations->count; i++)
        watch->tables[i] = catalog_table_change(now, relations->relations[i]);
}

bool watch_begin(struct watch *watch, const struct catalog *known, const struct catalog *now,
                 const char *publication, struct pg_connection *connection, struct err *err)
{
    struct buffer question = BUFFER_INIT;
    bool ok = watch_write_question(&question, now, publication, connection, err) &&
              read_answer(watch, pg_query(connection, err, buffer_str(&question), 0, NULL));
    if (ok && !slice_eq(buffer_slice(&question), buffer_slice(&watch->question))) {
        buffer_clear(&watch->question);
        buffer_add_slice(&watch->question, buffer_slice(&question));
        write_prepare(watch, now->relations.count);
    }
    if (ok) {
        buffer_clear(&watch->looked);
        buffer_add_slice(&watch->looked, buffer_slice(&watch->answer));
        compare(watch, known, now);
    }
    buffer_release(&question);
    return ok;
}

bool watch_ask(struct watch *watch, struct pg_connection *connection, struct err *err)
{
    char sql[64];
    snprintf(sql, sizeof sql, "EXECUTE weir_watch_%u", watch->version);
    struct pg_rows *rows = pg_query(connection, err, sql, 0, NULL);
    /* Another connection than before, or another look: it does not know the statement. */
    if (!rows && strcmp(pg_sqlstate(connection), "26000") == 0 &&
        pg_execute(connection, err, buffer_str(&watch->prepare)))
        rows = pg_query(connection, err, sql, 0, NULL);
    return read_answer(watch, rows);
}
