/* Several values compared at once, `(a, b) = (c, d)`; and IN (SELECT ...), of one value
 * or several. */
#include "parse_internal.h"

#include "weir/replica/value.h"

bool is_row(const Node *node)
{
    return node && node->node_case == PG_QUERY__NODE__NODE_ROW_EXPR;
}

/* Equal in all values, as = says it of rows; different in one, as <> does. */
static struct condition *compare_each(struct parse_context *context, enum compare_op op,
                                      const PgQuery__RowExpr *left, const Node *right_node,
                                      const struct scope *scope)
{
    const PgQuery__RowExpr *right = is_row(right_node) ? right_node->row_expr : NULL;
    if (!right || right->n_args != left->n_args)
        return parse_refuse(context, "a comparison of a row with anything but a row");
    struct condition *all = new_condition(context, op == COMPARE_EQ ? CONDITION_AND : CONDITION_OR);
    for (size_t i = 0; i < left->n_args; i++) {
        const struct operand *a = parse_compared(context, left->args[i], scope);
        const struct operand *b = a ? parse_compared(context, right->args[i], scope) : NULL;
        struct condition *one = b ? compare_any(context, op, a, b) : NULL;
        if (!one)
            return NULL;
        add_child(context, all, one);
    }
    return all;
}

struct condition *compare_rows(struct parse_context *context, const PgQuery__AExpr *expression,
                               const struct scope *scope, enum compare_op op)
{
    if (op != COMPARE_EQ && op != COMPARE_NE)
        return parse_refuse(context, "< or > on rows");
    if (!is_row(expression->lexpr))
        return parse_refuse(context, "a comparison of a row with anything but a row");
    return compare_each(context, op, expression->lexpr->row_expr, expression->rexpr, scope);
}

struct condition *row_in_list(struct parse_context *context, const PgQuery__AExpr *expression,
                              const struct scope *scope)
{
    const PgQuery__List *items = expression->rexpr->list;
    struct condition *any = new_condition(context, CONDITION_OR);
    for (size_t i = 0; i < items->n_items; i++) {
        struct condition *one =
            compare_each(context, COMPARE_EQ, expression->lexpr->row_expr, items->items[i], scope);
        if (!one)
            return NULL;
        add_child(context, any, one);
    }
    bool is_negated = strcmp(expression->name[0]->string->sval, "<>") == 0;
    return is_negated ? negated(context, any) : any;
}

/* IN (SELECT ...) */

/* Whether the two compare is found out here; the comparison itself is made when it is known whether
 * IN stands under a NOT. Constants become those of the other side's type; a bare string is text in
 * a SELECT, not of the left side's type. */
static bool check_in_value(struct parse_context *context, bool is_in_union,
                           const struct operand **left, const struct operand **value)
{
    if ((*left)->kind == OPERAND_CONSTANT) {
        /* Of a UNION, its branches settle the type together. */
        if (is_in_union || (*left)->is_null) {
            parse_refuse(context, "a constant on the left of IN");
            return false;
        }
        const struct condition *equal = compare(context, COMPARE_EQ, *left, *value);
        if (equal)
            *left = equal->left;
        return equal != NULL;
    }
    if ((*value)->kind == OPERAND_CONSTANT) {
        bool is_text =
            constant_is_bare(*value) && !(*value)->is_null && (*value)->literal == LITERAL_STRING;
        if (is_text)
            *value = constant_as_text(context, *value);
        if (is_text && is_in_union && compared_type(*left)->kind != VALUE_TEXT) {
            parse_refuse(context, "a string in a UNION under IN");
            return false;
        }
        *value = constant_coerce(context, *value, compared_type(*left));
        if (!*value)
            return false;
    }
    return compare(context, COMPARE_EQ, *left, *value) != NULL;
}

static bool parse_left(struct parse_context *context, const Node *node, const struct scope *scope,
                       struct condition *in)
{
    size_t count = is_row(node) ? node->row_expr->n_args : 1;
    in->list = arena_calloc(context->arena, count + 1, sizeof *in->list);
    for (; in->list_count < count; in->list_count++) {
        const Node *item = is_row(node) ? node->row_expr->args[in->list_count] : node;
        if (!(in->list[in->list_count] = parse_operand(context, item, scope)))
            return false;
    }
    return true;
}

static bool check_in_select(struct parse_context *context, const struct condition *in,
                            struct select *select)
{
    bool is_in_union = in->query->select_count > 1;
    if (!select->row) {
        select->row = arena_alloc(context->arena, sizeof *select->row);
        select->row[0] = select->value;
    }
    for (size_t i = 0; i < in->list_count; i++) {
        if (!check_in_value(context, is_in_union, &in->list[i], &select->row[i]))
            return false;
    }
    return true;
}

struct condition *parse_in_query(struct parse_context *context, const PgQuery__SubLink *link,
                                 const struct scope *scope)
{
    bool is_all = link->sub_link_type == PG_QUERY__SUB_LINK_TYPE__ALL_SUBLINK;
    if (link->sub_link_type != PG_QUERY__SUB_LINK_TYPE__ANY_SUBLINK && !is_all)
        return parse_refuse(context, "a subquery other than EXISTS and IN");
    /* With its schema it may be any operator, whatever it is called. */
    const char *operator= "=";
    if (link->n_oper_name)
        operator= link->n_oper_name == 1 ? link->oper_name[0]->string->sval : "";
    if (strcmp(operator, is_all ? "<>" : "=") != 0)
        return parse_refuse(context, is_all ? "ALL (subquery) with an operator other than <>"
                                            : "ANY (subquery) with an operator other than =");
    struct condition *in = new_condition(context, CONDITION_IN_QUERY);
    if (!parse_left(context, link->testexpr, scope, in))
        return NULL;
    if (is_all && in->list_count > 1)
        return parse_refuse(context, "<> ALL (subquery) of a row");
    in->query = parse_query(context, link->subselect->select_stmt, scope, in->list_count);
    for (size_t i = 0; in->query && i < in->query->select_count; i++) {
        if (!check_in_select(context, in, in->query->selects[i]))
            return NULL;
    }
    if (!in->query)
        return NULL;
    return is_all ? negated(context, in) : in;
}
