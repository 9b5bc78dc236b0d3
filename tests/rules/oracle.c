#include "oracle.h"

#include "weir/base/check.h"
#include "weir/base/json.h"
#include "weir/base/percent.h"
#include "weir/events/difference.h"
#include "weir/replica/value.h"

#include <stdio.h>
#include <stdlib.h>

static const char separator = '\x1f';

void pairs_add(struct strings *strings, struct arena *arena, struct slice a, struct slice b)
{
    struct buffer pair = BUFFER_INIT;
    buffer_add_slice(&pair, a);
    buffer_add_char(&pair, separator);
    buffer_add_slice(&pair, b);
    strings_add(strings, arena, buffer_slice(&pair));
    buffer_release(&pair);
}

void pair_split(struct slice pair, struct slice *a, struct slice *b)
{
    const char *at = memchr(pair.data, separator, pair.len);
    *a = slice_of(pair.data, (size_t)(at - pair.data));
    *b = slice_of(at + 1, pair.len - a->len - 1);
}

/* row: a condition on the table's rows. */
static bool ask_pairs_where(struct world *world, const struct table *table, struct slice audience,
                            const char *row, struct answer *answer, struct arena *arena,
                            struct err *err)
{
    struct buffer sql = BUFFER_INIT;
    buffer_add_str(&sql, "SELECT ");
    schema_key_expression(table, table->name, &sql);
    buffer_printf(&sql,
                  ", s.subject::text FROM %s, LATERAL (%.*s) s(subject)"
                  " WHERE s.subject IS NOT NULL AND %s",
                  table->name, SLICE_ARG(audience), row);
    struct pg_rows *rows = pg_query(world->connection, err, buffer_str(&sql), 0, NULL);
    buffer_release(&sql);
    if (!rows)
        return false;
    for (size_t i = 0; i < pg_rows_count(rows); i++) {
        pairs_add(&answer->pairs, arena, pg_rows_slice(rows, i, 0), pg_rows_slice(rows, i, 1));
        strings_add(&answer->subjects, arena, pg_rows_slice(rows, i, 1));
    }
    pg_rows_free(rows);
    return true;
}

static bool ask_pairs_of_each(struct world *world, const struct table *table, struct slice audience,
                              struct answer *answer, struct arena *arena, struct err *err)
{
    char row[128], sql[128];
    bool ok = true;
    snprintf(sql, sizeof sql, "SELECT ctid FROM %s", table->name);
    struct pg_rows *rows = pg_query(world->connection, err, sql, 0, NULL);
    if (!rows)
        return false;
    for (size_t i = 0; ok && i < pg_rows_count(rows); i++) {
        snprintf(row, sizeof row, "%s.ctid = '%.*s'", table->name,
                 SLICE_ARG(pg_rows_slice(rows, i, 0)));
        ok = ask_pairs_where(world, table, audience, row, answer, arena, err);
    }
    pg_rows_free(rows);
    return ok;
}

/* Whether Postgres may answer wrongly when it evaluates the audience for several rows in one
 * statement (15.18): a sub-select that it keeps as a hash table, and tests in a join and once more
 * in the scan below, is made anew for the next row in only one of the two places. That takes an
 * audience, or a part of one, that is not merged with the statement around it.
 *
 *   CREATE TABLE o AS SELECT 1 AS id, false AS b UNION ALL SELECT 2, true;
 *   CREATE TABLE v AS SELECT 7 AS x; CREATE TABLE w AS SELECT 1 AS y;
 *   SELECT o.id, s.* FROM o, LATERAL (SELECT v.x FROM v JOIN w ON true
 *     WHERE v.x NOT IN (SELECT NULL::int FROM w WHERE o.b IS NOT TRUE) OR (v.x > 5 AND w.y > 5)
 *     OFFSET 0) s;      -- nothing; with WHERE o.id = 2 it is (2, 7) */
static bool is_asked_by_row(struct slice audience)
{
    bool is_apart = memmem(audience.data, audience.len, " UNION ", 7) ||
                    memmem(audience.data, audience.len, "DISTINCT ", 9) ||
                    memmem(audience.data, audience.len, "EXISTS (", 8);
    return is_apart && (memmem(audience.data, audience.len, " IN (SELECT", 11) ||
                        memmem(audience.data, audience.len, " ANY (SELECT", 12));
}

bool oracle_ask_pairs(struct world *world, const struct table *table, struct slice audience,
                      struct answer *answer, struct arena *arena, struct err *err)
{
    /* Once for the whole table in any case: whether Postgres takes it at all. */
    struct answer whole = {0};
    bool is_by_row = is_asked_by_row(audience);
    if (!ask_pairs_where(world, table, audience, "true", is_by_row ? &whole : answer, arena, err) ||
        (is_by_row && !ask_pairs_of_each(world, table, audience, answer, arena, err)))
        return false;
    strings_sort(&answer->pairs);
    strings_sort(&answer->subjects);
    return true;
}

static void ask_rows(struct world *world, const struct table *table, struct answer *answer,
                     struct arena *arena)
{
    struct buffer sql = BUFFER_INIT;
    struct err err;
    buffer_add_str(&sql, "SELECT ");
    schema_key_expression(table, table->name, &sql);
    buffer_printf(&sql, ", to_jsonb(%s)::text FROM %s", table->name, table->name);
    struct pg_rows *rows = pg_query(world->connection, &err, buffer_str(&sql), 0, NULL);
    check(rows != NULL);
    for (size_t i = 0; i < pg_rows_count(rows); i++)
        pairs_add(&answer->rows, arena, pg_rows_slice(rows, i, 0), pg_rows_slice(rows, i, 1));
    strings_sort(&answer->rows);
    pg_rows_free(rows);
    buffer_release(&sql);
}

struct answer oracle_ask(struct world *world, const struct table *table, struct slice audience,
                         struct arena *arena)
{
    struct answer answer = {0};
    struct err err;
    if (!oracle_ask_pairs(world, table, audience, &answer, arena, &err)) {
        /* Such as a cast that some row's value does not survive: nothing generated does that. */
        fprintf(stderr, "%s: %.*s\n", err.message, SLICE_ARG(audience));
        abort();
    }
    ask_rows(world, table, &answer, arena);
    return answer;
}

struct slice row_event_key(const struct relation *relation, struct row row, struct arena *arena)
{
    struct buffer key = BUFFER_INIT;
    for (size_t i = 0; i < relation->key_count; i++) {
        const struct value_type *type = relation->columns[relation->key[i]].type;
        struct slice text = value_text(type, row_column(relation, row, relation->key[i]), arena);
        if (relation->key_count > 1)
            buffer_printf(&key, "%c\"%.*s\"", i ? ',' : '[', SLICE_ARG(text));
        else
            buffer_add_slice(&key, text);
    }
    if (relation->key_count > 1)
        buffer_add_char(&key, ']');
    struct slice copy = arena_copy(arena, buffer_slice(&key));
    buffer_release(&key);
    return copy;
}

static void deliveries_add(struct strings *deliveries, struct arena *arena, struct slice path,
                           struct slice operation, struct slice type, struct slice key)
{
    struct buffer text = BUFFER_INIT;
    buffer_printf(&text, "%.*s %.*s %.*s %.*s", SLICE_ARG(path), SLICE_ARG(operation),
                  SLICE_ARG(type), SLICE_ARG(key));
    strings_add(deliveries, arena, buffer_slice(&text));
    buffer_release(&text);
}

static void expect_event(struct strings *expected, struct arena *arena, const char *operation,
                         const char *table, struct slice pair)
{
    struct slice key, subject;
    struct buffer path = BUFFER_INIT;
    pair_split(pair, &key, &subject);
    if (!subject.len)
        return; /* no path has an empty segment: the bridge says so in its log */
    buffer_add_str(&path, "user/");
    percent_encode_segment(&path, subject);
    buffer_add_str(&path, "/data");
    deliveries_add(expected, arena, buffer_slice(&path), slice_from_str(operation),
                   slice_from_str(table), key);
    buffer_release(&path);
}

static bool row_stayed(const struct answer *a, const struct answer *b, struct slice pair)
{
    struct slice key, subject;
    pair_split(pair, &key, &subject);
    for (size_t i = 0; i < a->rows.count; i++) {
        struct slice other, json;
        pair_split(a->rows.items[i], &other, &json);
        if (slice_eq(key, other))
            return strings_hold(&b->rows, a->rows.items[i]);
    }
    return false;
}

void oracle_expect_events(struct strings *expected, struct arena *arena, const char *table,
                          const struct answer *a, const struct answer *b)
{
    for (size_t i = 0; i < a->pairs.count; i++) {
        struct slice pair = a->pairs.items[i];
        if (!strings_hold(&b->pairs, pair))
            expect_event(expected, arena, "delete", table, pair);
        else if (!row_stayed(a, b, pair))
            expect_event(expected, arena, "update", table, pair);
    }
    for (size_t i = 0; i < b->pairs.count; i++) {
        if (!strings_hold(&a->pairs, b->pairs.items[i]))
            expect_event(expected, arena, "insert", table, b->pairs.items[i]);
    }
}

/* Weir's own events */

struct capture {
    struct arena *arena;
    struct strings events; /* one for each payload */
    struct strings deliveries;
};

static uint32_t capture_payload(void *context, struct slice event)
{
    struct capture *capture = context;
    strings_add(&capture->events, capture->arena, event);
    return (uint32_t)capture->events.count - 1;
}

static void capture_delivery(void *context, struct slice path, uint32_t payload)
{
    struct capture *capture = context;
    struct json_scan scan = json_scan_of(capture->events.items[payload]), headers;
    struct json_value value;
    struct slice name, type = SLICE_NONE, key = SLICE_NONE, operation = SLICE_NONE;
    struct buffer scratch = BUFFER_INIT;
    check(json_object_begin(&scan));
    for (bool first = true; json_object_next(&scan, first, &name, &value) == JSON_STEP_ITEM;
         first = false) {
        if (slice_eq_str(name, "\"type\""))
            type = slice_of(value.raw.data + 1, value.raw.len - 2);
        if (slice_eq_str(name, "\"key\""))
            key = arena_copy(capture->arena, json_text(value.raw, &scratch));
        if (!slice_eq_str(name, "\"headers\""))
            continue;
        headers = json_scan_of(value.raw);
        check(json_object_begin(&headers));
        check(json_object_next(&headers, true, &name, &value) == JSON_STEP_ITEM);
        operation = slice_of(value.raw.data + 1, value.raw.len - 2);
    }
    deliveries_add(&capture->deliveries, capture->arena, path, operation, type, key);
    buffer_release(&scratch);
}

struct strings deliveries_of(struct replica *replica, struct change_set *changes,
                             struct ruleset *rules_a, struct ruleset *rules_b, struct arena *arena,
                             bool *has_duplicates)
{
    struct capture capture = {.arena = arena};
    struct event_sink sink = {&capture, capture_payload, capture_delivery, NULL, NULL};
    struct difference *difference =
        difference_new(&sink, change_set_is_spilled(changes) ? 0 : SIZE_MAX, SIZE_MAX);
    struct event_headers headers;
    event_headers_set(&headers, 7, SLICE_NONE);
    difference_run(difference, replica, changes, rules_a, rules_b, &headers);
    difference_free(difference);
    size_t delivered = capture.deliveries.count;
    strings_sort(&capture.deliveries);
    *has_duplicates = delivered != capture.deliveries.count;
    return capture.deliveries;
}
