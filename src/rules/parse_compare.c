/* Comparisons: = and its like, BETWEEN, IS DISTINCT FROM, LIKE. */
#include "parse_internal.h"

#include "weir/replica/value.h"

const struct operand *parse_compared(struct parse_context *context, const Node *node,
                                     const struct scope *scope)
{
    bool is_json =
        node && node->node_case == PG_QUERY__NODE__NODE_A_EXPR && is_operator(node->a_expr, "->>");
    return is_json ? parse_json(context, node, scope, true)
                   : parse_operand_or_coalesce(context, node, scope);
}

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

bool check_types_match(struct parse_context *context, const struct value_type *a,
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

bool check_own_operators(struct parse_context *context, const struct operand *left,
                         const struct operand *right)
{
    bool is_of_enum = compared_type(left)->kind == VALUE_ENUM;
    return check_own_meaning(context, is_of_enum ? USE_IN_COMPARISON_OF_ENUM : USE_IN_COMPARISON,
                             left, right);
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
        !check_types_match(context, compared_type(left), compared_type(right)) ||
        !check_own_operators(context, left, right) ||
        !check_json_spelling(context, op, left, right))
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

bool parse_compare_op(const char *name, enum compare_op *op)
{
    static const struct {
        const char *name;
        enum compare_op op;
    } ops[] = {{"=", COMPARE_EQ},  {"<>", COMPARE_NE}, {"!=", COMPARE_NE}, {"<", COMPARE_LT},
               {"<=", COMPARE_LE}, {">", COMPARE_GT},  {">=", COMPARE_GE}};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        if (strcmp(name, ops[i].name) == 0) {
            *op = ops[i].op;
            return true;
        }
    }
    return false;
}

/* Either side of a comparison may be a COALESCE. */
struct sides {
    enum compare_op op;
    const struct operand *other;
    bool is_right; /* the part stands on the right */
};

static struct condition *compare_part(struct parse_context *context, const struct operand *part,
                                      void *argument)
{
    const struct sides *sides = argument;
    return sides->is_right ? compare_parts(context, sides->op, sides->other, part, true)
                           : compare_parts(context, sides->op, part, sides->other, true);
}

struct condition *compare_parts(struct parse_context *context, enum compare_op op,
                                const struct operand *left, const struct operand *right,
                                bool in_coalesce)
{
    if (left->kind == OPERAND_COALESCE)
        return coalesce_distribute(context, left, compare_part, &(struct sides){op, right, false});
    if (right->kind == OPERAND_COALESCE)
        return coalesce_distribute(context, right, compare_part, &(struct sides){op, left, true});
    if (in_coalesce && left->kind == OPERAND_CONSTANT && right->kind == OPERAND_CONSTANT)
        return compare_constants(context, op, left, right);
    return compare(context, op, left, right);
}

struct condition *compare_any(struct parse_context *context, enum compare_op op,
                              const struct operand *left, const struct operand *right)
{
    return compare_parts(context, op, left, right, false);
}

static struct condition *parse_between(struct parse_context *context,
                                       const PgQuery__AExpr *expression, const struct scope *scope,
                                       bool is_negated)
{
    const PgQuery__List *bounds = expression->rexpr->list;
    const struct operand *value = parse_compared(context, expression->lexpr, scope);
    const struct operand *low = value ? parse_compared(context, bounds->items[0], scope) : NULL;
    const struct operand *high = low ? parse_compared(context, bounds->items[1], scope) : NULL;
    struct condition *above = high ? compare_any(context, COMPARE_GE, value, low) : NULL;
    struct condition *below = above ? compare_any(context, COMPARE_LE, value, high) : NULL;
    if (!below)
        return NULL;
    struct condition *both = new_condition(context, CONDITION_AND);
    add_child(context, both, above);
    add_child(context, both, below);
    return is_negated ? negated(context, both) : both;
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
                                        const PgQuery__AExpr *expression, const struct scope *scope,
                                        bool is_distinct)
{
    const struct operand *left = parse_operand(context, expression->lexpr, scope);
    const struct operand *right = left ? parse_operand(context, expression->rexpr, scope) : NULL;
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
    return is_distinct ? negated(context, is_same) : is_same;
}

/* The pattern is matched by characters, whatever the collation, if that is deterministic. */
static struct condition *parse_like(struct parse_context *context, const PgQuery__AExpr *expression,
                                    const struct scope *scope, bool is_negated)
{
    const struct operand *left = parse_operand(context, expression->lexpr, scope);
    const struct operand *pattern = left ? parse_operand(context, expression->rexpr, scope) : NULL;
    if (!pattern)
        return NULL;
    bool is_text = pattern->kind == OPERAND_CONSTANT && !pattern->is_null &&
                   pattern->literal == LITERAL_STRING &&
                   (constant_is_bare(pattern) || pattern->type->kind == VALUE_TEXT);
    if (!is_text || pattern->named_cast)
        return parse_refuse(context, "LIKE with anything but a constant pattern");
    if (left->kind == OPERAND_CONSTANT || compared_type(left)->kind != VALUE_TEXT)
        return parse_refuse(context, "LIKE of anything but text");
    size_t backslashes = 0;
    while (backslashes < pattern->text.len &&
           pattern->text.data[pattern->text.len - 1 - backslashes] == '\\')
        backslashes++;
    if (backslashes % 2)
        return parse_refuse(context, "a LIKE pattern that ends in a single backslash");
    if (!check_deterministic(context, left, NULL) ||
        !check_own_meaning(context, USE_IN_LIKE, left, NULL))
        return NULL;
    struct condition *like =
        new_condition(context, is_negated ? CONDITION_NOT_LIKE : CONDITION_LIKE);
    like->left = left;
    like->right = constant_as_text(context, pattern);
    return like;
}

struct condition *parse_expression(struct parse_context *context, const PgQuery__AExpr *expression,
                                   const struct scope *scope)
{
    const char *name = expression->n_name == 1 ? expression->name[0]->string->sval : "";
    enum compare_op op;
    switch (expression->kind) {
    case PG_QUERY__A__EXPR__KIND__AEXPR_OP: {
        /* As Postgres prints LIKE and NOT LIKE in a row filter. */
        if (strcmp(name, "~~") == 0 || strcmp(name, "!~~") == 0)
            return parse_like(context, expression, scope, name[0] == '!');
        if (!parse_compare_op(name, &op))
            return parse_refuse_operator(context, written_operator(context, expression), "");
        if (is_row(expression->lexpr) || is_row(expression->rexpr))
            return compare_rows(context, expression, scope, op);
        const struct operand *left = parse_compared(context, expression->lexpr, scope);
        const struct operand *right =
            left ? parse_compared(context, expression->rexpr, scope) : NULL;
        return right ? compare_any(context, op, left, right) : NULL;
    }
    case PG_QUERY__A__EXPR__KIND__AEXPR_IN:
        return is_row(expression->lexpr) ? row_in_list(context, expression, scope)
                                         : parse_in_list(context, expression, scope);
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
        return parse_like(context, expression, scope, name[0] == '!');
    case PG_QUERY__A__EXPR__KIND__AEXPR_ILIKE:
        return parse_refuse(context, "ILIKE");
    case PG_QUERY__A__EXPR__KIND__AEXPR_DISTINCT:
        return parse_distinct(context, expression, scope, true);
    case PG_QUERY__A__EXPR__KIND__AEXPR_NOT_DISTINCT:
        return parse_distinct(context, expression, scope, false);
    default:
        return parse_refuse(context, name_of_expression(expression));
    }
}
