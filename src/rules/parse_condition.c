/* Conditions: AND, OR, NOT, EXISTS, IN (SELECT ...), truth and NULL tests. */
#include "parse_internal.h"

#include "array.h"

#include "weir/replica/value.h"

struct condition *new_condition(struct parse_context *context, enum condition_kind kind)
{
    struct condition *condition = arena_calloc(context->arena, 1, sizeof *condition);
    condition->kind = kind;
    return condition;
}

void add_child(struct parse_context *context, struct condition *parent, struct condition *child)
{
    parent->children =
        array_append(context->arena, parent->children, parent->child_count++, sizeof child, &child);
}

/* EXISTS (SELECT WHERE condition), which is never unknown. */
struct condition *condition_is_true(struct parse_context *context, struct condition *condition)
{
    struct condition *exists = new_condition(context, CONDITION_EXISTS);
    struct select *select = arena_calloc(context->arena, 1, sizeof *select);
    select->where = condition;
    exists->query = arena_calloc(context->arena, 1, sizeof *exists->query);
    exists->query->selects = arena_alloc(context->arena, sizeof *exists->query->selects);
    exists->query->selects[exists->query->select_count++] = select;
    return exists;
}

struct condition *negated(struct parse_context *context, struct condition *condition)
{
    if (!condition)
        return NULL;
    struct condition *negation = new_condition(context, CONDITION_NOT);
    add_child(context, negation, condition);
    return negation;
}

static struct condition *parse_bool(struct parse_context *context,
                                    const PgQuery__BoolExpr *expression, const struct scope *scope)
{
    enum condition_kind kind = CONDITION_NOT;
    if (expression->boolop == PG_QUERY__BOOL_EXPR_TYPE__AND_EXPR)
        kind = CONDITION_AND;
    else if (expression->boolop == PG_QUERY__BOOL_EXPR_TYPE__OR_EXPR)
        kind = CONDITION_OR;
    struct condition *condition = new_condition(context, kind);
    for (size_t i = 0; i < expression->n_args; i++) {
        struct condition *child = parse_condition(context, expression->args[i], scope);
        if (!child)
            return NULL;
        add_child(context, condition, child);
    }
    return condition;
}

static struct condition *parse_sublink(struct parse_context *context, const PgQuery__SubLink *link,
                                       const struct scope *scope)
{
    if (link->subselect->node_case != PG_QUERY__NODE__NODE_SELECT_STMT)
        return parse_refuse(context, "this subquery");
    if (link->sub_link_type == PG_QUERY__SUB_LINK_TYPE__EXISTS_SUBLINK) {
        struct condition *condition = new_condition(context, CONDITION_EXISTS);
        condition->query = parse_query(context, link->subselect->select_stmt, scope, 0);
        return condition->query ? condition : NULL;
    }
    return parse_in_query(context, link, scope);
}

static struct condition *parse_truth(struct parse_context *context, const struct operand *operand,
                                     void *ignored)
{
    (void)ignored;
    if (operand->kind == OPERAND_COALESCE)
        return coalesce_distribute(context, operand, parse_truth, NULL);
    if (operand->kind == OPERAND_CONSTANT) {
        bool is_bool = operand->literal == LITERAL_BOOL ||
                       (operand->type && operand->type->kind == VALUE_BOOL);
        if (operand->is_null || !is_bool)
            return parse_refuse(context, "a constant other than true and false as a condition");
        bool holds = slice_eq_str(operand->text, "true");
        return new_condition(context, holds ? CONDITION_TRUE : CONDITION_FALSE);
    }
    if (operand->kind != OPERAND_COLUMN || operand->type->kind != VALUE_BOOL)
        return parse_refuse(context, "a condition that is not boolean");
    struct operand *constant = arena_calloc(context->arena, 1, sizeof *constant);
    constant->kind = OPERAND_CONSTANT;
    constant->literal = LITERAL_BOOL;
    constant->text = SLICE("true");
    return compare(context, COMPARE_EQ, operand, constant);
}

static struct condition *parse_null_test(struct parse_context *context,
                                         const PgQuery__NullTest *test, const struct scope *scope)
{
    bool is_json_value =
        test->arg->node_case == PG_QUERY__NODE__NODE_A_EXPR && is_operator(test->arg->a_expr, "->");
    const struct operand *operand = is_json_value ? parse_json_value(context, test->arg, scope)
                                                  : parse_compared(context, test->arg, scope);
    if (!operand)
        return NULL;
    bool is_null = test->nulltesttype == PG_QUERY__NULL_TEST_TYPE__IS_NULL;
    enum condition_kind kind = is_null ? CONDITION_IS_NULL : CONDITION_NOT_NULL;
    if (operand->kind == OPERAND_COALESCE)
        return coalesce_null_test(context, operand, kind);
    if (operand->kind == OPERAND_CONSTANT)
        return parse_refuse(context, "IS NULL on a constant");
    /* A row of NULLs is NULL to SQL, and a JSON null is not; the replica cannot tell either. */
    if (operand->type->kind == VALUE_COMPOSITE || value_may_be_json_null(operand->type))
        return parse_refuse(context, "IS NULL on a composite or JSON column");
    struct condition *condition = new_condition(context, kind);
    condition->left = operand;
    return condition;
}

/* `IS TRUE` and its like of any condition. */
static struct condition *parse_bool_test(struct parse_context *context, PgQuery__BoolTestType kind,
                                         const Node *tested, const struct scope *scope)
{
    struct condition *condition = parse_condition(context, tested, scope);
    if (!condition)
        return NULL;
    struct condition *is_true = condition_is_true(context, condition);
    struct condition *is_false = condition_is_true(context, negated(context, condition));
    struct condition *is_known = new_condition(context, CONDITION_OR);
    add_child(context, is_known, is_true);
    add_child(context, is_known, is_false);
    switch (kind) {
    case PG_QUERY__BOOL_TEST_TYPE__IS_TRUE:
        return is_true;
    case PG_QUERY__BOOL_TEST_TYPE__IS_FALSE:
        return is_false;
    case PG_QUERY__BOOL_TEST_TYPE__IS_NOT_TRUE:
        return negated(context, is_true);
    case PG_QUERY__BOOL_TEST_TYPE__IS_NOT_FALSE:
        return negated(context, is_false);
    case PG_QUERY__BOOL_TEST_TYPE__IS_UNKNOWN:
        return negated(context, is_known);
    default:
        return is_known;
    }
}

bool is_condition(const Node *node)
{
    enum compare_op op;
    switch (node->node_case) {
    case PG_QUERY__NODE__NODE_BOOL_EXPR:
    case PG_QUERY__NODE__NODE_NULL_TEST:
    case PG_QUERY__NODE__NODE_BOOLEAN_TEST:
        return true;
    case PG_QUERY__NODE__NODE_A_CONST:
        return !node->a_const->isnull && node->a_const->val_case == PG_QUERY__A__CONST__VAL_BOOLVAL;
    case PG_QUERY__NODE__NODE_SUB_LINK:
        return node->sub_link->sub_link_type != PG_QUERY__SUB_LINK_TYPE__EXPR_SUBLINK &&
               node->sub_link->sub_link_type != PG_QUERY__SUB_LINK_TYPE__ARRAY_SUBLINK;
    case PG_QUERY__NODE__NODE_A_EXPR:
        if (node->a_expr->kind == PG_QUERY__A__EXPR__KIND__AEXPR_OP)
            return node->a_expr->n_name == 1 &&
                   parse_compare_op(node->a_expr->name[0]->string->sval, &op);
        return node->a_expr->kind != PG_QUERY__A__EXPR__KIND__AEXPR_NULLIF;
    default:
        return false;
    }
}

/* `IS NULL` of a condition is its IS UNKNOWN. */
static struct condition *parse_unknown_test(struct parse_context *context,
                                            const PgQuery__NullTest *test,
                                            const struct scope *scope)
{
    bool is_null = test->nulltesttype == PG_QUERY__NULL_TEST_TYPE__IS_NULL;
    return parse_bool_test(context,
                           is_null ? PG_QUERY__BOOL_TEST_TYPE__IS_UNKNOWN
                                   : PG_QUERY__BOOL_TEST_TYPE__IS_NOT_UNKNOWN,
                           test->arg, scope);
}

/* COALESCE(condition, false) is its IS TRUE, COALESCE(condition, true) its IS NOT FALSE. */
static bool is_condition_or_default(const PgQuery__CoalesceExpr *coalesce)
{
    if (coalesce->n_args != 2 || coalesce->args[1]->node_case != PG_QUERY__NODE__NODE_A_CONST)
        return false;
    const PgQuery__AConst *otherwise = coalesce->args[1]->a_const;
    const Node *first = coalesce->args[0];
    return !otherwise->isnull && otherwise->val_case == PG_QUERY__A__CONST__VAL_BOOLVAL &&
           (first->node_case == PG_QUERY__NODE__NODE_A_EXPR ||
            first->node_case == PG_QUERY__NODE__NODE_BOOL_EXPR ||
            first->node_case == PG_QUERY__NODE__NODE_SUB_LINK);
}

static struct condition *parse_condition_or_default(struct parse_context *context,
                                                    const PgQuery__CoalesceExpr *coalesce,
                                                    const struct scope *scope)
{
    struct condition *condition = parse_condition(context, coalesce->args[0], scope);
    if (!condition)
        return NULL;
    if (!coalesce->args[1]->a_const->boolval->boolval)
        return condition_is_true(context, condition);
    return negated(context, condition_is_true(context, negated(context, condition)));
}

struct condition *parse_condition(struct parse_context *context, const Node *node,
                                  const struct scope *scope)
{
    switch (node->node_case) {
    case PG_QUERY__NODE__NODE_BOOL_EXPR:
        return parse_bool(context, node->bool_expr, scope);
    case PG_QUERY__NODE__NODE_A_EXPR:
        return parse_expression(context, node->a_expr, scope);
    case PG_QUERY__NODE__NODE_SUB_LINK:
        return parse_sublink(context, node->sub_link, scope);
    case PG_QUERY__NODE__NODE_NULL_TEST:
        if (is_condition(node->null_test->arg))
            return parse_unknown_test(context, node->null_test, scope);
        return parse_null_test(context, node->null_test, scope);
    case PG_QUERY__NODE__NODE_BOOLEAN_TEST:
        return parse_bool_test(context, node->boolean_test->booltesttype, node->boolean_test->arg,
                               scope);
    case PG_QUERY__NODE__NODE_COALESCE_EXPR:
        if (is_condition_or_default(node->coalesce_expr))
            return parse_condition_or_default(context, node->coalesce_expr, scope);
        break;
    default:
        break;
    }
    const struct operand *operand = parse_operand_or_coalesce(context, node, scope);
    return operand ? parse_truth(context, operand, NULL) : NULL;
}
