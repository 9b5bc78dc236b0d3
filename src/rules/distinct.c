/* A step whose rows are followed by others repeats work where two of its rows differ only in
 * columns that nobody asks for any more: a member who is in a team twice, each todo of the same
 * owner. Such a step remembers what it has followed. Where keys make sure that no two are alike, it
 * does not. */
#include "distinct.h"

#include "array.h"
#include "slots.h"

#include "weir/base/check.h"

/* Columns of the rows of `slots`, each once. */
struct column_list {
    struct arena *arena;
    uint32_t slots;
    const struct operand **items;
    size_t count;
};

static bool holds_column(const struct column_list *list, unsigned slot, uint16_t column)
{
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i]->source->slot == slot && list->items[i]->column == column)
            return true;
    }
    return false;
}

static void add_columns(struct column_list *list, const struct operand *operand)
{
    if (!operand)
        return;
    for (size_t i = 0; i < operand->part_count; i++)
        add_columns(list, operand->parts[i]);
    if (operand->kind != OPERAND_COLUMN || !(slot_bit(operand->source) & list->slots) ||
        holds_column(list, operand->source->slot, operand->column))
        return;
    list->items = array_append(list->arena, list->items, list->count, sizeof operand, &operand);
    list->count++;
}

static void add_key(struct column_list *list, const struct source *source)
{
    check(source->relation->key_count > 0);
    for (size_t i = 0; i < source->relation->key_count; i++) {
        struct operand *column = arena_calloc(list->arena, 1, sizeof *column);
        column->kind = OPERAND_COLUMN;
        column->source = source;
        column->column = source->relation->key[i];
        add_columns(list, column);
    }
}

static void add_plan(struct column_list *list, const struct plan *plan, size_t first);

static void add_level(struct column_list *list, const struct plan *plan,
                      const struct plan_level *level)
{
    for (size_t i = 0; i < level->filter_count; i++) {
        add_columns(list, level->filters[i]->left);
        add_columns(list, level->filters[i]->right);
    }
    for (size_t i = 0; i < level->negation_count; i++) {
        add_level(list, level->negations[i], &level->negations[i]->given);
        add_plan(list, level->negations[i], 0);
    }
    for (size_t i = 0; i < level->witness_count; i++) {
        add_level(list, level->witnesses[i], &level->witnesses[i]->given);
        add_plan(list, level->witnesses[i], 0);
    }
    if (level->checks_subject)
        add_columns(list, plan->subject);
}

/* What the steps from the first on, and the answer, look at. */
static void add_plan(struct column_list *list, const struct plan *plan, size_t first)
{
    for (size_t i = first; i < plan->step_count; i++) {
        const struct plan_step *step = &plan->steps[i];
        for (size_t j = 0; j < step->access.column_count; j++)
            add_columns(list, step->components[j]);
        add_level(list, plan, &step->level);
    }
    if (plan->emits_subject)
        add_columns(list, plan->subject);
}

/* Whether the operand's value follows from the columns of the list and the rows of `rows`. */
static bool follows(const struct column_list *list, uint32_t rows, const struct operand *operand)
{
    if (operand->kind == OPERAND_COLUMN)
        return (slot_bit(operand->source) & rows) ||
               holds_column(list, operand->source->slot, operand->column);
    for (size_t i = 0; i < operand->part_count; i++) {
        if (!follows(list, rows, operand->parts[i]))
            return false;
    }
    return true;
}

static bool column_follows(const struct column_list *list, uint32_t rows,
                           const struct plan_step *step, uint16_t column)
{
    if (holds_column(list, step->source->slot, column))
        return true;
    for (size_t i = 0; i < step->access.column_count; i++) {
        if (step->access.columns[i] == column && step->components[i] != step->elements &&
            follows(list, rows, step->components[i]))
            return true;
    }
    return false;
}

static bool row_follows(const struct column_list *list, uint32_t rows, const struct plan_step *step)
{
    const struct relation *relation = step->source->relation;
    for (size_t i = 0; i < relation->key_count; i++) {
        if (!column_follows(list, rows, step, relation->key[i]))
            return false;
    }
    return relation->key_count > 0;
}

/* Whether the columns of the list tell all rows of the first steps apart. */
static bool is_unique(const struct column_list *list, const struct plan *plan, size_t step_count,
                      uint32_t given)
{
    uint32_t rows = given, before, all = given | list->slots;
    do {
        before = rows;
        for (size_t i = 0; i < step_count; i++) {
            if (row_follows(list, rows, &plan->steps[i]))
                rows |= slot_bit(plan->steps[i].source);
        }
    } while (rows != before);
    return rows == all;
}

void plan_find_distinct(struct plan *plan, struct arena *arena, uint32_t given)
{
    uint32_t bound = 0;
    for (size_t i = 0; i + 1 < plan->step_count; i++) {
        struct plan_step *step = &plan->steps[i];
        struct column_list list = {.arena = arena, .slots = bound |= slot_bit(step->source)};
        add_plan(&list, plan, i + 1);
        for (size_t j = 0; j <= i && plan->emits_subject; j++) {
            if (plan->steps[j].source->slot == TARGET_SLOT)
                add_key(&list, plan->steps[j].source);
        }
        step->is_distinct = !is_unique(&list, plan, i + 1, given);
        step->distinct = list.items;
        step->distinct_count = list.count;
    }
}
