/* Comparisons: = and its like, IN lists, ANY, BETWEEN, IS DISTINCT FROM. */
#include "parse_internal.h"

#include "weir/replica/value.h"

const struct operand *parse_compared(struct parse_context *context, const Node *node,
                                     const struct scope *scope)
{
    bool is_json = node && node->node_case == PG_QUERY__NODE__NODE_A_EXPR &&
                   is_operator(node->a_expr, "->>");
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

static bool check_own_operators(struct parse_context *context, const struct operand *left,
                                const struct operand *right)
{
    bool is_of_enum = compared_type(left)->kind == VALUE_ENUM;
    return check_own_meaning(
        context, is_of_enum ? USE_IN_COMPARISON_OF_ENUM : USE_IN_COMPARISON, left, right);
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

/* Either side of a comparison may be a COALESCE. */
struct sides {
    enum compare_op op;
    const struct operand *other;
    bool is_right; /* the part stands on the right */
};

static struct condition *compare_parts(struct parse_context *context, enum compare_op op,
                                       const struct operand *left, const struct operand *right,
                                       bool in_coalesce);

static struct condition *compare_part(struct parse_context *context, const struct operand *part,
                                      void *argument)
{
    const struct sides *sides = argument;
    return sides->is_right ? compare_parts(context, sides->op, sides->other, part, true)
                           : compare_parts(context, sides->op, part, sides->other, true);
}

static struct condition *compare_parts(struct parse_context *context, enum compare_op op,
                                       const struct operand *left, const struct operand *right,
                                       bool in_coalesce)
{
    if (left->kind == OPERAND_COALESCE)
        return coalesce_distribute(context, left, compare_part,
                                   &(struct sides){op, right, false});
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

/* Lists */

struct list {
    const struct operand **items;
    size_t count;
    bool is_array; /* ARRAY[...] and not (...) */
};

static bool parse_items(struct parse_context *context, Node **nodes, size_t count,
                        const struct scope *scope, struct list *list)
{
    list->items = arena_calloc(context->arena, count + 1, sizeof *list->items);
    for (size_t i = 0; i < count; i++) {
        const struct operand *item = parse_compared(context, nodes[i], scope);
        if (!item)
            return false;
        list->items[list->count++] = item;
    }
    return true;
}

/* In ARRAY[...] a string is text; in a list it takes the type of the left side. */
static const struct operand *list_constant(struct parse_context *context,
                                           const struct operand *left,
                                           const struct operand *constant, bool is_array)
{
    const struct value_type *type = compared_type(left);
    bool is_typed = constant->type && constant->type->kind != type->kind;
    bool is_text = is_array && !constant->is_null && constant_is_bare(constant);
    if (type->kind == VALUE_CHAR && (is_typed || is_text))
        return parse_refuse(context, "a list that a character column is compared with as text");
    constant = constant_coerce(context, constant, type);
    return constant && check_types_match(context, type, constant->type) &&
                   check_json_spelling(context, COMPARE_EQ, left, constant)
               ? constant
               : NULL;
}

/* The constants of the list as one condition, the others as a comparison each: `left = one of them`. */
static struct condition *is_in_list(struct parse_context *context, const struct operand *left,
                                    const struct list *list)
{
    struct condition *in = new_condition(context, CONDITION_IN);
    struct condition *any = new_condition(context, CONDITION_OR);
    in->left = left;
    in->list = arena_calloc(context->arena, list->count + 1, sizeof *in->list);
    for (size_t i = 0; i < list->count; i++) {
        const struct operand *item = list->items[i];
        if (item->kind == OPERAND_CONSTANT && left->kind != OPERAND_CONSTANT) {
            if (!(item = list_constant(context, left, item, list->is_array)))
                return NULL;
            if (item->is_null)
                in->list_has_null = true;
            else
                in->list[in->list_count++] = item;
            continue;
        }
        if (list->is_array && compared_type(left)->kind == VALUE_CHAR)
            return parse_refuse(context, "a list that a character column is compared with as text");
        struct condition *equal = compare_parts(context, COMPARE_EQ, left, item, true);
        if (!equal)
            return NULL;
        add_child(context, any, equal);
    }
    if (!in->list_count && !in->list_has_null)
        return any;
    if (!any->child_count)
        return in;
    add_child(context, any, in);
    return any;
}

static bool check_in_list(struct parse_context *context, const struct operand *left)
{
    return check_comparable(context, left, COMPARE_EQ) &&
           check_deterministic(context, left, NULL) && check_own_operators(context, left, NULL);
}

static struct condition *part_is_in_list(struct parse_context *context, const struct operand *part,
                                         void *argument)
{
    if (part->kind != OPERAND_CONSTANT && !check_in_list(context, part))
        return NULL;
    return is_in_list(context, part, argument);
}

static struct condition *in_list(struct parse_context *context, const struct operand *left,
                                 const struct list *list, bool is_negated)
{
    if (left->kind == OPERAND_CONSTANT)
        return parse_refuse(context, "a constant on the left of a list");
    struct condition *in =
        left->kind == OPERAND_COALESCE
            ? coalesce_distribute(context, left, part_is_in_list, (void *)(uintptr_t)list)
            : part_is_in_list(context, left, (void *)(uintptr_t)list);
    if (!in || !is_negated)
        return in;
    if (in->kind != CONDITION_IN)
        return negated(context, in);
    in->kind = CONDITION_NOT_IN;
    return in;
}

static const PgQuery__AArrayExpr *array_of_items(const Node *node)
{
    if (node->node_case == PG_QUERY__NODE__NODE_TYPE_CAST)
        node = node->type_cast->arg;
    return node->node_case == PG_QUERY__NODE__NODE_A_ARRAY_EXPR ? node->a_array_expr : NULL;
}

/* ARRAY[...]::type[] is an array of constants that are cast to the type each. Cast to text[], as
 * Postgres prints a list that varchar is compared with, it may hold columns as well. */
static bool parse_array_items(struct parse_context *context, const Node *node,
                              const struct scope *scope, struct list *list)
{
    const PgQuery__AArrayExpr *array = array_of_items(node);
    bool is_cast = node->node_case == PG_QUERY__NODE__NODE_TYPE_CAST &&
                   !type_name_is_text_array(node->type_cast->type_name);
    if (!parse_items(context, array->elements, array->n_elements, scope, list))
        return false;
    if (!is_cast)
        return true;
    PgQuery__TypeName element = *node->type_cast->type_name;
    if (element.n_array_bounds != 1) {
        parse_refuse(context, "a cast of ARRAY[...] to anything but a type[]");
        return false;
    }
    element.n_array_bounds = 0;
    list->is_array = false;
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i]->kind != OPERAND_CONSTANT) {
            parse_refuse(context, "a cast of ARRAY[...] with columns in it");
            return false;
        }
        list->items[i] = parse_constant_cast(context, list->items[i], &element);
        if (!list->items[i])
            return false;
    }
    return true;
}

/* `'{a,b}'`, or `'{a,b}'::text[]`. */
static bool is_array_literal(const Node *node)
{
    if (node->node_case == PG_QUERY__NODE__NODE_TYPE_CAST)
        node = node->type_cast->arg;
    return node->node_case == PG_QUERY__NODE__NODE_A_CONST && !node->a_const->isnull &&
           node->a_const->val_case == PG_QUERY__A__CONST__VAL_SVAL;
}

/* Without a cast it is an array of the left side's type. */
static bool parse_literal_list(struct parse_context *context, const Node *node,
                               const struct operand *left, struct list *list)
{
    const struct value_type *type = left->kind == OPERAND_CONSTANT ? NULL : compared_type(left);
    if (node->node_case == PG_QUERY__NODE__NODE_TYPE_CAST) {
        const PgQuery__TypeName *cast = node->type_cast->type_name;
        const struct value_type *builtin = array_type_element(cast);
        /* Cast to a type of the application's that an enum compares with, it is that enum's. */
        bool is_enum = type && type->kind == VALUE_ENUM && !type_name_is_builtin(cast) &&
                       cast->n_array_bounds == 1;
        if (!is_enum)
            type = builtin;
        node = node->type_cast->arg;
    }
    if (!type || !value_is_comparable(type)) {
        parse_refuse(context, "an array literal of this type");
        return false;
    }
    return constant_elements(context, slice_from_str(node->a_const->sval->sval), type,
                             &list->items, &list->count);
}

/* `x = ANY (ARRAY['a', 'b'])`, `x = ANY (column)`; negated, `x <> ALL (...)` of the same. */
static struct condition *parse_any(struct parse_context *context,
                                   const PgQuery__AExpr *expression, const struct scope *scope,
                                   bool is_negated)
{
    const struct operand *left =
        parse_compared(context, expression->lexpr, scope);
    if (!left)
        return NULL;
    struct list list = {.is_array = true};
    if (array_of_items(expression->rexpr))
        return parse_array_items(context, expression->rexpr, scope, &list)
                   ? in_list(context, left, &list, is_negated)
                   : NULL;
    if (left->kind == OPERAND_COALESCE)
        return parse_refuse(context, "COALESCE with ANY or ALL of a column");
    if (is_array_literal(expression->rexpr))
        return parse_literal_list(context, expression->rexpr, left, &list)
                   ? in_list(context, left, &list, is_negated)
                   : NULL;
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
        !check_types_match(context, compared_type(left), element) ||
        !check_own_operators(context, left, NULL) ||
        !check_json_spelling(context, COMPARE_EQ, left, array))
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
    const struct operand *value =
        parse_compared(context, expression->lexpr, scope);
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
    return is_distinct ? negated(context, is_same) : is_same;
}

/* The pattern is matched by characters, whatever the collation, if that is deterministic. */
static struct condition *parse_like(struct parse_context *context,
                                    const PgQuery__AExpr *expression, const struct scope *scope,
                                    bool is_negated)
{
    const struct operand *left = parse_operand(context, expression->lexpr, scope);
    const struct operand *pattern =
        left ? parse_operand(context, expression->rexpr, scope) : NULL;
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

struct condition *parse_expression(struct parse_context *context,
                                   const PgQuery__AExpr *expression, const struct scope *scope)
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
        const struct operand *left =
            parse_compared(context, expression->lexpr, scope);
        const struct operand *right =
            left ? parse_compared(context, expression->rexpr, scope) : NULL;
        return right ? compare_any(context, op, left, right) : NULL;
    }
    case PG_QUERY__A__EXPR__KIND__AEXPR_IN: {
        if (is_row(expression->lexpr))
            return row_in_list(context, expression, scope);
        const struct operand *left =
            parse_compared(context, expression->lexpr, scope);
        const PgQuery__List *items = expression->rexpr->list;
        struct list list = {0};
        return left && parse_items(context, items->items, items->n_items, scope, &list)
                   ? in_list(context, left, &list, strcmp(name, "<>") == 0)
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
        return parse_like(context, expression, scope, name[0] == '!');
    case PG_QUERY__A__EXPR__KIND__AEXPR_ILIKE:
        return parse_refuse(context, "ILIKE");
    case PG_QUERY__A__EXPR__KIND__AEXPR_DISTINCT:
        return parse_distinct(context, expression, scope, true);
    case PG_QUERY__A__EXPR__KIND__AEXPR_NOT_DISTINCT:
        return parse_distinct(context, expression, scope, false);
    default:
        return parse_refuse(context, "this operator");
    }
}

