/* struct table: streams in memory by a 64-bit hash, with open addressing.
 *
 * Two are kept: by path (SipHash with the process's key) and by id. Deleting moves entries up, so
 * there are no tombstones. */
#pragma once

#include "weir/base/check.h"

#include <stddef.h>
#include <stdint.h>

struct stream;

struct table_slot {
    uint64_t hash;
    struct stream *stream; /* NULL: free */
};

struct table {
    struct table_slot *slots;
    size_t capacity; /* power of two */
    size_t count;
};

/* Begins to fetch what table_next() looks at first into the processor's cache. */
void table_fetch(const struct table *table, uint64_t hash);

/* Walks the streams with this hash: set *cursor to 0 first. NULL at the end. */
struct stream *table_next(const struct table *table, uint64_t hash, size_t *cursor);
void table_add(struct table *table, uint64_t hash, struct stream *stream);
void table_remove(struct table *table, uint64_t hash, const struct stream *stream);
void table_release(struct table *table);
