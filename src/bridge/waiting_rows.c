#include "waiting_rows.h"

#include "weir/base/check.h"
#include "weir/base/hash.h"

#include <stdlib.h>

enum { FIRST_BUCKETS = 64 };

static size_t size_of(const struct waiting_row *row)
{
    return sizeof *row + row->key.len + row->row.record.len;
}

/* Behind those of the same bucket, so that rows stay in the order in which they came. */
static void link_row(struct waiting_rows *rows, struct waiting_row *row)
{
    struct waiting_row **at = &rows->buckets[row->hash & (rows->bucket_count - 1)];
    while (*at)
        at = &(*at)->next_in_bucket;
    row->next_in_bucket = NULL;
    *at = row;
}

static void grow(struct waiting_rows *rows)
{
    struct waiting_rows old = *rows;
    rows->bucket_count = old.bucket_count ? old.bucket_count * 4 : FIRST_BUCKETS;
    rows->buckets = calloc(rows->bucket_count, sizeof(struct waiting_row *));
    check(rows->buckets != NULL);
    for (size_t i = 0; i < old.bucket_count; i++) {
        for (struct waiting_row *row = old.buckets[i], *next; row; row = next) {
            next = row->next_in_bucket;
            link_row(rows, row);
        }
    }
    free(old.buckets);
}

static uint64_t hash_of(const struct relation *relation, struct slice key)
{
    return hash64(hash_process_key(), key) ^ relation->oid;
}

void waiting_rows_add(struct waiting_rows *rows, const struct relation *relation, struct slice key,
                      struct row row)
{
    if (rows->count >= rows->bucket_count)
        grow(rows);
    struct waiting_row *added = malloc(sizeof *added + key.len + row.record.len);
    check(added != NULL);
    char *bytes = (char *)(added + 1);
    memcpy(bytes, key.data, key.len);
    memcpy(bytes + key.len, row.record.data, row.record.len);
    *added = (struct waiting_row){.relation = relation,
                                  .key = slice_of(bytes, key.len),
                                  .row = {slice_of(bytes + key.len, row.record.len)},
                                  .hash = hash_of(relation, key)};
    link_row(rows, added);
    rows->count++;
    rows->memory += size_of(added);
}

static struct waiting_row *find_from(struct waiting_row *row, const struct relation *relation,
                                     struct slice key)
{
    while (row && (row->relation != relation || !slice_eq(row->key, key)))
        row = row->next_in_bucket;
    return row;
}

struct waiting_row *waiting_rows_find(const struct waiting_rows *rows,
                                      const struct relation *relation, struct slice key)
{
    if (!rows->count)
        return NULL;
    return find_from(rows->buckets[hash_of(relation, key) & (rows->bucket_count - 1)], relation,
                     key);
}

struct waiting_row *waiting_rows_next(const struct waiting_row *row)
{
    return find_from(row->next_in_bucket, row->relation, row->key);
}

void waiting_rows_remove(struct waiting_rows *rows, struct waiting_row *row)
{
    struct waiting_row **at = &rows->buckets[row->hash & (rows->bucket_count - 1)];
    while (*at != row)
        at = &(*at)->next_in_bucket;
    *at = row->next_in_bucket;
    rows->count--;
    rows->memory -= size_of(row);
    free(row);
}

const struct relation *waiting_rows_relation(const struct waiting_rows *rows)
{
    for (size_t i = 0; rows->count && i < rows->bucket_count; i++) {
        if (rows->buckets[i])
            return rows->buckets[i]->relation;
    }
    return NULL;
}

void waiting_rows_clear(struct waiting_rows *rows, const struct relation *relation)
{
    for (size_t i = 0; rows->count && i < rows->bucket_count; i++) {
        for (struct waiting_row *row = rows->buckets[i], *next; row; row = next) {
            next = row->next_in_bucket;
            if (!relation || row->relation == relation)
                waiting_rows_remove(rows, row);
        }
    }
}

void waiting_rows_release(struct waiting_rows *rows)
{
    waiting_rows_clear(rows, NULL);
    free(rows->buckets);
    *rows = (struct waiting_rows){0};
}
