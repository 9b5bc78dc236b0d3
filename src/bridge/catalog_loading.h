/* What the parts of catalog_load() share: the tables, then their columns, keys and types. */
#pragma once

#include "catalog.h"

#include <stdlib.h>

struct loading {
    struct catalog *catalog;
    struct pg_connection *connection;
    const char *publication;
    enum catalog_strictness strictness;
    struct arena *arena;
    uint8_t published;
    const char **keys; /* pg_index.indkey of each relation */
    struct value_type *types;
    size_t type_count;
    const struct slice *labels, *label_writers; /* of all types; which transaction wrote each */
};

static inline uint32_t oid_at(const struct pg_rows *rows, size_t row, size_t column)
{
    return (uint32_t)strtoul(pg_rows_str(rows, row, column), NULL, 10);
}

static inline bool bool_at(const struct pg_rows *rows, size_t row, size_t column)
{
    return pg_rows_str(rows, row, column)[0] == 't';
}

static inline struct slice copy_at(struct arena *arena, const struct pg_rows *rows, size_t row,
                                   size_t column)
{
    return arena_copy(arena, pg_rows_slice(rows, row, column));
}

/* SQL: relid of the table that has this alias of pg_class and, where it is partitioned, of all that
 * is below it. As pg_partition_tree() has it, which waits for whoever has locked one of them: and
 * for what is read here, other tables' rows wait. */
#define PARTITION_TREE(table)                                                                      \
    "(WITH RECURSIVE tree(relid) AS (SELECT " table ".oid UNION ALL"                               \
    "   SELECT h.inhrelid FROM tree JOIN pg_inherits h ON h.inhparent = tree.relid"                \
    "    WHERE " table ".relkind = 'p' AND NOT h.inhdetachpending) SELECT relid FROM tree)"

/* As a parameter of type oid[]; in the arena. */
const char *oid_array(struct arena *arena, const uint32_t *oids, size_t count);

/* The published tables that can be followed, and complaints about the others. */
bool load_tables(struct loading *loading, struct err *err) WEIR_MUST_CHECK;

/* The types of all columns, the fourth of each row, with all they are made of. */
bool load_types(struct loading *loading, const struct pg_rows *columns,
                struct err *err) WEIR_MUST_CHECK;

/* Which transactions wrote the labels of what the type is made of: in between, they may have been
 * others, as the columns' names. */
void add_label_writers(struct buffer *out, const struct loading *loading,
                       const struct value_type *type);

/* One of those that are loaded, or NULL. */
struct value_type *find_type(const struct loading *loading, uint32_t oid);
