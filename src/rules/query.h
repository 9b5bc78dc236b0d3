/* The form between a rule's SQL and its plans.
 *
 * parse.c turns SQL into a `query` whose names and types are resolved; normalize.c turns that into
 * `conjunct`s: rows of some sources under conditions that must all hold, and a subject. A positive
 * EXISTS becomes more sources of the conjunct, as an audience is a set; a negative one stays as a
 * conjunct of its own. Everything lives in the ruleset's arena. A field that changes what a
 * conjunct means belongs into alike.c as well. */
#pragma once

#include "weir/base/arena.h"
#include "weir/base/err.h"
#include "weir/rules/ruleset.h"

enum { SLOTS_MAX = 32, TARGET_SLOT = 0 };

/* A row variable: the target row (slot 0) or one table in FROM. */
struct source {
    const struct relation *relation;
    struct slice alias;
    struct slice schema; /* set where schema.table.column may name it, i.e. without an alias */
    unsigned slot;       /* where its row stands while a plan runs */
    uint64_t
        *merged; /* columns, as bits, that USING made one with those of a source before; or NULL */
};

enum operand_kind {
    OPERAND_COLUMN,
    OPERAND_CONSTANT,
    OPERAND_CONCAT,   /* text of all parts; NULL if any is */
    OPERAND_JSON,     /* what is at a path in the column that is its only part, as text */
    OPERAND_COALESCE, /* the first part that is not NULL; of the parser only */
    OPERAND_SUBJECT,  /* the subject that a check asks about; made by the planner only */
};

struct operand {
    enum operand_kind kind;
    const struct value_type *type; /* of a CONSTANT: NULL until it is known */
    const struct source *source;   /* COLUMN */
    uint16_t column;
    bool is_null;           /* CONSTANT */
    const char *named_cast; /* CONSTANT: cast to a type of the application's */
    struct slice text;      /* CONSTANT: as text; once coerced, the equality key */
    enum { LITERAL_STRING, LITERAL_NUMBER, LITERAL_BOOL } literal;
    bool is_text_cast;            /* COLUMN: `::text` was written */
    bool is_bytewise;             /* COLLATE "C" was written */
    const struct operand **parts; /* CONCAT, JSON, COALESCE */
    size_t part_count;
    const struct json_step_to *path; /* JSON */
    size_t path_len;
    bool is_of_json;    /* JSON: of a json column, of which only strings and words are as written */
    bool is_json_value; /* JSON: by ->, to which JSON's null is a value; for NULL tests only */
};

/* One -> or ->>: to a member, or to an item counted from 0, or from the end when negative. */
struct json_step_to {
    bool is_index;
    long index;
    struct slice name;
};

enum compare_op { COMPARE_EQ, COMPARE_NE, COMPARE_LT, COMPARE_LE, COMPARE_GT, COMPARE_GE };

enum condition_kind {
    CONDITION_TRUE,
    CONDITION_FALSE, /* or unknown: where it stands, both show nothing */
    CONDITION_AND,
    CONDITION_OR,
    CONDITION_NOT,
    CONDITION_COMPARE,  /* left op right */
    CONDITION_IS_NULL,  /* left */
    CONDITION_NOT_NULL, /* left */
    CONDITION_IN,       /* left is one of list (constants) */
    CONDITION_NOT_IN,   /* left is none of them and not NULL */
    CONDITION_ANY,      /* left is one of the elements of right, an array column */
    CONDITION_NOT_ANY,  /* left is none of them; that is unknown where left or one is NULL */
    CONDITION_LIKE,     /* left matches the pattern right, a constant */
    CONDITION_NOT_LIKE,
    CONDITION_EXISTS,   /* query */
    CONDITION_IN_QUERY, /* list, a row of one or more, is one of the query's rows */
};

struct condition {
    enum condition_kind kind;
    enum compare_op op;
    const struct operand *left, *right;
    const struct operand **list;
    size_t list_count;
    bool list_has_null;
    struct query *query;
    struct condition **children; /* AND, OR, NOT */
    size_t child_count;
};

/* One SELECT of a UNION. */
struct select {
    struct source **sources;
    size_t source_count;
    struct condition *where;
    const struct operand *value; /* NULL in an EXISTS, where it does not matter */
    const struct operand **row;  /* instead, in an IN: as many values as are compared */
};

struct query {
    struct select **selects;
    size_t select_count;
    bool is_distinct; /* DISTINCT or a UNION without ALL is in it */
};

struct conjunct {
    const struct source **sources; /* those of its own, without target and outer ones */
    size_t source_count;
    const struct condition *
        *atoms; /* COMPARE, IS_NULL, NOT_NULL, and IN, ANY, LIKE or NOT_ of them */
    size_t atom_count;
    struct conjunct **negations; /* none of these may have a row */
    size_t negation_count;
    const struct operand *subject; /* NULL in a negation */
};

struct conjunct_list {
    struct conjunct **items;
    size_t count;
};

/* The type as which an operand is compared: text where it was cast to it. */
const struct value_type *compared_type(const struct operand *operand);

/* Of two keys of the type. */
bool compare_op_holds(enum compare_op op, const struct value_type *type, struct slice left,
                      struct slice right);

struct parse_context {
    struct arena *arena;
    const struct relation_set *relations;
    const struct relation *target;
    const struct rule_literals *literals;
    struct source *target_source;
    unsigned slot_count;
    uint32_t reads[SLOTS_MAX]; /* oid of the table in each slot */
    bool is_in_row_filter;     /* which Postgres has understood once and for all */
    struct err *err;
};

/* The rule's audience, resolved against target; NULL with err set where it is refused. */
struct query *rule_query_parse(struct parse_context *context,
                               struct slice audience) WEIR_MUST_CHECK;

/* The disjunction of conjuncts that the query is. False where it would be too long. */
bool rule_query_normalize(struct parse_context *context, const struct query *query,
                          struct conjunct_list *out) WEIR_MUST_CHECK;

/* The type `text`, for operands made by || and ::text. */
extern const struct value_type text_type;
