#include "casts.h"

#include "weir/base/hash.h"
#include "weir/postgres/connection.h"
#include "weir/replica/value.h"

enum { BUCKETS = 4096, REMEMBERED_MAX = 8 * 1024 * 1024 };

struct answer {
    uint32_t type_oid;
    struct slice text, json;
    struct answer *next;
};

static struct answer **bucket_of(struct casts *casts, uint32_t type_oid, struct slice text)
{
    if (!casts->buckets || arena_used(&casts->arena) > REMEMBERED_MAX) {
        arena_clear(&casts->arena);
        casts->buckets = arena_calloc(&casts->arena, BUCKETS, sizeof(void *));
    }
    return &casts->buckets[(hash64(hash_process_key(), text) ^ type_oid) % BUCKETS];
}

/* NULL on failure. */
static struct pg_rows *query(struct casts *casts, const char *sql, size_t count,
                             const char *const *parameters, struct err *err)
{
    struct rule_table *table = casts->table;
    struct pg_connection *connection = rule_table_connection(table, err);
    struct pg_rows *rows = connection ? pg_query(connection, err, sql, count, parameters) : NULL;
    if (!rows)
        table->lost_connection = !connection || pg_may_retry(connection);
    casts->has_failed = !rows && !table->lost_connection;
    return rows;
}

static bool ask_postgres(struct casts *casts, const struct value_type *type, const char *text,
                         struct buffer *json, struct err *err)
{
    struct buffer sql = BUFFER_INIT;
    buffer_printf(&sql, "SELECT to_json($1::%s)::text", type->name);
    struct pg_rows *rows = query(casts, buffer_str(&sql), 1, &text, err);
    buffer_release(&sql);
    if (rows)
        buffer_add_slice(json, pg_rows_slice(rows, 0, 0));
    pg_rows_free(rows);
    return rows != NULL;
}

static bool ask(void *context, const struct value_type *type, struct slice text,
                struct buffer *json, struct err *err)
{
    struct casts *casts = context;
    struct answer **bucket = bucket_of(casts, type->oid, text), *answer = *bucket;
    while (answer && (answer->type_oid != type->oid || !slice_eq(answer->text, text)))
        answer = answer->next;
    if (answer) {
        buffer_add_slice(json, answer->json);
        return true;
    }
    answer = arena_alloc(&casts->arena, sizeof *answer);
    *answer = (struct answer){.type_oid = type->oid, .text = arena_copy(&casts->arena, text)};
    if (!ask_postgres(casts, type, answer->text.data, json, err))
        return false;
    answer->json = arena_copy(&casts->arena, buffer_slice(json));
    answer->next = *bucket;
    *bucket = answer;
    return true;
}

void casts_init(struct casts *casts, struct rule_table *table)
{
    *casts = (struct casts){.table = table, .asking = {ask, casts}};
}

void casts_release(struct casts *casts)
{
    arena_release(&casts->arena);
}

static const char *number_sql(struct arena *arena, const struct relation *relation, size_t column)
{
    struct buffer sql = BUFFER_INIT;
    buffer_printf(&sql, "SELECT %s::text FROM ",
                  pg_quote_identifier(arena, relation->columns[column].name.data));
    buffer_printf(&sql, "%s%s.", relation->is_partitioned ? "" : "ONLY ",
                  pg_quote_identifier(arena, relation->schema.data));
    buffer_add_str(&sql, pg_quote_identifier(arena, relation->name.data));
    for (size_t i = 0; i < relation->key_count; i++) {
        const char *name = relation->columns[relation->key[i]].name.data;
        buffer_printf(&sql, " %s %s = $%zu", i ? "AND" : "WHERE", pg_quote_identifier(arena, name),
                      i + 1);
    }
    const char *copy = arena_copy(arena, buffer_slice(&sql)).data;
    buffer_release(&sql);
    return copy;
}

bool casts_ask_number(struct casts *casts, const struct relation *relation, size_t column,
                      const struct slice *key, struct slice *json, struct err *err)
{
    struct arena arena = ARENA_INIT;
    const char *parameters[RELATION_KEY_MAX];
    if (casts->delivered_by && ruleset_reads_column(casts->delivered_by, relation, column)) {
        casts->has_failed = true;
        return err_set(err, "table %.*s.%.*s: rules read %.*s, which was NaN or infinite",
                       SLICE_ARG(relation->schema), SLICE_ARG(relation->name),
                       SLICE_ARG(relation->columns[column].name));
    }
    for (size_t i = 0; i < relation->key_count; i++) {
        const struct value_type *type = relation->columns[relation->key[i]].type;
        parameters[i] = arena_copy(&arena, value_text(type, key[i], &arena)).data;
    }
    struct pg_rows *rows =
        query(casts, number_sql(&arena, relation, column), relation->key_count, parameters, err);
    bool is_there = rows && pg_rows_count(rows) == 1;
    const char *text = is_there ? pg_rows_str(rows, 0, 0) : "";
    if (is_there && pg_rows_is_null(rows, 0, 0))
        *json = SLICE("null");
    else if (strcmp(text, "Infinity") == 0)
        *json = casts->delivered_by ? SLICE("\"\\u0049nfinity\"") : SLICE("\"Infinity\"");
    else if (strcmp(text, "-Infinity") == 0)
        *json = casts->delivered_by ? SLICE("\"\\u002dInfinity\"") : SLICE("\"-Infinity\"");
    else
        *json = casts->delivered_by ? SLICE("\"\\u004eaN\"") : SLICE("\"NaN\"");
    pg_rows_free(rows);
    arena_release(&arena);
    return rows != NULL;
}
