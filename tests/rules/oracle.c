#include "oracle.h"

#include "weir/base/check.h"
#include "weir/base/percent.h"

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

bool oracle_ask_pairs(struct world *world, const struct table *table, struct slice audience,
                      struct answer *answer, struct arena *arena, struct err *err)
{
    struct buffer sql = BUFFER_INIT;
    buffer_add_str(&sql, "SELECT ");
    schema_key_expression(table, table->name, &sql);
    buffer_printf(&sql, ", s.subject::text FROM %s, LATERAL (%.*s) s(subject)"
                        " WHERE s.subject IS NOT NULL",
                  table->name, SLICE_ARG(audience));
    struct pg_rows *rows = pg_query(world->connection, err, buffer_str(&sql), 0, NULL);
    buffer_release(&sql);
    if (!rows)
        return false;
    for (size_t i = 0; i < pg_rows_count(rows); i++) {
        pairs_add(&answer->pairs, arena, pg_rows_slice(rows, i, 0), pg_rows_slice(rows, i, 1));
        strings_add(&answer->subjects, arena, pg_rows_slice(rows, i, 1));
    }
    strings_sort(&answer->pairs);
    strings_sort(&answer->subjects);
    pg_rows_free(rows);
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

void deliveries_add(struct strings *deliveries, struct arena *arena, struct slice path,
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
