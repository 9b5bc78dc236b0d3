/* Random tables with few distinct values, so that rows meet: their SQL, and random writes to them.
 */
#pragma once

#include "random.h"

#include "weir/base/buffer.h"

/* Columns whose values compare with one another. */
enum family {
    FAMILY_NUMBER,
    FAMILY_TEXT,
    FAMILY_CHAR,
    FAMILY_BOOL,
    FAMILY_DATE,
    FAMILY_TIMESTAMP,
    FAMILY_TIMESTAMPTZ,
    FAMILY_UUID,
    FAMILY_ENUM,
    FAMILY_FLOAT,
    FAMILY_REAL,
    FAMILY_BYTEA,
    FAMILY_JSON,
    FAMILY_JSON_AS_WRITTEN,
    FAMILY_ARRAY,
};

struct type {
    const char *name;
    enum family family;
    bool is_ordered; /* rules may use < */
    bool can_be_key;
    const char *element;      /* FAMILY_ARRAY: the element's type */
    const char *values[9];    /* literals, ends in NULL */
    const char *constants[5]; /* more to compare with, in other spellings */
};

enum { COLUMNS_MAX = 8, TABLES = 4 };

struct table_column {
    char name[8];
    const struct type *type;
    bool is_not_null;
};

struct table {
    char name[8];
    struct table_column columns[COLUMNS_MAX];
    size_t column_count;
    size_t key_count; /* the first columns are the primary key */
};

struct schema {
    char name[16];
    struct table tables[TABLES];
};

const struct type *type_by_name(const char *name);

void schema_generate(struct schema *schema, struct random *random, unsigned number);
void schema_sql(const struct schema *schema, struct buffer *sql);

/* An INSERT of one row, and any write. They may fail, for a key that is there. */
void schema_insert(const struct schema *schema, const struct table *table, struct random *random,
                   struct buffer *sql);
void schema_write(const struct schema *schema, struct random *random, struct buffer *sql);

/* A value of the type as a literal; NULL some of the time where that is allowed. */
const char *random_value(const struct type *type, struct random *random, uint32_t null_percent);

/* The events' key of a row as an SQL expression; alias is the table's name in the query. */
void schema_key_expression(const struct table *table, const char *alias, struct buffer *sql);
