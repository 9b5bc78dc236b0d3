/* Running plans over rows: a nested loop whose depth is the number of sources. */
#include "plan.h"

#include "nested.h"

#include "weir/base/check.h"
#include "weir/replica/elements.h"
#include "weir/replica/value.h"

void evaluation_release(struct evaluation *evaluation)
{
    arena_release(&evaluation->scratch);
    for (size_t i = 0; i < SLOTS_MAX; i++) {
        buffer_release(&evaluation->keys[i]);
        seen_release(&evaluation->seen[i]);
    }
    buffer_release(&evaluation->seen_key);
}

struct slice evaluation_column(const struct evaluation *evaluation, const struct operand *operand)
{
    return row_column(operand->source->relation, evaluation->rows[operand->source->slot],
                      operand->column);
}

static bool operand_text(struct evaluation *evaluation, const struct operand *operand,
                         struct slice *text);

static bool concat_text(struct evaluation *evaluation, const struct operand *operand,
                        struct slice *text)
{
    struct slice parts[2];
    check(operand->part_count == 2);
    for (size_t i = 0; i < 2; i++) {
        if (!operand_text(evaluation, operand->parts[i], &parts[i]))
            return false;
    }
    char *joined = arena_alloc(&evaluation->scratch, parts[0].len + parts[1].len);
    if (parts[0].len)
        memcpy(joined, parts[0].data, parts[0].len);
    if (parts[1].len)
        memcpy(joined + parts[0].len, parts[1].data, parts[1].len);
    *text = slice_of(joined, parts[0].len + parts[1].len);
    return true;
}

/* The text form; false for NULL. */
static bool operand_text(struct evaluation *evaluation, const struct operand *operand,
                         struct slice *text)
{
    switch (operand->kind) {
    case OPERAND_COLUMN: {
        struct slice json = evaluation_column(evaluation, operand);
        if (value_is_null(json))
            return false;
        *text = value_text(operand->type, json, &evaluation->scratch);
        return true;
    }
    case OPERAND_CONSTANT:
        *text = operand->text;
        return !operand->is_null;
    case OPERAND_CONCAT:
        return concat_text(evaluation, operand, text);
    case OPERAND_JSON:
        return json_path_text(evaluation_column(evaluation, operand->parts[0]), operand, text,
                              &evaluation->scratch);
    case OPERAND_SUBJECT:
        *text = evaluation->subject;
        return true;
    case OPERAND_COALESCE:
        break;
    }
    check(false && "an operand of a plan");
    return false;
}

/* A coerced constant's text is its key already. */
bool evaluation_key(struct evaluation *evaluation, const struct operand *operand, struct slice *key)
{
    if (!operand_text(evaluation, operand, key))
        return false;
    if (operand->kind != OPERAND_CONSTANT)
        *key = value_key_of_text(compared_type(operand)->kind, *key, &evaluation->scratch);
    return true;
}

bool compare_op_holds(enum compare_op op, const struct value_type *type, struct slice left,
                      struct slice right)
{
    switch (op) {
    case COMPARE_EQ:
        return slice_eq(left, right);
    case COMPARE_NE:
        return !slice_eq(left, right);
    case COMPARE_LT:
        return value_key_cmp(type, left, right) < 0;
    case COMPARE_LE:
        return value_key_cmp(type, left, right) <= 0;
    case COMPARE_GT:
        return value_key_cmp(type, left, right) > 0;
    case COMPARE_GE:
        return value_key_cmp(type, left, right) >= 0;
    }
    return false;
}

static bool compare_holds(struct evaluation *evaluation, const struct condition *condition)
{
    struct slice left, right;
    return evaluation_key(evaluation, condition->left, &left) &&
           evaluation_key(evaluation, condition->right, &right) &&
           compare_op_holds(condition->op, compared_type(condition->left), left, right);
}

static bool list_holds(struct evaluation *evaluation, const struct condition *condition)
{
    struct slice key;
    bool wanted = condition->kind == CONDITION_IN;
    if (!evaluation_key(evaluation, condition->left, &key))
        return false;
    for (size_t i = 0; i < condition->list_count; i++) {
        if (slice_eq(condition->list[i]->text, key))
            return wanted;
    }
    return !wanted && !condition->list_has_null;
}

static bool operand_is_null(struct evaluation *evaluation, const struct operand *operand)
{
    struct slice text;
    if (operand->kind == OPERAND_COLUMN)
        return value_is_null(evaluation_column(evaluation, operand));
    return !operand_text(evaluation, operand, &text);
}

/* Over the elements of all dimensions. A NULL leaves open whether it is one of them; that nothing
 * is an element of an empty array is certain. */
static bool any_holds(struct evaluation *evaluation, const struct condition *condition)
{
    const struct value_type *element = condition->right->type->element;
    struct slice array = evaluation_column(evaluation, condition->right), key, item;
    if (value_is_null(array))
        return false;
    bool is_known = evaluation_key(evaluation, condition->left, &key);
    bool has_null = false, is_empty = true;
    struct array_walk walk = array_walk_of(array);
    while (array_walk_next(&walk, &item)) {
        is_empty = false;
        if (value_is_null(item))
            has_null = true;
        else if (is_known && slice_eq(value_key(element, item, &evaluation->scratch), key))
            return condition->kind == CONDITION_ANY;
    }
    return condition->kind == CONDITION_NOT_ANY && (is_empty || (is_known && !has_null));
}

static bool atom_holds(struct evaluation *evaluation, const struct condition *atom)
{
    arena_clear(&evaluation->scratch);
    switch (atom->kind) {
    case CONDITION_COMPARE:
        return compare_holds(evaluation, atom);
    case CONDITION_IN:
    case CONDITION_NOT_IN:
        return list_holds(evaluation, atom);
    case CONDITION_ANY:
    case CONDITION_NOT_ANY:
        return any_holds(evaluation, atom);
    case CONDITION_LIKE:
    case CONDITION_NOT_LIKE: {
        struct slice text;
        return operand_text(evaluation, atom->left, &text) &&
               like_matches(text, atom->right->text) == (atom->kind == CONDITION_LIKE);
    }
    case CONDITION_IS_NULL:
        return operand_is_null(evaluation, atom->left);
    case CONDITION_NOT_NULL:
        return !operand_is_null(evaluation, atom->left);
    default:
        check(false && "an atom");
        return false;
    }
}

static bool stop_at_first(struct evaluation *evaluation, struct slice subject)
{
    (void)evaluation;
    (void)subject;
    return false;
}

/* Whether a negation or witness finds a row. Its rows go to slots of their own, so the outer ones
 * stay. */
static bool finds_row(const struct plan *plan, struct evaluation *evaluation)
{
    plan_emit_fn *outer = evaluation->emit;
    evaluation->emit = stop_at_first;
    bool found_none = plan_run(plan, evaluation);
    evaluation->emit = outer;
    return !found_none;
}

static bool subject_matches(const struct operand *subject, struct evaluation *evaluation)
{
    struct slice text;
    arena_clear(&evaluation->scratch);
    return operand_text(evaluation, subject, &text) && slice_eq(text, evaluation->subject);
}

static bool level_holds(const struct plan *plan, const struct plan_level *level,
                        struct evaluation *evaluation)
{
    for (size_t i = 0; i < level->filter_count; i++) {
        if (!atom_holds(evaluation, level->filters[i]))
            return false;
    }
    if (level->checks_subject && !subject_matches(plan->subject, evaluation))
        return false;
    for (size_t i = 0; i < level->negation_count; i++) {
        if (finds_row(level->negations[i], evaluation))
            return false;
    }
    for (size_t i = 0; i < level->witness_count; i++) {
        if (!finds_row(level->witnesses[i], evaluation))
            return false;
    }
    return true;
}

/* The step's key components, in the buffer of its slot; false if one is NULL. element: what stands
 * for the array, in a step that looks up each of its elements. */
static bool step_components(const struct plan_step *step, struct evaluation *evaluation,
                            struct slice element, struct slice *components)
{
    struct buffer *out = &evaluation->keys[step->source->slot];
    const struct hash_key *hash = replica_hash_key(evaluation->state->replica);
    arena_clear(&evaluation->scratch);
    buffer_clear(out);
    for (size_t i = 0; i < step->access.column_count; i++) {
        const struct operand *operand = step->components[i];
        struct slice key;
        if (operand == step->elements)
            key = value_key(operand->type->element, element, &evaluation->scratch);
        else if (!evaluation_key(evaluation, operand, &key))
            return false;
        if (operand->kind == OPERAND_SUBJECT)
            key = value_key_of_text(step->component_kinds[i], key, &evaluation->scratch);
        key_add_component(out, hash, key);
    }
    *components = buffer_slice(out);
    return true;
}

static bool emit_subject(const struct plan *plan, struct evaluation *evaluation)
{
    struct slice subject = SLICE_NONE;
    if (plan->emits_subject) {
        arena_clear(&evaluation->scratch);
        if (!operand_text(evaluation, plan->subject, &subject))
            return true; /* NULL is nobody */
    }
    return evaluation->emit(evaluation, subject);
}

/* Whether rows that are alike in all that is still asked of them have been followed. */
static bool was_followed(const struct plan_step *step, struct evaluation *evaluation)
{
    struct buffer *key = &evaluation->seen_key;
    buffer_clear(key);
    for (size_t i = 0; i < step->distinct_count; i++) {
        struct slice value = evaluation_column(evaluation, step->distinct[i]);
        buffer_add_u64(key, value.len);
        buffer_add_slice(key, value);
    }
    return seen_before(&evaluation->seen[step->source->slot], buffer_slice(key));
}

static bool run_from(const struct plan *plan, size_t at, struct evaluation *evaluation);

static bool run_step(const struct plan *plan, size_t at, struct evaluation *evaluation,
                     struct slice element)
{
    const struct plan_step *step = &plan->steps[at];
    unsigned slot = step->source->slot;
    struct slice components;
    if (!step_components(step, evaluation, element, &components))
        return true;
    struct state_read read;
    bool goes_on = true;
    state_read_begin(&read, evaluation->state, &step->access, components);
    while (goes_on && state_read_next(&read, &evaluation->rows[slot])) {
        if (level_holds(plan, &step->level, evaluation) &&
            !(step->is_distinct && was_followed(step, evaluation)))
            goes_on = run_from(plan, at + 1, evaluation);
    }
    state_read_end(&read);
    return goes_on;
}

static bool run_from(const struct plan *plan, size_t at, struct evaluation *evaluation)
{
    if (at == plan->step_count)
        return emit_subject(plan, evaluation);
    const struct plan_step *step = &plan->steps[at];
    if (!step->elements)
        return run_step(plan, at, evaluation, SLICE_NONE);
    struct slice array = evaluation_column(evaluation, step->elements), element;
    struct array_walk walk = array_walk_of(array);
    bool goes_on = true;
    while (goes_on && array_walk_next(&walk, &element)) {
        if (!value_is_null(element))
            goes_on = run_step(plan, at, evaluation, element);
    }
    return goes_on;
}

bool plan_run(const struct plan *plan, struct evaluation *evaluation)
{
    if (!level_holds(plan, &plan->given, evaluation))
        return true;
    for (size_t i = 0; i < plan->step_count; i++) {
        if (plan->steps[i].is_distinct)
            seen_clear(&evaluation->seen[plan->steps[i].source->slot]);
    }
    return run_from(plan, 0, evaluation);
}
