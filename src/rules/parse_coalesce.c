/* COALESCE, which is written out where it stands: a comparison of it is one of each part, under the
 * condition that the parts before it are NULL; a SELECT of it is a UNION of SELECTs. So plans see
 * only what they can look up. */
#include "parse_internal.h"

#include "weir/replica/value.h"

/* Whether a value of the one is the same value as one of the other, text and all. */
static bool is_same_type(const struct value_type *a, const struct value_type *b)
{
    bool is_number = (a->kind == VALUE_INTEGER || a->kind == VALUE_NUMERIC) &&
                     (b->kind == VALUE_INTEGER || b->kind == VALUE_NUMERIC);
    return is_number || a->base_oid == b->base_oid ||
           (a->kind == VALUE_TEXT && b->kind == VALUE_TEXT);
}

static const struct operand *parse_coalesce(struct parse_context *context,
                                            const PgQuery__CoalesceExpr *expression,
                                            const struct scope *scope)
{
    struct operand *coalesce = arena_calloc(context->arena, 1, sizeof *coalesce);
    coalesce->kind = OPERAND_COALESCE;
    coalesce->parts = arena_calloc(context->arena, expression->n_args + 1, sizeof *coalesce->parts);
    for (size_t i = 0; i < expression->n_args; i++) {
        const struct operand *part = parse_operand(context, expression->args[i], scope);
        if (!part)
            return NULL;
        coalesce->parts[coalesce->part_count++] = part;
        if (constant_is_bare(part))
            continue;
        const struct value_type *type = compared_type(part);
        if (!value_is_comparable(type)) {
            err_set(context->err, "COALESCE of %s is not supported in an audience", type->name);
            return NULL;
        }
        if (coalesce->type && !is_same_type(coalesce->type, type)) {
            err_set(context->err, "COALESCE of %s and %s is not supported in an audience",
                    coalesce->type->name, type->name);
            return NULL;
        }
        coalesce->type = type;
    }
    return coalesce->type ? coalesce : parse_refuse(context, "COALESCE of constants only");
}

const struct operand *parse_operand_or_coalesce(struct parse_context *context, const Node *node,
                                                const struct scope *scope)
{
    if (node && node->node_case == PG_QUERY__NODE__NODE_COALESCE_EXPR)
        return parse_coalesce(context, node->coalesce_expr, scope);
    return parse_operand(context, node, scope);
}

static struct condition *null_test(struct parse_context *context, enum condition_kind kind,
                                   const struct operand *operand)
{
    struct condition *test = new_condition(context, kind);
    test->left = operand;
    return test;
}

static bool is_certain(const struct operand *part)
{
    return part->kind == OPERAND_CONSTANT && !part->is_null;
}

struct condition *coalesce_part_is_taken(struct parse_context *context,
                                         const struct operand *coalesce, size_t at)
{
    struct condition *all = new_condition(context, CONDITION_AND);
    for (size_t i = 0; i < at; i++) {
        if (is_certain(coalesce->parts[i]))
            return NULL;
        if (coalesce->parts[i]->kind != OPERAND_CONSTANT)
            add_child(context, all, null_test(context, CONDITION_IS_NULL, coalesce->parts[i]));
    }
    if (coalesce->parts[at]->kind != OPERAND_CONSTANT && at + 1 < coalesce->part_count)
        add_child(context, all, null_test(context, CONDITION_NOT_NULL, coalesce->parts[at]));
    return all;
}

static bool is_last(const struct operand *coalesce, size_t at)
{
    return at + 1 == coalesce->part_count;
}

struct condition *coalesce_distribute(struct parse_context *context, const struct operand *coalesce,
                                      coalesce_part_fn *fn, void *argument)
{
    struct condition *any = new_condition(context, CONDITION_OR);
    for (size_t i = 0; i < coalesce->part_count; i++) {
        const struct operand *part = coalesce->parts[i];
        if (part->kind == OPERAND_CONSTANT && part->is_null && !is_last(coalesce, i))
            continue;
        struct condition *taken = coalesce_part_is_taken(context, coalesce, i);
        if (!taken)
            break;
        if (constant_is_bare(part) && !(part = constant_coerce(context, part, coalesce->type)))
            return NULL;
        struct condition *holds = fn(context, part, argument);
        if (!holds)
            return NULL;
        add_child(context, taken, holds);
        add_child(context, any, taken);
    }
    return any;
}

/* Two constants meet where one stands in a COALESCE. */
struct condition *compare_constants(struct parse_context *context, enum compare_op op,
                                    const struct operand *left, const struct operand *right)
{
    if (!left->type && right->type)
        left = constant_coerce(context, left, right->type);
    else if (!right->type && left->type)
        right = constant_coerce(context, right, left->type);
    if (!left || !right)
        return NULL;
    if (!left->type || !right->type || left->is_null || right->is_null ||
        !value_kinds_match(left->type, right->type))
        return parse_refuse(context, "a comparison of two constants");
    bool is_equality = op == COMPARE_EQ || op == COMPARE_NE;
    if (!is_equality && !check_order(context, left, right))
        return NULL;
    struct slice a = value_key_of_text(left->type->kind, left->text, context->arena);
    struct slice b = value_key_of_text(right->type->kind, right->text, context->arena);
    bool holds = compare_op_holds(op, left->type, a, b);
    return new_condition(context, holds ? CONDITION_TRUE : CONDITION_FALSE);
}

struct condition *coalesce_null_test(struct parse_context *context, const struct operand *coalesce,
                                     enum condition_kind kind)
{
    bool wants_null = kind == CONDITION_IS_NULL;
    struct condition *tests = new_condition(context, wants_null ? CONDITION_AND : CONDITION_OR);
    for (size_t i = 0; i < coalesce->part_count; i++) {
        const struct operand *part = coalesce->parts[i];
        struct condition *test;
        if (part->kind == OPERAND_CONSTANT)
            test = new_condition(context,
                                 part->is_null == wants_null ? CONDITION_TRUE : CONDITION_FALSE);
        else
            test = null_test(context, kind, part);
        add_child(context, tests, test);
    }
    return tests;
}
