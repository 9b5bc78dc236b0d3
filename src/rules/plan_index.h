/* struct plan_index: which of many plans a given row leaves possible.
 *
 * Hundreds of rules on one table are mostly alike and differ in a constant (`kind = 'k17'`). Each
 * plan that asks its given row for such a constant is filed under one of them, and a row's own
 * values are looked up. What is not found is surely false, as constant and value meet here by the
 * same keys as in the evaluation; of what is found that one condition holds, and the plan no longer
 * tests it: it decides the others. */
#pragma once

#include "plan.h"

/* Positions of plans, ascending: answers do not depend on what was filed where. */
struct plan_list {
    const uint32_t *items;
    size_t count;
};

struct plan_index {
    struct plan_list others; /* plans that ask for no constant */
    struct constant_group **groups;
    size_t group_count;
    size_t plan_count;
    uint32_t *found;     /* the last answer, where it came from several lists */
    uint64_t *last_walk; /* for each plan, when it was found last */
    uint64_t walk;
};

/* The position of each plan is its place in the array; given[i]: the source of plans[i] whose row
 * will be asked about, all of one relation. Both are kept. A plan that is filed loses the condition
 * by which it is, so from now on it is to be run only where it was found. */
void plan_index_build(struct plan_index *index, struct arena *arena, struct plan *const *plans,
                      const struct source *const *given, size_t count);

/* The plans that the row leaves possible; borrowed until the next call with this index. Binds the
 * row to slots of the evaluation. */
struct plan_list plan_index_find(struct plan_index *index, struct evaluation *evaluation,
                                 struct row row);
