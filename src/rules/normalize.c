/* Query to conjuncts: NOT is pushed down to the comparisons (SQL's three values allow that, as in
 * the end only "true" counts), AND is multiplied out over OR, a positive EXISTS joins the sources
 * of its conjunct, a negative one becomes a negation.
 *
 *   x NOT IN (SELECT y ...)  =  NOT EXISTS (SELECT ... AND (y = x OR y IS NULL OR x IS NULL)) */
#include "query.h"

#include "array.h"

enum { CONJUNCTS_MAX = 64 };

static bool expand(struct parse_context *context, const struct condition *condition,
                   bool is_negated, struct conjunct_list *out);

static bool refuse_length(struct parse_context *context)
{
    err_set(context->err, "the audience has more than %d alternatives", CONJUNCTS_MAX);
    return err_hint(context->err, "write several rules instead of one with many ORs");
}

static bool add_conjunct(struct parse_context *context, struct conjunct_list *list,
                         struct conjunct *conjunct)
{
    if (list->count == CONJUNCTS_MAX)
        return refuse_length(context);
    list->items =
        array_append(context->arena, list->items, list->count++, sizeof conjunct, &conjunct);
    return true;
}

static struct conjunct *new_conjunct(struct parse_context *context)
{
    return arena_calloc(context->arena, 1, sizeof(struct conjunct));
}

static bool one_atom(struct parse_context *context, const struct condition *atom,
                     struct conjunct_list *out)
{
    struct conjunct *conjunct = new_conjunct(context);
    conjunct->atoms =
        array_append(context->arena, conjunct->atoms, conjunct->atom_count++, sizeof atom, &atom);
    return add_conjunct(context, out, conjunct);
}

static bool holds_pointer(const void *const *items, size_t count, const void *item)
{
    for (size_t i = 0; i < count; i++) {
        if (items[i] == item)
            return true;
    }
    return false;
}

/* Adds what is in from to into; the same atom or source twice counts once. */
static void merge_into(struct parse_context *context, struct conjunct *into,
                       const struct conjunct *from)
{
    for (size_t i = 0; i < from->source_count; i++) {
        if (holds_pointer((const void *const *)into->sources, into->source_count, from->sources[i]))
            continue;
        into->sources = array_append(context->arena, into->sources, into->source_count++,
                                     sizeof *into->sources, &from->sources[i]);
    }
    for (size_t i = 0; i < from->atom_count; i++) {
        if (holds_pointer((const void *const *)into->atoms, into->atom_count, from->atoms[i]))
            continue;
        into->atoms = array_append(context->arena, into->atoms, into->atom_count++,
                                   sizeof *into->atoms, &from->atoms[i]);
    }
    for (size_t i = 0; i < from->negation_count; i++) {
        into->negations = array_append(context->arena, into->negations, into->negation_count++,
                                       sizeof *into->negations, &from->negations[i]);
    }
}

static bool multiply(struct parse_context *context, const struct conjunct_list *a,
                     const struct conjunct_list *b, struct conjunct_list *out)
{
    for (size_t i = 0; i < a->count; i++) {
        for (size_t j = 0; j < b->count; j++) {
            struct conjunct *both = new_conjunct(context);
            merge_into(context, both, a->items[i]);
            merge_into(context, both, b->items[j]);
            if (!add_conjunct(context, out, both))
                return false;
        }
    }
    return true;
}

static bool expand_all(struct parse_context *context, const struct condition *condition,
                       bool is_negated, struct conjunct_list *out)
{
    struct conjunct_list product = {0};
    if (!add_conjunct(context, &product, new_conjunct(context)))
        return false;
    for (size_t i = 0; i < condition->child_count; i++) {
        struct conjunct_list child = {0}, next = {0};
        if (!expand(context, condition->children[i], is_negated, &child))
            return false;
        if (child.count == 1) {
            for (size_t j = 0; j < product.count; j++)
                merge_into(context, product.items[j], child.items[0]);
            continue;
        }
        if (!multiply(context, &product, &child, &next))
            return false;
        product = next;
    }
    for (size_t i = 0; i < product.count; i++) {
        if (!add_conjunct(context, out, product.items[i]))
            return false;
    }
    return true;
}

static bool expand_any(struct parse_context *context, const struct condition *condition,
                       bool is_negated, struct conjunct_list *out)
{
    for (size_t i = 0; i < condition->child_count; i++) {
        if (!expand(context, condition->children[i], is_negated, out))
            return false;
    }
    return true;
}

static struct condition *derived(struct parse_context *context, const struct condition *from,
                                 enum condition_kind kind)
{
    struct condition *condition = arena_alloc(context->arena, sizeof *condition);
    *condition = *from;
    condition->kind = kind;
    return condition;
}

static enum compare_op opposite(enum compare_op op)
{
    static const enum compare_op opposites[] = {
        [COMPARE_EQ] = COMPARE_NE, [COMPARE_NE] = COMPARE_EQ, [COMPARE_LT] = COMPARE_GE,
        [COMPARE_LE] = COMPARE_GT, [COMPARE_GT] = COMPARE_LE, [COMPARE_GE] = COMPARE_LT};
    return opposites[op];
}

static bool expand_compare(struct parse_context *context, const struct condition *condition,
                           bool is_negated, struct conjunct_list *out)
{
    if (!is_negated)
        return one_atom(context, condition, out);
    struct condition *negated = derived(context, condition, CONDITION_COMPARE);
    negated->op = opposite(condition->op);
    return one_atom(context, negated, out);
}

/* The conjuncts of one SELECT with its sources. */
static bool expand_select(struct parse_context *context, const struct select *select,
                          const struct condition *extra, struct conjunct_list *out)
{
    struct conjunct_list where = {0}, more = {0}, all = {0};
    if (!expand(context, select->where, false, &where))
        return false;
    if (extra) {
        if (!expand(context, extra, false, &more) || !multiply(context, &where, &more, &all))
            return false;
    } else {
        all = where;
    }
    struct conjunct sources = {.sources = (const struct source **)select->sources,
                               .source_count = select->source_count};
    for (size_t i = 0; i < all.count; i++) {
        merge_into(context, all.items[i], &sources);
        if (!add_conjunct(context, out, all.items[i]))
            return false;
    }
    return true;
}

static bool is_never_null(const struct operand *operand)
{
    if (operand->kind == OPERAND_CONSTANT)
        return !operand->is_null;
    return operand->kind == OPERAND_COLUMN &&
           operand->source->relation->columns[operand->column].is_not_null;
}

static void add_part(struct parse_context *context, struct condition *whole, struct condition *part)
{
    whole->children =
        array_append(context->arena, whole->children, whole->child_count++, sizeof part, &part);
}

/* What links a left side to a value of the subquery: `value = left`, and under NOT also
 * the NULLs. */
static struct condition *in_query_link(struct parse_context *context, const struct operand *left,
                                       const struct operand *value, bool is_negated)
{
    struct condition *either = arena_calloc(context->arena, 1, sizeof *either);
    either->kind = CONDITION_OR;
    struct condition *equal = arena_calloc(context->arena, 1, sizeof *equal);
    equal->kind = CONDITION_COMPARE;
    equal->op = COMPARE_EQ;
    equal->left = value;
    equal->right = left;
    add_part(context, either, equal);
    const struct operand *sides[2] = {value, left};
    for (int i = 0; is_negated && i < 2; i++) {
        if (is_never_null(sides[i]))
            continue;
        struct condition *is_null = arena_calloc(context->arena, 1, sizeof *is_null);
        is_null->kind = CONDITION_IS_NULL;
        is_null->left = sides[i];
        add_part(context, either, is_null);
    }
    return either;
}

static const struct condition *in_query_links(struct parse_context *context,
                                              const struct condition *in,
                                              const struct select *select, bool is_negated)
{
    struct condition *all = arena_calloc(context->arena, 1, sizeof *all);
    all->kind = CONDITION_AND;
    for (size_t i = 0; i < in->list_count; i++)
        add_part(context, all, in_query_link(context, in->list[i], select->row[i], is_negated));
    return all;
}

static bool expand_query(struct parse_context *context, const struct condition *condition,
                         bool is_negated, struct conjunct_list *out)
{
    struct conjunct_list rows = {0};
    for (size_t i = 0; i < condition->query->select_count; i++) {
        const struct select *select = condition->query->selects[i];
        const struct condition *extra = NULL;
        if (condition->kind == CONDITION_IN_QUERY)
            extra = in_query_links(context, condition, select, is_negated);
        if (!expand_select(context, select, extra, is_negated ? &rows : out))
            return false;
    }
    if (!is_negated)
        return true;
    struct conjunct *none = new_conjunct(context);
    for (size_t i = 0; i < rows.count; i++) {
        none->negations = array_append(context->arena, none->negations, none->negation_count++,
                                       sizeof rows.items[i], &rows.items[i]);
    }
    return add_conjunct(context, out, none);
}

static bool expand(struct parse_context *context, const struct condition *condition,
                   bool is_negated, struct conjunct_list *out)
{
    switch (condition->kind) {
    case CONDITION_TRUE:
    case CONDITION_FALSE:
        return (condition->kind == CONDITION_TRUE) == is_negated ||
               add_conjunct(context, out, new_conjunct(context));
    case CONDITION_AND:
        return is_negated ? expand_any(context, condition, true, out)
                          : expand_all(context, condition, false, out);
    case CONDITION_OR:
        return is_negated ? expand_all(context, condition, true, out)
                          : expand_any(context, condition, false, out);
    case CONDITION_NOT:
        return expand(context, condition->children[0], !is_negated, out);
    case CONDITION_COMPARE:
        return expand_compare(context, condition, is_negated, out);
    case CONDITION_IS_NULL:
    case CONDITION_NOT_NULL: {
        bool wants_null = (condition->kind == CONDITION_IS_NULL) != is_negated;
        return one_atom(
            context,
            derived(context, condition, wants_null ? CONDITION_IS_NULL : CONDITION_NOT_NULL), out);
    }
    case CONDITION_IN:
    case CONDITION_NOT_IN: {
        bool is_in = (condition->kind == CONDITION_IN) != is_negated;
        return one_atom(context,
                        derived(context, condition, is_in ? CONDITION_IN : CONDITION_NOT_IN), out);
    }
    case CONDITION_ANY:
    case CONDITION_NOT_ANY: {
        bool is_any = (condition->kind == CONDITION_ANY) != is_negated;
        return one_atom(
            context, derived(context, condition, is_any ? CONDITION_ANY : CONDITION_NOT_ANY), out);
    }
    case CONDITION_LIKE:
    case CONDITION_NOT_LIKE: {
        bool is_like = (condition->kind == CONDITION_LIKE) != is_negated;
        return one_atom(context,
                        derived(context, condition, is_like ? CONDITION_LIKE : CONDITION_NOT_LIKE),
                        out);
    }
    case CONDITION_EXISTS:
    case CONDITION_IN_QUERY:
        return expand_query(context, condition, is_negated, out);
    }
    return false;
}

bool rule_query_normalize(struct parse_context *context, const struct query *query,
                          struct conjunct_list *out)
{
    for (size_t i = 0; i < query->select_count; i++) {
        const struct select *select = query->selects[i];
        struct conjunct_list conjuncts = {0};
        if (!expand_select(context, select, NULL, &conjuncts))
            return false;
        for (size_t j = 0; j < conjuncts.count; j++) {
            conjuncts.items[j]->subject = select->value;
            if (!add_conjunct(context, out, conjuncts.items[j]))
                return false;
        }
    }
    return true;
}
