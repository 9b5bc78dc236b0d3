#include "alike.h"

#include "slots.h"

static bool source_alike(const struct source *a, const struct source *b)
{
    return a->slot == b->slot && a->relation == b->relation;
}

static bool path_alike(const struct operand *a, const struct operand *b)
{
    if (a->path_len != b->path_len)
        return false;
    for (size_t i = 0; i < a->path_len; i++) {
        const struct json_step_to *x = &a->path[i], *y = &b->path[i];
        if (x->is_index != y->is_index ||
            (x->is_index ? x->index != y->index : !slice_eq(x->name, y->name)))
            return false;
    }
    return true;
}

bool operand_alike(const struct operand *a, const struct operand *b)
{
    if (!a || !b)
        return a == b;
    if (a->kind != b->kind || a->type != b->type || a->part_count != b->part_count ||
        a->is_of_json != b->is_of_json || a->is_json_value != b->is_json_value || !path_alike(a, b))
        return false;
    if (a->kind == OPERAND_COLUMN)
        return source_alike(a->source, b->source) && a->column == b->column &&
               a->is_text_cast == b->is_text_cast;
    if (a->kind == OPERAND_CONSTANT)
        return a->is_null == b->is_null && slice_eq(a->text, b->text);
    for (size_t i = 0; i < a->part_count; i++) {
        if (!operand_alike(a->parts[i], b->parts[i]))
            return false;
    }
    return true;
}

static bool atom_alike(const struct condition *a, const struct condition *b)
{
    if (a->kind != b->kind || a->op != b->op || a->list_count != b->list_count ||
        a->list_has_null != b->list_has_null || !operand_alike(a->left, b->left) ||
        !operand_alike(a->right, b->right))
        return false;
    for (size_t i = 0; i < a->list_count; i++) {
        if (!operand_alike(a->list[i], b->list[i]))
            return false;
    }
    return true;
}

/* The next atom that is about other rows as well; NULL at the end. */
static const struct condition *next_atom(const struct conjunct *conjunct, size_t *at,
                                         uint32_t given)
{
    while (*at < conjunct->atom_count) {
        const struct condition *atom = conjunct->atoms[(*at)++];
        if (!given || atom_slots(atom) & ~given)
            return atom;
    }
    return NULL;
}

static bool atoms_alike(const struct conjunct *a, const struct conjunct *b, uint32_t given)
{
    size_t at_a = 0, at_b = 0;
    const struct condition *x, *y;
    do {
        x = next_atom(a, &at_a, given);
        y = next_atom(b, &at_b, given);
    } while (x && y && atom_alike(x, y));
    return !x && !y;
}

bool conjunct_alike(const struct conjunct *a, const struct conjunct *b, uint32_t given)
{
    if (a->source_count != b->source_count || a->negation_count != b->negation_count ||
        !operand_alike(a->subject, b->subject) || !atoms_alike(a, b, given))
        return false;
    for (size_t i = 0; i < a->source_count; i++) {
        if (!source_alike(a->sources[i], b->sources[i]))
            return false;
    }
    for (size_t i = 0; i < a->negation_count; i++) {
        if (!conjunct_alike(a->negations[i], b->negations[i], 0))
            return false;
    }
    return true;
}
