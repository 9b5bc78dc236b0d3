/* Reading Postgres's catalog: which tables the publication holds, their columns, keys and types.
 *
 * What Weir cannot follow exactly is refused here, with the statement that mends it. Reads in the
 * connection's current transaction, so that it agrees with a snapshot set there. */
#pragma once

#include "weir/postgres/connection.h"
#include "weir/base/buffer.h"
#include "weir/replica/relation.h"

struct catalog {
    struct arena arena;
    struct relation_set relations;
    const struct relation *rules; /* weir.rules */
    double *row_estimates;        /* for each relation, for progress */
    bool *has_column_list;        /* for each relation */
};

/* NULL on failure. */
struct catalog *catalog_load(struct pg_connection *connection, const char *publication,
                             struct err *err) WEIR_MUST_CHECK;
void catalog_free(struct catalog *catalog); /* NULL is allowed */

/* A text that changes when the replica no longer fits the catalog: tables, columns, types, keys. */
void catalog_describe(const struct catalog *catalog, struct buffer *out);
