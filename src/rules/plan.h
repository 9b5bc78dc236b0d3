/* struct plan: in which order, and by which keys, the rows of a conjunct are found once some of
 * them are given.
 *
 * One conjunct has several plans: the target row given (who sees it?), target and subject given
 * (may she see it?), a row of another table given (what does it affect?). Each step reads one
 * source by what the rows before it determine; conditions are tested as soon as their rows are
 * there. */
#pragma once

#include "query.h"

/* What is tested once the rows of a level are bound. */
struct plan_level {
    const struct condition **filters;
    size_t filter_count;
    struct plan **negations; /* none may find a row */
    size_t negation_count;
    bool checks_subject; /* the conjunct's subject must be the one asked about */
};

struct plan_step {
    const struct source *source;
    struct access access;
    const struct operand *components[INDEX_COLUMNS_MAX]; /* one for each column of access */
    enum value_kind component_kinds[INDEX_COLUMNS_MAX];
    const struct operand *elements; /* the component that stands for each element of its array */
    struct plan_level level;
};

struct plan {
    const struct operand *subject; /* NULL in a negation */
    struct plan_level given;       /* what the given rows decide alone */
    struct plan_step *steps;
    size_t step_count;
};

struct plan_context {
    struct arena *arena;
    struct replica *replica;
    struct err *err;
};

/* given: bit set of slots. NULL only where the replica fails to build an index. */
struct plan *plan_build(struct plan_context *context, const struct conjunct *conjunct,
                        uint32_t given, bool has_subject) WEIR_MUST_CHECK;

/* Running plans */

struct evaluation;

/* rows[slot] of every source is bound; return false to stop. In a negation subject is empty. The
 * subject is borrowed until the call returns. */
typedef bool plan_emit_fn(struct evaluation *evaluation, struct slice subject);

struct evaluation {
    const struct state *state;
    struct row rows[SLOTS_MAX];
    struct slice subject;                        /* asked about, where a plan has one given */
    plan_emit_fn *emit;
    void *context;
    struct arena scratch;            /* of one condition or key */
    struct buffer keys[SLOTS_MAX];   /* of the step that reads the slot */
};

void evaluation_release(struct evaluation *evaluation);

/* What an operand of the bound rows is compared by; false for NULL. Borrowed from its row or in the
 * scratch arena. */
bool evaluation_key(struct evaluation *evaluation, const struct operand *operand,
                    struct slice *key);

/* The JSON value of a COLUMN operand. */
struct slice evaluation_column(const struct evaluation *evaluation, const struct operand *operand);

/* Calls emit for each combination of rows. False if emit stopped it. */
bool plan_run(const struct plan *plan, struct evaluation *evaluation);
