/* Lists: x IN (1, 2), x = ANY (ARRAY[...]), x = ANY ('{a,b}'), x = ANY (column). */
#include "parse_internal.h"

#include "weir/replica/value.h"

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

/* The constants of the list as one condition, the others as a comparison each: `left = one of
 * them`. */
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

struct condition *parse_in_list(struct parse_context *context, const PgQuery__AExpr *expression,
                                const struct scope *scope)
{
    const struct operand *left = parse_compared(context, expression->lexpr, scope);
    const PgQuery__List *items = expression->rexpr->list;
    bool is_negated = strcmp(expression->name[0]->string->sval, "<>") == 0;
    struct list list = {0};
    return left && parse_items(context, items->items, items->n_items, scope, &list)
               ? in_list(context, left, &list, is_negated)
               : NULL;
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
    return constant_elements(context, slice_from_str(node->a_const->sval->sval), type, &list->items,
                             &list->count);
}

struct condition *parse_any(struct parse_context *context, const PgQuery__AExpr *expression,
                            const struct scope *scope, bool is_negated)
{
    const struct operand *left = parse_compared(context, expression->lexpr, scope);
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
