/* Comparisons: = and its like, IN lists, ANY, BETWEEN, IS DISTINCT FROM. */
#include "parse_internal.h"

#include "weir/replica/value.h"

bool check_comparable(struct parse_context *context, const struct operand *operand,
                      enum compare_op op)
{
    const struct value_type *type = compared_type(operand);
    bool is_equality = op == COMPARE_EQ || op == COMPARE_NE;
    if (is_equality ? !value_is_comparable(type) : !value_is_ordered(type)) {
        err_set(context->err, "%s of %s is not supported in an audience",
                is_equality ? "comparing values" : "< or > on values", type->name);
        return false;
    }
    return true;
}

enum { OID_TEXT = 25 };

/* varchar and name meet char(n) as char(n), whose trailing blanks do not count; they are not stored
 * so. text meets it as text. */
static bool blanks_are_in_doubt(const struct value_type *a, const struct value_type *b)
{
    return (a->kind == VALUE_CHAR && b->kind == VALUE_TEXT && b->base_oid != OID_TEXT) ||
           (b->kind == VALUE_CHAR && a->kind == VALUE_TEXT && a->base_oid != OID_TEXT);
}

static bool check_types_match(struct parse_context *context, const struct value_type *a,
                              const struct value_type *b)
{
    if (value_kinds_match(a, b) && !blanks_are_in_doubt(a, b))
        return true;
    return err_set(context->err, "comparing %s with %s is not supported in an audience", a->name,
                   b->name);
}

/* A constant of an enum may be newer than what is known of the type. */
static bool check_labels(struct parse_context *context, const struct operand *left,
                         const struct operand *right)
{
    const struct operand *constant = left->kind == OPERAND_CONSTANT ? left : right;
    if (constant->kind != OPERAND_CONSTANT || constant->is_null ||
        constant->type->kind != VALUE_ENUM ||
        value_enum_place(constant->type, constant->text) < constant->type->label_count)
        return true;
    return err_set(context->err, "the enum %s has a label that is not known yet",
                   constant->type->name);
}

struct condition *compare(struct parse_context *context, enum compare_op op,
                          const struct operand *left, const struct operand *right)
{
    bool is_left_constant = left->kind == OPERAND_CONSTANT;
    if (is_left_constant && right->kind == OPERAND_CONSTANT)
        return parse_refuse(context, "a comparison of two constants");
    if (is_left_constant)
        left = constant_coerce(context, left, compared_type(right));
    else if (right->kind == OPERAND_CONSTANT)
        right = constant_coerce(context, right, compared_type(left));
    if (!left || !right || !check_comparable(context, left, op) ||
        !check_comparable(context, right, op) ||
        !check_types_match(context, compared_type(left), compared_type(right)))
        return NULL;
    bool is_equality = op == COMPARE_EQ || op == COMPARE_NE;
    if (is_equality ? !check_deterministic(context, left, right)
                    : !check_order(context, left, right) || !check_labels(context, left, right))
        return NULL;
    struct condition *condition = new_condition(context, CONDITION_COMPARE);
    condition->op = op;
    condition->left = left;
    condition->right = right;
    return condition;
}

static bool parse_compare_op(const char *name, enum compare_op *op)
{
    static const struct {
        const char *name;
        enum compare_op op;
    } ops[] = {{"=", COMPARE_EQ}, {"<>", COMPARE_NE}, {"!=", COMPARE_NE}, {"<", COMPARE_LT},
               {"<=", COMPARE_LE}, {">", COMPARE_GT}, {">=", COMPARE_GE}};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        if (strcmp(name, ops[i].name) == 0) {
            *op = ops[i].op;
            return true;
        }
    }
    return false;
}

/* In ARRAY[...] a string is text; in a list it takes the type of the left side. */
static const struct operand *parse_list_item(struct parse_context *context, const Node *node,
                                             const struct operand *left, bool is_array,
                                             const struct scope *scope)
{
    const struct value_type *type = compared_type(left);
    const struct operand *item = parse_operand(context, node, scope);
    if (!item)
        return NULL;
    if (item->kind != OPERAND_CONSTANT)
        return parse_refuse(context, "anything but constants in an IN list");
    bool is_typed = item->type && item->type->kind != type->kind;
    if (type->kind == VALUE_CHAR && (is_typed || (is_array && !item->is_null && constant_is_bare(item))))
        return parse_refuse(context, "a list that a character column is compared with as text");
    if (!(item = constant_coerce(context, item, type)))
        return NULL;
    return check_types_match(context, type, item->type) ? item : NULL;
}

static struct condition *parse_in_list(struct parse_context *context, const struct operand *left,
                                       Node **items, size_t count, enum condition_kind kind,
                                       bool is_array, const struct scope *scope)
{
    if (left->kind == OPERAND_CONSTANT)
        return parse_refuse(context, "a constant on the left of a list");
    if (!check_comparable(context, left, COMPARE_EQ) || !check_deterministic(context, left, NULL))
        return NULL;
    struct condition *condition = new_condition(context, kind);
    condition->left = left;
    condition->list = arena_calloc(context->arena, count + 1, sizeof *condition->list);
    for (size_t i = 0; i < count; i++) {
        const struct operand *item = parse_list_item(context, items[i], left, is_array, scope);
        if (!item)
            return NULL;
        if (item->is_null)
            condition->list_has_null = true;
        else
            condition->list[condition->list_count++] = item;
    }
    return condition;
}

/* ARRAY[...], perhaps cast to text[], as Postgres prints a list that varchar is compared with. */
static const PgQuery__AArrayExpr *array_of_constants(const Node *node)
{
    if (node->node_case == PG_QUERY__NODE__NODE_TYPE_CAST &&
        type_name_is_text_array(node->type_cast->type_name))
        node = node->type_cast->arg;
    return node->node_case == PG_QUERY__NODE__NODE_A_ARRAY_EXPR ? node->a_array_expr : NULL;
}

/* `x = ANY (ARRAY['a', 'b'])`, `x = ANY (column)`; negated, `x <> ALL (...)` of the same. */
static struct condition *parse_any(struct parse_context *context,
                                   const PgQuery__AExpr *expression, const struct scope *scope,
                                   bool is_negated)
{
    const struct operand *left = parse_operand(context, expression->lexpr, scope);
    if (!left)
        return NULL;
    const PgQuery__AArrayExpr *list = array_of_constants(expression->rexpr);
    if (list)
        return parse_in_list(context, left, list->elements, list->n_elements,
                             is_negated ? CONDITION_NOT_IN : CONDITION_IN, true, scope);
    if (expression->rexpr->node_case != PG_QUERY__NODE__NODE_COLUMN_REF)
        return parse_refuse(context, is_negated
                                         ? "ALL of anything but an array column or ARRAY[...]"
                                         : "ANY of anything but an array column or ARRAY[...]");
    const struct operand *array = parse_operand(context, expression->rexpr, scope);
    if (!array)
        return NULL;
    if (array->type->kind != VALUE_ARRAY || array->type->is_domain)
        return parse_refuse(context, "ANY of a column that is no array");
    const struct value_type *element = array->type->element;
    if (left->kind == OPERAND_CONSTANT && !(left = constant_coerce(context, left, element)))
        return NULL;
    if (!check_comparable(context, left, COMPARE_EQ) ||
        !check_deterministic(context, left, array) ||
        !check_types_match(context, compared_type(left), element))
        return NULL;
    struct condition *condition =
        new_condition(context, is_negated ? CONDITION_NOT_ANY : CONDITION_ANY);
    condition->left = left;
    condition->right = array;
    return condition;
}

static struct condition *parse_between(struct parse_context *context,
                                       const PgQuery__AExpr *expression,
                                       const struct scope *scope, bool is_negated)
{
    const PgQuery__List *bounds = expression->rexpr->list;
    const struct operand *value = parse_operand(context, expression->lexpr, scope);
    const struct operand *low = value ? parse_operand(context, bounds->items[0], scope) : NULL;
    const struct operand *high = low ? parse_operand(context, bounds->items[1], scope) : NULL;
    struct condition *above = high ? compare(context, COMPARE_GE, value, low) : NULL;
    struct condition *below = above ? compare(context, COMPARE_LE, value, high) : NULL;
    if (!below)
        return NULL;
    struct condition *both = new_condition(context, CONDITION_AND);
    add_child(context, both, above);
    add_child(context, both, below);
    if (!is_negated)
        return both;
    struct condition *negated = new_condition(context, CONDITION_NOT);
    add_child(context, negated, both);
    return negated;
}

static struct condition *null_test(struct parse_context *context, enum condition_kind kind,
                                   const struct operand *operand)
{
    struct condition *condition = new_condition(context, kind);
    condition->left = operand;
    return condition;
}

/* Equal, or both NULL; with an answer in any case, which a NOT in front of it turns around. */
static struct condition *parse_distinct(struct parse_context *context,
                                        const PgQuery__AExpr *expression,
                                        const struct scope *scope, bool is_distinct)
{
    const struct operand *left = parse_operand(context, expression->lexpr, scope);
    const struct operand *right =
        left ? parse_operand(context, expression->rexpr, scope) : NULL;
    struct condition *equal = right ? compare(context, COMPARE_EQ, left, right) : NULL;
    if (!equal)
        return NULL;
    struct condition *both_null = new_condition(context, CONDITION_AND);
    struct condition *same = new_condition(context, CONDITION_OR);
    add_child(context, both_null, null_test(context, CONDITION_IS_NULL, equal->left));
    add_child(context, both_null, null_test(context, CONDITION_IS_NULL, equal->right));
    add_child(context, same, equal);
    add_child(context, same, both_null);
    struct condition *is_same = condition_is_true(context, same);
    if (!is_distinct)
        return is_same;
    struct condition *differs = new_condition(context, CONDITION_NOT);
    add_child(context, differs, is_same);
    return differs;
}

struct condition *parse_expression(struct parse_context *context,
                                   const PgQuery__AExpr *expression, const struct scope *scope)
{
    const char *name = expression->n_name ? expression->name[0]->string->sval : "";
    enum compare_op op;
    switch (expression->kind) {
    case PG_QUERY__A__EXPR__KIND__AEXPR_OP: {
        if (!parse_compare_op(name, &op)) {
            err_set(context->err, "the operator %s is not supported in an audience", name);
            return NULL;
        }
        const struct operand *left = parse_operand(context, expression->lexpr, scope);
        const struct operand *right =
            left ? parse_operand(context, expression->rexpr, scope) : NULL;
        return right ? compare(context, op, left, right) : NULL;
    }
    case PG_QUERY__A__EXPR__KIND__AEXPR_IN: {
        const struct operand *left = parse_operand(context, expression->lexpr, scope);
        const PgQuery__List *list = expression->rexpr->list;
        enum condition_kind kind = strcmp(name, "<>") == 0 ? CONDITION_NOT_IN : CONDITION_IN;
        return left ? parse_in_list(context, left, list->items, list->n_items, kind, false, scope)
                    : NULL;
    }
    case PG_QUERY__A__EXPR__KIND__AEXPR_OP_ANY:
        if (strcmp(name, "=") != 0)
            return parse_refuse(context, "ANY with an operator other than =");
        return parse_any(context, expression, scope, false);
    case PG_QUERY__A__EXPR__KIND__AEXPR_OP_ALL:
        if (strcmp(name, "<>") != 0)
            return parse_refuse(context, "ALL with an operator other than <>");
        return parse_any(context, expression, scope, true);
    case PG_QUERY__A__EXPR__KIND__AEXPR_BETWEEN:
        return parse_between(context, expression, scope, false);
    case PG_QUERY__A__EXPR__KIND__AEXPR_NOT_BETWEEN:
        return parse_between(context, expression, scope, true);
    case PG_QUERY__A__EXPR__KIND__AEXPR_LIKE:
    case PG_QUERY__A__EXPR__KIND__AEXPR_ILIKE:
        return parse_refuse(context, "LIKE");
    case PG_QUERY__A__EXPR__KIND__AEXPR_DISTINCT:
        return parse_distinct(context, expression, scope, true);
    case PG_QUERY__A__EXPR__KIND__AEXPR_NOT_DISTINCT:
        return parse_distinct(context, expression, scope, false);
    default:
        return parse_refuse(context, "this operator");
    }
}

