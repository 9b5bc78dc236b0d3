/* How a step of a plan reaches the rows of its source: by the equalities that the conjunct has
 * between its columns and what is bound before. For the planner alone. */
#pragma once

#include "plan.h"

/* column = something that is known before the row is read */
struct equality {
    uint16_t column;
    enum value_kind kind;
    const struct operand *operand;
    const struct condition *atom; /* NULL: the subject */
    bool is_of_elements;          /* the column is an array that has it among its elements */
};

struct equalities {
    struct equality items[INDEX_COLUMNS_MAX * 8];
    size_t count;
    size_t row_count;  /* how many depend on another row or the subject, not on constants only */
    bool has_elements; /* one is with each element of an array */
};

void find_equalities(const struct conjunct *conjunct, const struct source *source, uint32_t bound,
                     bool has_subject, struct equalities *found);

/* The better source to read next has the higher one: the whole key is given, then most columns
 * that depend on rows, then any column. 0: all rows would be walked over. */
size_t access_rank(const struct source *source, const struct equalities *found);

/* Sets the access of the step and its components. False where the replica fails to build
 * an index. */
bool choose_access(struct plan_context *context, struct plan_step *step,
                   struct equalities *found) WEIR_MUST_CHECK;

/* Whether the rows that the step reads satisfy the atom by that alone. */
bool step_uses(const struct plan_step *step, const struct equalities *found,
               const struct condition *atom);
