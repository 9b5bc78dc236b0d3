/* What the parts of the generator of rules show one another: the names in scope, and how SQL is
 * written piece by piece. */
#pragma once

#include "generate.h"

enum { SCOPE_MAX = 24 };

struct source {
    const struct table *table;
    char alias[8];
};

struct generator {
    const struct schema *schema;
    struct random *random;
    struct buffer *sql;
    struct source scope[SCOPE_MAX]; /* outer ones first; the target is number 0 */
    size_t scope_count;
    unsigned alias_count;
    int selects_left; /* how many more may be made */
};

struct reference {
    const struct source *source;
    const struct table_column *column;
};

/* generate_column.c: what is in scope, and constants. */
uint32_t below(struct generator *generator, uint32_t bound);
bool percent(struct generator *generator, uint32_t chance);
void add(struct generator *generator, const char *text);
void add_reference(struct generator *generator, struct reference reference);
void add_constant(struct generator *generator, const struct type *type);
const char *any_operator(struct generator *generator, bool is_ordered);

bool is_comparable(const struct type *type);
bool is_castable(const struct type *type);
bool is_json(const struct type *type);
bool is_json_as_written(const struct type *type);
bool is_text(const struct type *type);

/* Whether Weir compares the two, and not only Postgres. */
bool families_meet(const struct type *a, const struct type *b);

/* Of the sources in scope; there must be one that fits. */
struct reference any_column(struct generator *generator, bool (*fits)(const struct type *));
bool has_column(const struct generator *generator, bool (*fits)(const struct type *));

/* Another column to compare with; false where none was met. */
bool find_partner(struct generator *generator, struct reference of, struct reference *found);

/* generate_condition.c */
void add_condition(struct generator *generator, int depth);
void add_comparison(struct generator *generator);
void add_json_text(struct generator *generator);
void add_coalesce_of(struct generator *generator, struct reference first);

/* generate.c: a sub-select. values: what is to be compared with what it selects. */
void add_select(struct generator *generator, const struct type *const *values, size_t count,
                int depth);
