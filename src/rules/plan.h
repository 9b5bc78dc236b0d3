/* struct plan: in which order, and by which keys, the rows of a conjunct are found once some of
 * them are given.
 *
 * One conjunct has several plans: the target row given (who sees it?), target and subject given
 * (may she see it?), a row of another table given (what does it affect?). Each step reads one
 * source by what the rows before it determine; conditions are tested as soon as their rows are
 * there.
 *
 * A plan visits no more rows than its answer needs. What joins nothing that is still open to the
 * answer is only asked for one row (a witness), and rows that are alike in all that is still asked
 * of them are followed once (distinct.h). So tables that nothing connects add up and do not
 * multiply, but where the answer itself is made of pairs. */
#pragma once

#include "query.h"
#include "seen.h"

/* What is tested once the rows of a level are bound. */
struct plan_level {
    const struct condition **filters;
    size_t filter_count;
    struct plan **negations; /* none may find a row */
    size_t negation_count;
    struct plan **witnesses; /* each must find one */
    size_t witness_count;
    bool checks_subject; /* the conjunct's subject must be the one asked about */
};

struct plan_step {
    const struct source *source;
    struct access access;
    const struct operand *components[INDEX_COLUMNS_MAX]; /* one for each column of access */
    enum value_kind component_kinds[INDEX_COLUMNS_MAX];
    const struct operand *elements; /* the component that stands for each element of its array */
    struct plan_level level;
    const struct operand **distinct; /* columns by which the rows so far are followed once */
    size_t distinct_count;
    bool is_distinct;
};

struct plan {
    const struct operand *subject; /* NULL where it does not matter */
    bool emits_subject;            /* else it is one that is asked about */
    struct plan_level given;       /* what the given rows decide alone */
    struct plan_step *steps;
    size_t step_count;
};

/* A plan that was built, and of what. */
struct built_plan {
    const struct conjunct *conjunct;
    uint32_t given;
    bool has_subject;
    const struct plan *plan;
};

/* The last ones. Rules are mostly alike but for a constant: what is alike in their plans is the
 * same memory, as that of a thousand plans would be in no cache. */
struct built_plans {
    struct built_plan *items;
    size_t count; /* of all there were */
};

struct plan_context {
    struct arena *arena;
    struct replica *replica;
    struct built_plans *built;
    struct err *err;
};

/* given: bit set of slots. Without has_subject, a conjunct with a subject asks for all of them, and
 * for the target rows if those are not given; any other asks whether there are such rows at all.
 * NULL only where the replica fails to build an index. */
struct plan *plan_build(struct plan_context *context, const struct conjunct *conjunct,
                        uint32_t given, bool has_subject) WEIR_MUST_CHECK;

/* Running plans */

struct evaluation;

/* rows[TARGET_SLOT] is bound; return false to stop, as where one was all that is asked for. The
 * subject is empty where one was asked about, and borrowed until the call returns. */
typedef bool plan_emit_fn(struct evaluation *evaluation, struct slice subject);

struct evaluation {
    const struct state *state;
    struct row rows[SLOTS_MAX];
    struct slice subject; /* asked about, where a plan has one given */
    plan_emit_fn *emit;
    void *context;
    struct arena scratch;          /* of one condition or key */
    struct buffer keys[SLOTS_MAX]; /* of the step that reads the slot */
    struct seen seen[SLOTS_MAX];   /* by the step that reads the slot, in this run of its plan */
    struct buffer seen_key;
};

void evaluation_release(struct evaluation *evaluation);

/* What an operand of the bound rows is compared by; false for NULL. Borrowed from its row or in the
 * scratch arena. */
bool evaluation_key(struct evaluation *evaluation, const struct operand *operand,
                    struct slice *key);

/* The JSON value of a COLUMN operand. */
struct slice evaluation_column(const struct evaluation *evaluation, const struct operand *operand);

/* Calls emit for each target row and subject, perhaps more than once. False if emit stopped it. */
bool plan_run(const struct plan *plan, struct evaluation *evaluation);
