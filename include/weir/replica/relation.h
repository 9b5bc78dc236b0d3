/* struct relation: what the replica and the rules know of one published table.
 *
 * Pure description, made once from Postgres's catalog (src/bridge/catalog.c) and then read-only;
 * all of it lives in the arena of whoever made it. Nothing here talks to Postgres. */
#pragma once

#include "weir/base/slice.h"

/* How a value of a type reads, prints and compares. A domain has the kind of its base type. */
enum value_kind {
    VALUE_BOOL,
    VALUE_INTEGER, /* int2, int4, int8 */
    VALUE_NUMERIC,
    VALUE_FLOAT, /* float4, float8; compared only with its own type */
    VALUE_TEXT,  /* text, varchar, name */
    VALUE_CHAR,  /* char(n): trailing blanks do not count */
    VALUE_UUID,
    VALUE_ENUM,
    VALUE_DATE,
    VALUE_TIMESTAMP,
    VALUE_TIMESTAMPTZ,
    VALUE_BYTEA,
    VALUE_JSON, /* json, jsonb */
    VALUE_ARRAY,
    VALUE_COMPOSITE,
    VALUE_JSON_CAST, /* of an extension or the application, with a function that makes it json */
    VALUE_OTHER,     /* prints as text; not compared */
};

struct value_type;

struct value_field {
    struct slice json_name; /* quoted token */
    const struct value_type *type;
};

struct value_type {
    uint32_t oid;      /* the declared type's */
    uint32_t base_oid; /* under all domains */
    enum value_kind kind;
    bool is_domain;
    char delimiter;                   /* of arrays of this type; ',' for nearly all */
    const struct value_type *element; /* VALUE_ARRAY */
    const struct value_field *fields; /* VALUE_COMPOSITE, dropped ones left out */
    size_t field_count;
    const struct slice *labels; /* VALUE_ENUM, in their order */
    size_t label_count;
    const char *name; /* format_type(), for messages and casts */
};

struct collation {
    struct slice name;     /* empty: the database's own */
    bool is_deterministic; /* equal means the same bytes: not so under some of ICU's */
    bool is_bytewise;      /* the order is that of the bytes, as in "C" */
};

struct column {
    struct slice name;
    struct slice json_name; /* quoted token */
    const struct value_type *type;
    bool is_not_null;
    struct collation collation; /* of texts, and domains and arrays of them */
};

/* A partition that has rows. */
struct leaf {
    struct slice schema, name;
    struct slice named_by; /* the transactions that named and attached it; empty: not known */
    uint32_t oid;          /* none when restored, and so: */
    bool is_readable;      /* by itself; else with its table only */
};

enum { RELATION_COLUMNS_MAX = 1600, RELATION_KEY_MAX = 32 };

/* Which operations on a table the publication publishes; the others do not happen here. */
enum {
    PUBLISH_INSERT = 1 << 0,
    PUBLISH_UPDATE = 1 << 1,
    PUBLISH_DELETE = 1 << 2,
    PUBLISH_TRUNCATE = 1 << 3,
    PUBLISH_ALL = PUBLISH_INSERT | PUBLISH_UPDATE | PUBLISH_DELETE | PUBLISH_TRUNCATE,
};

struct relation {
    uint32_t oid;
    uint64_t storage_id; /* of oid and shape: rows of another shape are stored apart */
    struct slice schema;
    struct slice name;
    struct slice named_by;  /* the transactions that named it; none when restored */
    struct slice shaped_by; /* those that made its columns and labels what they are; likewise */
    const struct column *columns;
    size_t column_count;
    const uint16_t *key; /* columns of the primary key, in its order */
    size_t key_count;
    bool has_column_list; /* the publication leaves out some columns, whose names are not known */
    uint8_t published;    /* PUBLISH_INSERT and so on */
    /* The publication's row filter, as SQL over the columns; empty: none. Rows outside of it are
     * stored too, as an update that leads over the border may bring only a part of the row: they
     * are there for no rule. */
    struct slice row_filter;
    /* A partitioned table that is published by its root: its rows arrive by these. */
    bool is_partitioned;
    const struct leaf *leaves; /* by schema and name */
    size_t leaf_count;
    /* Others INHERIT from it: SQL reads their rows as its own, and they have keys of their own. */
    bool has_heirs;
    /* While a table changes its shape: what it was, and what it becomes. */
    const struct relation *predecessor, *successor;
    const struct relation *renewed; /* while its partitions change: the same with those to come */
    bool is_misfit;                 /* a change did not fit it, so it is to be read again */
    bool is_read_again;             /* meanwhile its changes are left out */
};

/* The column's index, or -1. */
int relation_find_column(const struct relation *relation, struct slice name);

struct relation_set {
    struct relation **relations;
    size_t count;
    bool is_bytewise; /* the database's own collation orders texts by their bytes */
};

/* By exact schema and name; NULL when it is not published. */
const struct relation *relation_set_find(const struct relation_set *set, struct slice schema,
                                         struct slice name);
const struct relation *relation_set_by_oid(const struct relation_set *set, uint32_t oid);
