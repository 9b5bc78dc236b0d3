/* By which columns a source is read, given the rows before it. */
#include "access.h"

#include "slots.h"

#include "weir/replica/value.h"

/* Whether the column's stored key can be looked up for the comparison: a numeric compared as text
 * is not stored by its text. */
static bool is_searchable(const struct operand *column)
{
    return !column->is_text_cast || column->type->kind != VALUE_NUMERIC;
}

static bool add_equality(struct equalities *found, const struct operand *column,
                         const struct operand *operand, const struct condition *atom)
{
    size_t room = sizeof found->items / sizeof *found->items;
    for (size_t i = 0; i < found->count; i++) {
        if (found->items[i].column == column->column)
            return false;
    }
    if (found->count == room || !is_searchable(column))
        return false;
    enum value_kind kind = column->is_text_cast ? VALUE_TEXT : column->type->kind;
    found->items[found->count++] =
        (struct equality){.column = column->column, .kind = kind, .operand = operand, .atom = atom};
    found->row_count += operand->kind != OPERAND_CONSTANT;
    return true;
}

static bool is_column_of(const struct operand *operand, const struct source *source)
{
    return operand->kind == OPERAND_COLUMN && operand->source == source;
}

static const struct operand subject_operand = {.kind = OPERAND_SUBJECT, .type = &text_type};

static const struct equality *equality_on(const struct equalities *found, uint16_t column)
{
    for (size_t i = 0; i < found->count; i++) {
        if (found->items[i].column == column)
            return &found->items[i];
    }
    return NULL;
}

/* How many columns at the head of the primary key are given; key columns are searched only where
 * equal keys have equal texts. */
static size_t given_key_columns(const struct relation *relation, const struct equalities *found)
{
    size_t count = 0;
    if (!key_has_ranges(relation))
        return 0;
    while (count < relation->key_count && equality_on(found, relation->key[count]) &&
           !equality_on(found, relation->key[count])->is_of_elements)
        count++;
    return count;
}

/* An array is looked up by one of its elements, where there is none of the rows before to look it
 * up by: constants only narrow. */
static void find_element(const struct conjunct *conjunct, const struct source *source,
                         uint32_t bound, struct equalities *found)
{
    for (size_t i = 0; !found->row_count && i < conjunct->atom_count; i++) {
        const struct condition *atom = conjunct->atoms[i];
        if (atom->kind != CONDITION_ANY || !is_column_of(atom->right, source) ||
            !is_known(atom->left, bound))
            continue;
        bool is_constant = atom->left->kind == OPERAND_CONSTANT;
        if (is_constant && found->count)
            continue;
        found->items[0] = (struct equality){.column = atom->right->column,
                                            .operand = atom->left,
                                            .atom = atom,
                                            .is_of_elements = true};
        found->count = 1;
        found->row_count = !is_constant;
    }
}

void find_equalities(const struct conjunct *conjunct, const struct source *source, uint32_t bound,
                     bool has_subject, struct equalities *found)
{
    *found = (struct equalities){.count = 0};
    /* The subject first: it narrows most. */
    if (has_subject && is_column_of(conjunct->subject, source))
        add_equality(found, conjunct->subject, &subject_operand, NULL);
    for (size_t i = 0; i < conjunct->atom_count; i++) {
        const struct condition *atom = conjunct->atoms[i];
        if (atom->kind != CONDITION_COMPARE || atom->op != COMPARE_EQ)
            continue;
        if (is_column_of(atom->left, source) && is_known(atom->right, bound))
            add_equality(found, atom->left, atom->right, atom);
        else if (is_column_of(atom->right, source) && is_known(atom->left, bound))
            add_equality(found, atom->right, atom->left, atom);
    }
    /* Then the elements of one array: several look-ups, but better than none. */
    for (size_t i = 0; i < conjunct->atom_count && !found->has_elements; i++) {
        const struct condition *atom = conjunct->atoms[i];
        if (atom->kind == CONDITION_ANY && is_column_of(atom->left, source) &&
            is_known(atom->right, bound))
            found->has_elements = add_equality(found, atom->left, atom->right, atom);
    }
    if (given_key_columns(source->relation, found) < source->relation->key_count)
        find_element(conjunct, source, bound, found);
}

static void use_equality(struct plan_step *step, const struct equality *equality)
{
    size_t at = step->access.column_count++;
    step->access.columns[at] = equality->column;
    step->components[at] = equality->operand;
    step->component_kinds[at] = equality->kind;
    if (equality->atom && equality->atom->kind == CONDITION_ANY && !equality->is_of_elements)
        step->elements = equality->operand;
}

static void use_key(struct plan_step *step, const struct equalities *found, size_t column_count)
{
    const struct relation *relation = step->source->relation;
    step->access.kind = column_count == relation->key_count ? ACCESS_KEY : ACCESS_KEY_RANGE;
    for (size_t i = 0; i < column_count; i++)
        use_equality(step, equality_on(found, relation->key[i]));
}

/* The columns in ascending order, so that rules that ask for the same set share an index. */
static bool use_index(struct plan_context *context, struct plan_step *step,
                      struct equalities *found)
{
    const struct relation *relation = step->source->relation;
    size_t count = found->count < INDEX_COLUMNS_MAX ? found->count : INDEX_COLUMNS_MAX;
    for (size_t i = 0; i < count; i++) {
        for (size_t j = i; j > 0 && found->items[j - 1].column > found->items[j].column; j--) {
            struct equality swapped = found->items[j];
            found->items[j] = found->items[j - 1];
            found->items[j - 1] = swapped;
        }
    }
    for (size_t i = 0; i < count; i++)
        use_equality(step, &found->items[i]);
    step->access.kind = ACCESS_INDEX;
    enum index_kind kind = found->items[0].is_of_elements ? INDEX_OF_ELEMENTS : INDEX_OF_VALUES;
    step->access.index = replica_ensure_index(context->replica, relation, kind,
                                              step->access.columns, count, context->err);
    return step->access.index != NULL;
}

bool choose_access(struct plan_context *context, struct plan_step *step, struct equalities *found)
{
    const struct relation *relation = step->source->relation;
    step->access.relation = relation;
    step->access.kind = ACCESS_ALL;
    if (!found->count)
        return true;
    size_t key_columns = given_key_columns(relation, found);
    if (key_columns && (key_columns == relation->key_count || key_columns == found->count)) {
        use_key(step, found, key_columns);
        return true;
    }
    return use_index(context, step, found);
}

size_t access_rank(const struct source *source, const struct equalities *found)
{
    if (!found->count)
        return 0;
    if (given_key_columns(source->relation, found) == source->relation->key_count)
        return 100;
    return 1 + found->row_count * 2 + (found->count > found->row_count);
}

bool step_uses(const struct plan_step *step, const struct equalities *found,
               const struct condition *atom)
{
    for (size_t i = 0; i < step->access.column_count; i++) {
        const struct equality *equality = equality_on(found, step->access.columns[i]);
        if (equality && equality->atom == atom)
            return true;
    }
    return false;
}
