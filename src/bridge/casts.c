#include "casts.h"

#include "weir/base/hash.h"
#include "weir/postgres/connection.h"

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

static bool ask_postgres(struct rule_table *table, const struct value_type *type,
                         const char *text, struct buffer *json, struct err *err)
{
    struct pg_connection *connection = rule_table_connection(table, err);
    if (!connection) {
        table->lost_connection = true;
        return false;
    }
    struct buffer sql = BUFFER_INIT;
    buffer_printf(&sql, "SELECT to_json($1::%s)::text", type->name);
    struct pg_rows *rows = pg_query(connection, err, buffer_str(&sql), 1, &text);
    buffer_release(&sql);
    if (rows)
        buffer_add_slice(json, pg_rows_slice(rows, 0, 0));
    else
        table->lost_connection = pg_is_broken(connection);
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
    if (!ask_postgres(casts->table, type, answer->text.data, json, err))
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
