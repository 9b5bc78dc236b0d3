/* struct waiting_rows: rows of a transaction whose primary key another row still has.
 *
 * A key that is DEFERRABLE may be had twice within a statement or a transaction: keys that are
 * swapped, or an insert ahead of the delete. What comes second waits here until the first has gone,
 * and takes its place in the change set then. Only within a transaction: at its end none may be
 * left. One thread. */
#pragma once

#include "weir/replica/relation.h"
#include "weir/replica/row.h"

struct waiting_row {
    const struct relation *relation;
    struct slice key; /* row key */
    struct row row;
    uint64_t hash;
    struct waiting_row *next_in_bucket; /* those that came later behind those that came earlier */
};

struct waiting_rows {
    struct waiting_row **buckets;
    size_t bucket_count, count, memory;
};

/* Copies key and row. */
void waiting_rows_add(struct waiting_rows *rows, const struct relation *relation, struct slice key,
                      struct row row);

/* The first that waits for the key, or NULL. */
struct waiting_row *waiting_rows_find(const struct waiting_rows *rows,
                                      const struct relation *relation, struct slice key);

/* The next one that waits for the same key, or NULL. */
struct waiting_row *waiting_rows_next(const struct waiting_row *row);

/* Frees the row. */
void waiting_rows_remove(struct waiting_rows *rows, struct waiting_row *row);

/* Some relation whose rows wait; NULL when there is none. */
const struct relation *waiting_rows_relation(const struct waiting_rows *rows);

/* All of the relation; NULL: all. */
void waiting_rows_clear(struct waiting_rows *rows, const struct relation *relation);
void waiting_rows_release(struct waiting_rows *rows);
