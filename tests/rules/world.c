#include "world.h"

#include "bridge/own_meaning.h"
#include "weir/base/check.h"
#include "weir/events/convert.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { REPLICA_SIZE = 64 << 20 };

static void fail(const char *what, const struct err *err, const char *sql)
{
    fprintf(stderr, "%s: %s\n%s\n", what, err->message, sql);
    abort();
}

bool world_try(struct world *world, const char *sql)
{
    struct err err;
    return pg_execute(world->connection, &err, sql);
}

void world_execute(struct world *world, const char *sql)
{
    struct err err;
    if (!pg_execute(world->connection, &err, sql))
        fail("Postgres", &err, sql);
}

static void fill_tables(struct world *world, struct random *random)
{
    struct buffer sql = BUFFER_INIT;
    for (size_t i = 0; i < TABLES; i++) {
        uint32_t rows = 4 + random_below(random, 9);
        for (uint32_t j = 0; j < rows; j++) {
            buffer_clear(&sql);
            schema_insert(&world->schema, &world->schema.tables[i], random, &sql);
            buffer_add_str(&sql, " ON CONFLICT DO NOTHING");
            world_execute(world, buffer_str(&sql));
        }
    }
    buffer_release(&sql);
}

void world_connect(struct world *world)
{
    struct err err;
    *world = (struct world){.connection = pg_connect(getenv("WEIR_TEST_DB"), &err)};
    if (!world->connection)
        fail("connection", &err, "");
    world_execute(world, "SET client_min_messages = error; CREATE SCHEMA IF NOT EXISTS weir;"
                         "CREATE TABLE IF NOT EXISTS weir.rules (name text PRIMARY KEY,"
                         " relation_oid oid);"
                         "SET search_path = public, pg_catalog");
}

static void open_replica(struct world *world)
{
    struct err err;
    snprintf(world->directory, sizeof world->directory, "/tmp/weir-rules-XXXXXX");
    check(mkdtemp(world->directory) != NULL);
    struct replica_settings settings = {.directory = world->directory, .size_limit = REPLICA_SIZE};
    world->replica = replica_open(&settings, &err);
    if (!world->replica)
        fail("replica", &err, "");
}

void world_publish(struct world *world, const char *schema, const char *tables)
{
    struct buffer sql = BUFFER_INIT;
    struct err err;
    snprintf(world->schema.name, sizeof world->schema.name, "%s", schema);
    buffer_printf(&sql,
                  "DROP PUBLICATION IF EXISTS weir;"
                  "CREATE PUBLICATION weir FOR TABLE weir.rules, %s;"
                  "SET search_path = pg_catalog",
                  tables);
    world_execute(world, buffer_str(&sql));
    world->catalog = catalog_load(world->connection, "weir", CATALOG_STRICT, &err);
    if (!world->catalog)
        fail("catalog", &err, "");
    buffer_clear(&sql);
    buffer_printf(&sql, "SET search_path = %s, public, pg_temp", schema);
    world_execute(world, buffer_str(&sql));
    buffer_release(&sql);
    open_replica(world);
}

void world_open(struct world *world, struct random *random, unsigned number)
{
    struct schema schema;
    struct buffer sql = BUFFER_INIT;
    world_connect(world);
    if (number == 0)
        world_execute(world, "CREATE TYPE public.mood AS ENUM ('ok', 'sad', 'so, so')");
    schema_generate(&schema, random, number);
    schema_sql(&schema, &sql);
    world_execute(world, buffer_str(&sql));
    world->schema = schema;
    fill_tables(world, random);
    buffer_clear(&sql);
    for (size_t i = 0; i < TABLES; i++)
        buffer_printf(&sql, "%s%s.%s", i ? ", " : "", schema.name, schema.tables[i].name);
    world_publish(world, schema.name, buffer_str(&sql));
    buffer_release(&sql);
}

void world_close(struct world *world)
{
    char command[128];
    struct buffer sql = BUFFER_INIT;
    replica_close(world->replica);
    snprintf(command, sizeof command, "rm -rf '%s'", world->directory);
    check(system(command) == 0);
    buffer_printf(&sql, "DROP SCHEMA %s CASCADE", world->schema.name);
    world_execute(world, buffer_str(&sql));
    buffer_release(&sql);
    catalog_free(world->catalog);
    pg_close(world->connection);
}

const struct relation *world_relation(const struct world *world, const char *table)
{
    const struct relation *relation = relation_set_find(
        &world->catalog->relations, slice_from_str(world->schema.name), slice_from_str(table));
    check(relation != NULL);
    return relation;
}

/* Reading a table */

struct reading {
    struct world *world;
    const struct relation *relation;
    struct change_set *changes;
    struct arena arena;
    struct strings keys; /* of the rows that are there */
};

static void collect_row(struct reading *reading, const struct slice *fields)
{
    struct buffer json = BUFFER_INIT, record = BUFFER_INIT, key = BUFFER_INIT;
    enum { ANY_COLUMNS_MAX = 64 };
    struct slice values[ANY_COLUMNS_MAX];
    size_t ends[ANY_COLUMNS_MAX], start = 0;
    struct err err;
    const struct relation *relation = reading->relation;
    check(relation->column_count <= ANY_COLUMNS_MAX);
    for (size_t i = 0; i < relation->column_count; i++) {
        if (!convert_text(&json, relation->columns[i].type, fields[i], NULL, &err))
            fail("convert", &err, "");
        ends[i] = json.len;
    }
    for (size_t i = 0; i < relation->column_count; i++) {
        values[i] = slice_of(json.data + start, ends[i] - start);
        start = ends[i];
    }
    row_build(&record, relation, values);
    struct row row = {buffer_slice(&record)};
    key_of_row(&key, replica_hash_key(reading->world->replica), relation, row, &reading->arena);
    strings_add(&reading->keys, &reading->arena, buffer_slice(&key));
    struct row stored = replica_get(reading->world->replica, relation, buffer_slice(&key));
    if (!row_exists(stored) || !slice_eq(stored.record, row.record))
        check(change_set_put(reading->changes,
                             change_set_touch(reading->changes, reading->world->replica, relation,
                                              buffer_slice(&key)),
                             row, &err));
    buffer_release(&json);
    buffer_release(&record);
    buffer_release(&key);
}

static void collect_deletes(struct reading *reading)
{
    struct replica *replica = reading->world->replica;
    struct replica_range range;
    struct slice key;
    struct row row;
    struct err err;
    strings_sort(&reading->keys);
    if (change_set_is_spilled(reading->changes))
        replica_range_begin_before(&range, replica, reading->relation, NULL, SLICE_NONE);
    else
        replica_range_begin(&range, replica, reading->relation, NULL, SLICE_NONE);
    while (replica_range_next(&range, &key, &row)) {
        if (strings_hold(&reading->keys, key))
            continue;
        struct change_entry *entry =
            change_set_touch(reading->changes, reading->world->replica, reading->relation, key);
        check(change_set_put(reading->changes, entry, ROW_NONE, &err));
    }
    replica_range_end(&range);
}

void world_collect_changes(struct world *world, struct change_set *changes)
{
    for (size_t i = 0; i < world->catalog->relations.count; i++) {
        struct reading reading = {
            .world = world, .relation = world->catalog->relations.relations[i], .changes = changes};
        const struct slice *fields;
        size_t count;
        struct err err;
        char sql[160];
        snprintf(sql, sizeof sql, "COPY (SELECT * FROM %.*s.%.*s) TO STDOUT",
                 SLICE_ARG(reading.relation->schema), SLICE_ARG(reading.relation->name));
        if (!pg_copy_begin(world->connection, &err, sql))
            fail("copy", &err, sql);
        while (pg_copy_next(world->connection, &fields, &count, &err) == PG_COPY_ROW)
            collect_row(&reading, fields);
        collect_deletes(&reading);
        arena_release(&reading.arena);
    }
}

/* Rules */

struct rule_definition world_rule(const struct world *world, const char *table,
                                  struct slice audience, struct arena *arena)
{
    char name[64];
    snprintf(name, sizeof name, "%s.%s", world->schema.name, table);
    return (struct rule_definition){
        .name = SLICE("rule"),
        .relation = slice_from_str(arena_strdup(arena, name)),
        .audience = arena_copy(arena, audience),
        .columns = SLICE("null"),
        .stream = SLICE("user/{subject}/data"),
    };
}

/* As the bridge asks: the session's search_path does not matter to built-in types. */
static bool ask(struct world *world, const char *form, const struct value_type *type,
                struct slice literal, struct buffer *out, struct err *err)
{
    struct arena arena = ARENA_INIT;
    struct buffer text = BUFFER_INIT;
    buffer_printf(&text, "SELECT (%s::%s%s)::text", form, type->name, *form == 't' ? "[])" : "");
    const char *sql = arena_copy(&arena, buffer_slice(&text)).data;
    buffer_release(&text);
    const char *parameter = arena_copy(&arena, literal).data;
    struct pg_rows *rows = pg_query(world->connection, err, sql, 1, &parameter);
    if (rows)
        buffer_add_slice(out, pg_rows_slice(rows, 0, 0));
    pg_rows_free(rows);
    arena_release(&arena);
    return rows != NULL;
}

static bool canonical(void *context, const struct value_type *type, struct slice literal,
                      struct buffer *out, struct err *err)
{
    return ask(context, "$1::text", type, literal, out, err);
}

static bool elements(void *context, const struct value_type *type, struct slice literal,
                     struct buffer *out, struct err *err)
{
    return ask(context, "to_json($1::text", type, literal, out, err);
}

static bool has_table(void *context, struct slice name, bool *has, struct err *err)
{
    struct world *world = context;
    struct arena arena = ARENA_INIT;
    const char *parameter = arena_copy(&arena, name).data;
    struct pg_rows *rows =
        pg_query(world->connection, err, "SELECT to_regclass($1)", 1, &parameter);
    *has = rows && !pg_rows_is_null(rows, 0, 0);
    bool ok = rows != NULL;
    pg_rows_free(rows);
    arena_release(&arena);
    return ok;
}

static bool ask_own(struct world *world, const char *sql, const char *const *schema,
                    struct buffer *what, struct err *err)
{
    struct pg_rows *rows = pg_query(world->connection, err, sql, schema ? 1 : 0, schema);
    if (rows)
        buffer_add_slice(what, pg_rows_slice(rows, 0, 0));
    pg_rows_free(rows);
    return rows != NULL;
}

/* As the bridge does, whether there is any at all is asked first, and once: no test makes one after
 * its rules. */
static bool own_meaning(void *context, enum value_use use, struct slice schema,
                        const uint32_t *types, size_t count, struct buffer *what, struct err *err)
{
    struct world *world = context;
    if (world->own_meanings == OWN_NOT_ASKED) {
        struct buffer list = BUFFER_INIT;
        bool ok = ask_own(world, own_meaning_list_sql, NULL, &list, err);
        world->own_meanings = list.len ? OWN_THERE : OWN_NOT_THERE;
        buffer_release(&list);
        if (!ok)
            return false;
    }
    if (world->own_meanings == OWN_NOT_THERE)
        return true;
    struct arena arena = ARENA_INIT;
    const char *parameter = arena_copy(&arena, schema).data;
    bool ok = ask_own(world, own_meaning_sql(&arena, use, types, count), &parameter, what, err);
    arena_release(&arena);
    return ok;
}

struct ruleset *world_compile(struct world *world, const struct rule_definition *definition,
                              size_t count)
{
    struct rule_literals literals = {canonical, elements, has_table, own_meaning, NULL, world};
    struct ruleset *rules;
    struct err err;
    if (!ruleset_compile(definition, count, &world->catalog->relations, world->replica, &literals,
                         &rules, &err))
        fail("ruleset", &err, "");
    return rules;
}

/* Sets of strings */

void strings_add(struct strings *strings, struct arena *arena, struct slice text)
{
    if (strings->count == strings->capacity) {
        size_t capacity = strings->capacity ? strings->capacity * 2 : 32;
        struct slice *items = arena_alloc(arena, capacity * sizeof *items);
        if (strings->count)
            memcpy(items, strings->items, strings->count * sizeof *items);
        strings->items = items;
        strings->capacity = capacity;
    }
    strings->items[strings->count++] = arena_copy(arena, text);
}

static int by_bytes(const void *a, const void *b)
{
    return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

void strings_sort(struct strings *strings)
{
    size_t kept = 0;
    if (!strings->count)
        return;
    qsort(strings->items, strings->count, sizeof *strings->items, by_bytes);
    for (size_t i = 0; i < strings->count; i++) {
        if (!kept || !slice_eq(strings->items[kept - 1], strings->items[i]))
            strings->items[kept++] = strings->items[i];
    }
    strings->count = kept;
}

bool strings_hold(const struct strings *strings, struct slice text)
{
    return strings->count &&
           bsearch(&text, strings->items, strings->count, sizeof text, by_bytes) != NULL;
}
