/* SQL to query: names resolved as Postgres resolves them, everything outside the subset refused by
 * name. Postgres has planned the same text when the rule was written, so that types agree and names
 * are unambiguous; what is checked here is whether Weir can follow it. */
#include "query.h"

#include "parse_tree.h"

#include "weir/base/check.h"
#include "weir/replica/value.h"

#include <stdio.h>
#include <stdlib.h>

const struct value_type text_type = {
    .oid = 25, .base_oid = 25, .kind = VALUE_TEXT, .delimiter = ',', .name = "text"};

static const struct value_type bool_type = {
    .oid = 16, .base_oid = 16, .kind = VALUE_BOOL, .delimiter = ',', .name = "boolean"};

/* The sources that a name may mean, innermost SELECT first. */
struct scope {
    struct source **sources;
    size_t source_count;
    const struct scope *outer;
};

typedef PgQuery__Node Node;
typedef PgQuery__SelectStmt SelectStmt;

static struct query *parse_query(struct parse_context *context, const SelectStmt *select,
                                 const struct scope *outer, bool needs_value);
static struct condition *parse_condition(struct parse_context *context, const Node *node,
                                         const struct scope *scope);

static void *refuse(struct parse_context *context, const char *construct)
{
    err_set(context->err, "%s is not supported in an audience", construct);
    err_hint(context->err, "see docs/rules.md for what an audience may hold");
    return NULL;
}

static struct condition *new_condition(struct parse_context *context, enum condition_kind kind)
{
    struct condition *condition = arena_calloc(context->arena, 1, sizeof *condition);
    condition->kind = kind;
    return condition;
}

static struct slice copy_str(struct parse_context *context, const char *str)
{
    return arena_copy(context->arena, slice_from_str(str));
}

/* Sources */

static const struct relation *find_relation(struct parse_context *context, const char *schema,
                                            const char *name)
{
    const struct relation *relation = NULL;
    if (schema && *schema)
        relation = relation_set_find(context->relations, slice_from_str(schema),
                                     slice_from_str(name));
    if (!schema || !*schema) {
        /* The search path that sql/ pins for the validating trigger: the target's schema, public. */
        relation = relation_set_find(context->relations, context->target->schema,
                                     slice_from_str(name));
        if (!relation)
            relation = relation_set_find(context->relations, SLICE("public"),
                                         slice_from_str(name));
    }
    if (!relation) {
        err_set(context->err, "table %s%s%s is not in the publication, so it cannot be followed",
                schema ? schema : "", schema && *schema ? "." : "", name);
        err_hint(context->err, "ALTER PUBLICATION ... ADD TABLE %s%s%s",
                 schema ? schema : "", schema && *schema ? "." : "", name);
    }
    return relation;
}

static struct source *add_source(struct parse_context *context, struct scope *scope,
                                 const struct relation *relation, const char *alias)
{
    if (context->slot_count == SLOTS_MAX)
        return refuse(context, "more than 31 tables");
    struct source *source = arena_calloc(context->arena, 1, sizeof *source);
    source->relation = relation;
    source->alias = alias ? copy_str(context, alias) : relation->name;
    source->schema = alias ? SLICE_NONE : relation->schema;
    source->slot = context->slot_count++;
    scope->sources[scope->source_count++] = source;
    return source;
}

static bool parse_from_item(struct parse_context *context, const Node *node, struct scope *scope,
                            struct condition *conditions);

static void add_child(struct parse_context *context, struct condition *parent,
                      struct condition *child)
{
    struct condition **children =
        arena_alloc(context->arena, (parent->child_count + 1) * sizeof *children);
    if (parent->child_count)
        memcpy(children, parent->children, parent->child_count * sizeof *children);
    children[parent->child_count++] = child;
    parent->children = children;
}

static struct operand *column_operand(struct parse_context *context, const struct source *source,
                                      int column)
{
    struct operand *operand = arena_calloc(context->arena, 1, sizeof *operand);
    operand->kind = OPERAND_COLUMN;
    operand->source = source;
    operand->column = (uint16_t)column;
    operand->type = source->relation->columns[column].type;
    return operand;
}

static struct condition *compare(struct parse_context *context, enum compare_op op,
                                 const struct operand *left, const struct operand *right);

/* The column of the sources [from, to), for USING; the last one that has it. */
static const struct operand *find_joined_column(struct parse_context *context,
                                                const struct scope *scope, size_t from, size_t to,
                                                const char *name)
{
    for (size_t i = from; i < to; i++) {
        int column = relation_find_column(scope->sources[i]->relation, slice_from_str(name));
        if (column >= 0)
            return column_operand(context, scope->sources[i], column);
    }
    err_set(context->err, "column %s in USING is not published", name);
    return NULL;
}

static bool parse_using(struct parse_context *context, const PgQuery__JoinExpr *join,
                        const struct scope *scope, size_t from, size_t middle,
                        struct condition *conditions)
{
    for (size_t i = 0; i < join->n_using_clause; i++) {
        const char *name = join->using_clause[i]->string->sval;
        const struct operand *left = find_joined_column(context, scope, from, middle, name);
        const struct operand *right =
            find_joined_column(context, scope, middle, scope->source_count, name);
        struct condition *equal = left && right ? compare(context, COMPARE_EQ, left, right) : NULL;
        if (!equal)
            return false;
        add_child(context, conditions, equal);
    }
    return true;
}

static bool parse_join(struct parse_context *context, const PgQuery__JoinExpr *join,
                       struct scope *scope, struct condition *conditions)
{
    if (join->jointype != PG_QUERY__JOIN_TYPE__JOIN_INNER)
        return refuse(context, "an outer join");
    if (join->is_natural)
        return refuse(context, "NATURAL JOIN");
    if (join->alias || join->join_using_alias)
        return refuse(context, "an alias for a join");
    size_t from = scope->source_count;
    if (!parse_from_item(context, join->larg, scope, conditions))
        return false;
    size_t middle = scope->source_count;
    if (!parse_from_item(context, join->rarg, scope, conditions) ||
        !parse_using(context, join, scope, from, middle, conditions))
        return false;
    if (join->quals) {
        struct condition *on = parse_condition(context, join->quals, scope);
        if (!on)
            return false;
        add_child(context, conditions, on);
    }
    return true;
}

static bool parse_from_item(struct parse_context *context, const Node *node, struct scope *scope,
                            struct condition *conditions)
{
    if (node->node_case == PG_QUERY__NODE__NODE_JOIN_EXPR)
        return parse_join(context, node->join_expr, scope, conditions);
    if (node->node_case != PG_QUERY__NODE__NODE_RANGE_VAR)
        return refuse(context, node->node_case == PG_QUERY__NODE__NODE_RANGE_SUBSELECT
                                   ? "a subquery in FROM"
                                   : "anything but tables and joins in FROM");
    const PgQuery__RangeVar *table = node->range_var;
    if (table->alias && table->alias->n_colnames)
        return refuse(context, "an alias with column names");
    if (!table->inh)
        return refuse(context, "ONLY");
    if (scope->source_count == SLOTS_MAX)
        return refuse(context, "more than 31 tables");
    const struct relation *relation =
        find_relation(context, table->schemaname, table->relname);
    return relation && add_source(context, scope, relation,
                                  table->alias ? table->alias->aliasname : NULL) != NULL;
}

/* Operands */

static const struct operand *column_in_scope(struct parse_context *context,
                                             const struct scope *scope, const char *schema,
                                             const char *table, const char *column)
{
    for (; scope; scope = scope->outer) {
        for (size_t i = 0; i < scope->source_count; i++) {
            const struct source *source = scope->sources[i];
            if (table && !slice_eq_str(source->alias, table))
                continue;
            if (schema && !slice_eq_str(source->schema, schema))
                continue;
            int index = relation_find_column(source->relation, slice_from_str(column));
            if (index >= 0)
                return column_operand(context, source, index);
            if (table) {
                err_set(context->err, "column %s.%s is not published", table, column);
                err_hint(context->err, "include it in the publication's column list");
                return NULL;
            }
        }
    }
    err_set(context->err, "column %s%s%s is not known", table ? table : "", table ? "." : "",
            column);
    return NULL;
}

static const struct operand *parse_column(struct parse_context *context,
                                          const PgQuery__ColumnRef *reference,
                                          const struct scope *scope)
{
    const char *names[3] = {NULL, NULL, NULL};
    if (reference->n_fields > 3)
        return refuse(context, "a column with a database name");
    for (size_t i = 0; i < reference->n_fields; i++) {
        if (reference->fields[i]->node_case != PG_QUERY__NODE__NODE_STRING)
            return refuse(context, "*");
        names[i] = reference->fields[i]->string->sval;
    }
    switch (reference->n_fields) {
    case 1:
        return column_in_scope(context, scope, NULL, NULL, names[0]);
    case 2:
        return column_in_scope(context, scope, NULL, names[0], names[1]);
    default:
        return column_in_scope(context, scope, names[0], names[1], names[2]);
    }
}

static const struct operand *parse_constant(struct parse_context *context,
                                            const PgQuery__AConst *constant)
{
    struct operand *operand = arena_calloc(context->arena, 1, sizeof *operand);
    operand->kind = OPERAND_CONSTANT;
    if (constant->isnull) {
        operand->is_null = true;
        return operand;
    }
    switch (constant->val_case) {
    case PG_QUERY__A__CONST__VAL_IVAL:
        operand->literal = LITERAL_NUMBER;
        operand->text = slice_from_str(arena_printf(context->arena, "%d", constant->ival->ival));
        return operand;
    case PG_QUERY__A__CONST__VAL_FVAL:
        operand->literal = LITERAL_NUMBER;
        operand->text = copy_str(context, constant->fval->fval);
        return operand;
    case PG_QUERY__A__CONST__VAL_BOOLVAL:
        operand->literal = LITERAL_BOOL;
        operand->text = constant->boolval->boolval ? SLICE("true") : SLICE("false");
        return operand;
    case PG_QUERY__A__CONST__VAL_SVAL:
        operand->literal = LITERAL_STRING;
        operand->text = copy_str(context, constant->sval->sval);
        return operand;
    default:
        return refuse(context, "a bit string constant");
    }
}

static bool type_name_is_text(const PgQuery__TypeName *type)
{
    if (type->n_names == 0 || type->n_array_bounds || type->n_typmods)
        return false;
    const Node *last = type->names[type->n_names - 1];
    return strcmp(last->string->sval, "text") == 0;
}

static const struct operand *parse_operand(struct parse_context *context, const Node *node,
                                           const struct scope *scope);

/* A cast of a constant says what Postgres would take it for anyway where it is compared, so only
 * the value matters; a cast of a column changes what is compared, and only text is supported. */
static const struct operand *parse_cast(struct parse_context *context,
                                        const PgQuery__TypeCast *cast, const struct scope *scope)
{
    const struct operand *inner = parse_operand(context, cast->arg, scope);
    if (!inner)
        return NULL;
    if (inner->kind == OPERAND_CONSTANT) {
        if (inner->literal == LITERAL_STRING || inner->is_null || type_name_is_text(cast->type_name))
            return inner;
        return refuse(context, "a cast of a number or truth value to another type");
    }
    if (!type_name_is_text(cast->type_name))
        return refuse(context, "a cast of a column to another type than text");
    if (inner->kind == OPERAND_CONCAT)
        return inner;
    if (!value_is_comparable(inner->type) || inner->type->kind == VALUE_FLOAT) {
        err_set(context->err, "a cast of %s to text is not supported in an audience",
                inner->type->name);
        return NULL;
    }
    struct operand *copy = arena_alloc(context->arena, sizeof *copy);
    *copy = *inner;
    copy->is_text_cast = true;
    return copy;
}

static void collect_parts(struct parse_context *context, struct operand *concat,
                          const struct operand *part)
{
    const struct operand **parts =
        arena_alloc(context->arena, (concat->part_count + 1) * sizeof *parts);
    if (concat->part_count)
        memcpy(parts, concat->parts, concat->part_count * sizeof *parts);
    parts[concat->part_count++] = part;
    concat->parts = parts;
}

static bool is_text_like(const struct operand *operand)
{
    return operand->kind == OPERAND_CONCAT ||
           (operand->kind == OPERAND_COLUMN &&
            (operand->is_text_cast || operand->type->kind == VALUE_TEXT)) ||
           (operand->kind == OPERAND_CONSTANT && operand->literal == LITERAL_STRING);
}

static const struct operand *parse_concat(struct parse_context *context,
                                          const PgQuery__AExpr *expression,
                                          const struct scope *scope)
{
    const struct operand *left = parse_operand(context, expression->lexpr, scope);
    const struct operand *right = left ? parse_operand(context, expression->rexpr, scope) : NULL;
    if (!left || !right)
        return NULL;
    /* Postgres takes anynonarray || text as well, by the other's output function, which is the text
     * form for every comparable type but boolean ('t'). */
    const struct operand *sides[2] = {left, right};
    for (int i = 0; i < 2; i++) {
        const struct operand *side = sides[i];
        bool is_column = side->kind == OPERAND_COLUMN;
        if (!is_text_like(side) && !(is_column && (side->type->kind == VALUE_INTEGER ||
                                                   side->type->kind == VALUE_UUID)))
            return refuse(context, "|| of anything but text, integers and uuids");
    }
    struct operand *concat = arena_calloc(context->arena, 1, sizeof *concat);
    concat->kind = OPERAND_CONCAT;
    concat->type = &text_type;
    collect_parts(context, concat, left);
    collect_parts(context, concat, right);
    return concat;
}

static bool is_operator(const PgQuery__AExpr *expression, const char *name)
{
    return expression->kind == PG_QUERY__A__EXPR__KIND__AEXPR_OP && expression->n_name == 1 &&
           strcmp(expression->name[0]->string->sval, name) == 0;
}

static const struct operand *parse_operand(struct parse_context *context, const Node *node,
                                           const struct scope *scope)
{
    if (!node)
        return refuse(context, "an operator with one side");
    switch (node->node_case) {
    case PG_QUERY__NODE__NODE_COLUMN_REF:
        return parse_column(context, node->column_ref, scope);
    case PG_QUERY__NODE__NODE_A_CONST:
        return parse_constant(context, node->a_const);
    case PG_QUERY__NODE__NODE_TYPE_CAST:
        return parse_cast(context, node->type_cast, scope);
    case PG_QUERY__NODE__NODE_A_EXPR:
        if (is_operator(node->a_expr, "||"))
            return parse_concat(context, node->a_expr, scope);
        if (node->a_expr->n_name == 1) {
            err_set(context->err, "the operator %s is not supported here in an audience",
                    node->a_expr->name[0]->string->sval);
            return NULL;
        }
        return refuse(context, "this operator");
    case PG_QUERY__NODE__NODE_FUNC_CALL: {
        const PgQuery__FuncCall *call = node->func_call;
        err_set(context->err, "the function %s is not supported in an audience",
                call->n_funcname ? call->funcname[call->n_funcname - 1]->string->sval : "");
        return NULL;
    }
    case PG_QUERY__NODE__NODE_SUB_LINK:
        return refuse(context, "a subquery as a value");
    case PG_QUERY__NODE__NODE_CASE_EXPR:
        return refuse(context, "CASE");
    case PG_QUERY__NODE__NODE_COALESCE_EXPR:
        return refuse(context, "COALESCE");
    case PG_QUERY__NODE__NODE_SQLVALUE_FUNCTION:
        return refuse(context, "a value that changes without a row changing (current_user, now)");
    case PG_QUERY__NODE__NODE_ROW_EXPR:
        return refuse(context, "a row value");
    default:
        return refuse(context, "this expression");
    }
}

/* Comparisons */

const struct operand *constant_coerce(struct parse_context *context,
                                      const struct operand *constant,
                                      const struct value_type *type)
{
    struct operand *coerced = arena_alloc(context->arena, sizeof *coerced);
    *coerced = *constant;
    coerced->type = type;
    if (constant->is_null)
        return coerced;
    bool is_exact = type->kind == VALUE_INTEGER || type->kind == VALUE_NUMERIC;
    bool is_as_written = (is_exact && constant->literal == LITERAL_NUMBER) ||
                         (type->kind == VALUE_BOOL && constant->literal == LITERAL_BOOL) ||
                         ((type->kind == VALUE_TEXT || type->kind == VALUE_CHAR) &&
                          constant->literal == LITERAL_STRING);
    struct slice text = constant->text;
    if (!is_as_written && context->literals && context->literals->canonical) {
        struct buffer canonical = BUFFER_INIT;
        bool ok = context->literals->canonical(context->literals->context, type, constant->text,
                                               &canonical, context->err);
        text = arena_copy(context->arena, buffer_slice(&canonical));
        buffer_release(&canonical);
        if (!ok)
            return NULL;
    }
    coerced->text = value_key_of_text(type->kind, text, context->arena);
    return coerced;
}

static const struct value_type *compared_type(const struct operand *operand)
{
    return operand->kind == OPERAND_COLUMN && operand->is_text_cast ? &text_type : operand->type;
}

static bool check_comparable(struct parse_context *context, const struct operand *operand,
                             enum compare_op op)
{
    const struct value_type *type = compared_type(operand);
    bool is_equality = op == COMPARE_EQ || op == COMPARE_NE;
    if (is_equality ? !value_is_comparable(type) : !value_is_ordered(type)) {
        err_set(context->err, "%s of %s is not supported in an audience",
                is_equality ? "comparing values" : "< or > on values", type->name);
        return false;
    }
    if (operand->kind == OPERAND_COLUMN &&
        !operand->source->relation->columns[operand->column].is_deterministic) {
        err_set(context->err, "comparing column %.*s is not supported: its collation is not "
                              "deterministic",
                SLICE_ARG(operand->source->relation->columns[operand->column].name));
        return false;
    }
    return true;
}

static struct condition *compare(struct parse_context *context, enum compare_op op,
                                 const struct operand *left, const struct operand *right)
{
    if (left->kind == OPERAND_CONSTANT && right->kind == OPERAND_CONSTANT)
        return refuse(context, "a comparison of two constants");
    if (left->kind == OPERAND_CONSTANT && !(left = constant_coerce(context, left,
                                                                   compared_type(right))))
        return NULL;
    if (right->kind == OPERAND_CONSTANT && !(right = constant_coerce(context, right,
                                                                     compared_type(left))))
        return NULL;
    if (!check_comparable(context, left, op) || !check_comparable(context, right, op))
        return NULL;
    if (!value_kinds_match(compared_type(left), compared_type(right))) {
        err_set(context->err, "comparing %s with %s is not supported in an audience",
                compared_type(left)->name, compared_type(right)->name);
        return NULL;
    }
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

static struct condition *parse_in_list(struct parse_context *context, const struct operand *left,
                                       Node **items, size_t count, bool is_negated,
                                       const struct scope *scope)
{
    if (left->kind == OPERAND_CONSTANT)
        return refuse(context, "a constant on the left of IN");
    if (!check_comparable(context, left, COMPARE_EQ))
        return NULL;
    struct condition *condition =
        new_condition(context, is_negated ? CONDITION_NOT_IN : CONDITION_IN);
    condition->left = left;
    condition->list = arena_calloc(context->arena, count, sizeof *condition->list);
    for (size_t i = 0; i < count; i++) {
        const struct operand *item = parse_operand(context, items[i], scope);
        if (!item)
            return NULL;
        if (item->kind != OPERAND_CONSTANT)
            return refuse(context, "anything but constants in an IN list");
        if (item->is_null) {
            condition->list_has_null = true;
            continue;
        }
        if (!(item = constant_coerce(context, item, compared_type(left))))
            return NULL;
        condition->list[condition->list_count++] = item;
    }
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

static struct condition *parse_expression(struct parse_context *context,
                                          const PgQuery__AExpr *expression,
                                          const struct scope *scope)
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
        return left ? parse_in_list(context, left, list->items, list->n_items,
                                    strcmp(name, "<>") == 0, scope)
                    : NULL;
    }
    case PG_QUERY__A__EXPR__KIND__AEXPR_OP_ANY: {
        if (strcmp(name, "=") != 0 ||
            expression->rexpr->node_case != PG_QUERY__NODE__NODE_A_ARRAY_EXPR)
            return refuse(context, "ANY of anything but a list of constants");
        const struct operand *left = parse_operand(context, expression->lexpr, scope);
        const PgQuery__AArrayExpr *array = expression->rexpr->a_array_expr;
        return left ? parse_in_list(context, left, array->elements, array->n_elements, false,
                                    scope)
                    : NULL;
    }
    case PG_QUERY__A__EXPR__KIND__AEXPR_BETWEEN:
        return parse_between(context, expression, scope, false);
    case PG_QUERY__A__EXPR__KIND__AEXPR_NOT_BETWEEN:
        return parse_between(context, expression, scope, true);
    case PG_QUERY__A__EXPR__KIND__AEXPR_LIKE:
    case PG_QUERY__A__EXPR__KIND__AEXPR_ILIKE:
        return refuse(context, "LIKE");
    case PG_QUERY__A__EXPR__KIND__AEXPR_DISTINCT:
    case PG_QUERY__A__EXPR__KIND__AEXPR_NOT_DISTINCT:
        return refuse(context, "IS DISTINCT FROM");
    default:
        return refuse(context, "this operator");
    }
}

static struct condition *parse_bool(struct parse_context *context,
                                    const PgQuery__BoolExpr *expression,
                                    const struct scope *scope)
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

static struct condition *parse_sublink(struct parse_context *context,
                                       const PgQuery__SubLink *link, const struct scope *scope)
{
    if (link->subselect->node_case != PG_QUERY__NODE__NODE_SELECT_STMT)
        return refuse(context, "this subquery");
    const SelectStmt *select = link->subselect->select_stmt;
    if (link->sub_link_type == PG_QUERY__SUB_LINK_TYPE__EXISTS_SUBLINK) {
        struct condition *condition = new_condition(context, CONDITION_EXISTS);
        condition->query = parse_query(context, select, scope, false);
        return condition->query ? condition : NULL;
    }
    if (link->sub_link_type != PG_QUERY__SUB_LINK_TYPE__ANY_SUBLINK)
        return refuse(context, "a subquery other than EXISTS and IN");
    if (link->n_oper_name &&
        strcmp(link->oper_name[link->n_oper_name - 1]->string->sval, "=") != 0)
        return refuse(context, "ANY (subquery) with an operator other than =");
    struct condition *condition = new_condition(context, CONDITION_IN_QUERY);
    condition->left = parse_operand(context, link->testexpr, scope);
    if (!condition->left)
        return NULL;
    if (condition->left->kind == OPERAND_CONSTANT)
        return refuse(context, "a constant on the left of IN");
    condition->query = parse_query(context, select, scope, true);
    if (!condition->query)
        return NULL;
    /* Whether the two compare is found out here; the comparison itself is made when it is known
     * whether IN stands under a NOT. */
    for (size_t i = 0; i < condition->query->select_count; i++) {
        struct select *branch = condition->query->selects[i];
        if (branch->value->kind == OPERAND_CONSTANT) {
            branch->value = constant_coerce(context, branch->value,
                                            compared_type(condition->left));
            if (!branch->value)
                return NULL;
        }
        if (!compare(context, COMPARE_EQ, condition->left, branch->value))
            return NULL;
    }
    return condition;
}

/* A truth test of a boolean column, and what it says of NULL: `column` alone is unknown for NULL, IS
 * TRUE and IS FALSE are false for it, IS NOT TRUE and IS NOT FALSE hold for it. The two-valued forms
 * name NULL, so that they stay right under a NOT. */
enum null_answer { NULL_IS_UNKNOWN, NULL_IS_FALSE, NULL_IS_TRUE };

static struct condition *parse_truth(struct parse_context *context, const struct operand *operand,
                                     bool wanted, enum null_answer on_null)
{
    if (operand->kind == OPERAND_CONSTANT) {
        if (operand->is_null || operand->literal != LITERAL_BOOL)
            return refuse(context, "a constant other than true and false as a condition");
        bool holds = slice_eq_str(operand->text, wanted ? "true" : "false");
        return new_condition(context, holds ? CONDITION_TRUE : CONDITION_FALSE);
    }
    if (operand->kind != OPERAND_COLUMN || operand->type->kind != VALUE_BOOL)
        return refuse(context, "a condition that is not boolean");
    struct operand *constant = arena_calloc(context->arena, 1, sizeof *constant);
    constant->kind = OPERAND_CONSTANT;
    constant->literal = LITERAL_BOOL;
    constant->text = wanted ? SLICE("true") : SLICE("false");
    constant->type = &bool_type;
    struct condition *equal = compare(context, COMPARE_EQ, operand, constant);
    if (!equal || on_null == NULL_IS_UNKNOWN)
        return equal;
    struct condition *null_test = new_condition(
        context, on_null == NULL_IS_TRUE ? CONDITION_IS_NULL : CONDITION_NOT_NULL);
    null_test->left = operand;
    struct condition *both =
        new_condition(context, on_null == NULL_IS_TRUE ? CONDITION_OR : CONDITION_AND);
    add_child(context, both, equal);
    add_child(context, both, null_test);
    return both;
}

static struct condition *parse_null_test(struct parse_context *context,
                                         const PgQuery__NullTest *test, const struct scope *scope)
{
    const struct operand *operand = parse_operand(context, test->arg, scope);
    if (!operand)
        return NULL;
    if (operand->kind != OPERAND_COLUMN)
        return refuse(context, "IS NULL on anything but a column");
    /* A row of NULLs is NULL to SQL, and a JSON null is not; the replica cannot tell either. */
    if (operand->type->kind == VALUE_COMPOSITE || operand->type->kind == VALUE_JSON)
        return refuse(context, "IS NULL on a composite or JSON column");
    bool is_null = test->nulltesttype == PG_QUERY__NULL_TEST_TYPE__IS_NULL;
    struct condition *condition =
        new_condition(context, is_null ? CONDITION_IS_NULL : CONDITION_NOT_NULL);
    condition->left = operand;
    return condition;
}

static struct condition *parse_bool_test(struct parse_context *context,
                                         const PgQuery__BooleanTest *test,
                                         const struct scope *scope)
{
    const struct operand *operand = parse_operand(context, test->arg, scope);
    if (!operand)
        return NULL;
    switch (test->booltesttype) {
    case PG_QUERY__BOOL_TEST_TYPE__IS_TRUE:
        return parse_truth(context, operand, true, NULL_IS_FALSE);
    case PG_QUERY__BOOL_TEST_TYPE__IS_FALSE:
        return parse_truth(context, operand, false, NULL_IS_FALSE);
    case PG_QUERY__BOOL_TEST_TYPE__IS_NOT_TRUE:
        return parse_truth(context, operand, false, NULL_IS_TRUE);
    case PG_QUERY__BOOL_TEST_TYPE__IS_NOT_FALSE:
        return parse_truth(context, operand, true, NULL_IS_TRUE);
    default:
        return refuse(context, "IS UNKNOWN");
    }
}

static struct condition *parse_condition(struct parse_context *context, const Node *node,
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
        return parse_null_test(context, node->null_test, scope);
    case PG_QUERY__NODE__NODE_BOOLEAN_TEST:
        return parse_bool_test(context, node->boolean_test, scope);
    default: {
        const struct operand *operand = parse_operand(context, node, scope);
        return operand ? parse_truth(context, operand, true, NULL_IS_UNKNOWN) : NULL;
    }
    }
}

/* Queries */

static bool check_clauses(struct parse_context *context, const SelectStmt *select)
{
    if (select->n_values_lists)
        return refuse(context, "VALUES");
    if (select->n_distinct_clause && select->distinct_clause[0]->node_case != 0)
        return refuse(context, "DISTINCT ON");
    if (select->n_group_clause || select->having_clause)
        return refuse(context, "GROUP BY and HAVING");
    if (select->n_window_clause)
        return refuse(context, "WINDOW");
    if (select->n_sort_clause)
        return refuse(context, "ORDER BY");
    if (select->limit_count || select->limit_offset)
        return refuse(context, "LIMIT and OFFSET");
    if (select->n_locking_clause)
        return refuse(context, "FOR UPDATE and its like");
    if (select->with_clause)
        return refuse(context, "WITH");
    if (select->into_clause)
        return refuse(context, "SELECT INTO");
    return true;
}

/* In an EXISTS the selected values do not matter, but an aggregate would always give a row. */
static bool check_exists_targets(struct parse_context *context, const SelectStmt *select)
{
    for (size_t i = 0; i < select->n_target_list; i++) {
        const Node *value = select->target_list[i]->res_target->val;
        if (value->node_case != PG_QUERY__NODE__NODE_A_CONST &&
            value->node_case != PG_QUERY__NODE__NODE_COLUMN_REF)
            return refuse(context, "EXISTS (SELECT ...) of anything but columns and constants");
    }
    return true;
}

static const struct operand *parse_value(struct parse_context *context, const SelectStmt *select,
                                         const struct scope *scope)
{
    if (select->n_target_list != 1)
        return refuse(context, "selecting anything but one column");
    return parse_operand(context, select->target_list[0]->res_target->val, scope);
}

static struct select *parse_select(struct parse_context *context, const SelectStmt *statement,
                                   const struct scope *outer, bool needs_value)
{
    struct scope scope = {arena_calloc(context->arena, SLOTS_MAX, sizeof(struct source *)), 0,
                          outer};
    if (!check_clauses(context, statement))
        return NULL;
    struct select *select = arena_calloc(context->arena, 1, sizeof *select);
    struct condition *conditions = new_condition(context, CONDITION_AND);
    for (size_t i = 0; i < statement->n_from_clause; i++) {
        if (!parse_from_item(context, statement->from_clause[i], &scope, conditions))
            return NULL;
    }
    if (statement->where_clause) {
        struct condition *where = parse_condition(context, statement->where_clause, &scope);
        if (!where)
            return NULL;
        add_child(context, conditions, where);
    }
    if (needs_value) {
        select->value = parse_value(context, statement, &scope);
        if (!select->value)
            return NULL;
    } else if (!check_exists_targets(context, statement)) {
        return NULL;
    }
    select->sources = scope.sources;
    select->source_count = scope.source_count;
    select->where = conditions;
    return select;
}

/* Appends the SELECTs of a UNION tree to query. */
static bool parse_selects(struct parse_context *context, const SelectStmt *statement,
                          const struct scope *outer, bool needs_value, struct query *query)
{
    if (statement->op == PG_QUERY__SET_OPERATION__SETOP_UNION) {
        return check_clauses(context, statement) &&
               parse_selects(context, statement->larg, outer, needs_value, query) &&
               parse_selects(context, statement->rarg, outer, needs_value, query);
    }
    if (statement->op != PG_QUERY__SET_OPERATION__SETOP_NONE)
        return refuse(context, "INTERSECT and EXCEPT");
    struct select *select = parse_select(context, statement, outer, needs_value);
    if (!select)
        return false;
    struct select **selects =
        arena_alloc(context->arena, (query->select_count + 1) * sizeof *selects);
    if (query->select_count)
        memcpy(selects, query->selects, query->select_count * sizeof *selects);
    selects[query->select_count++] = select;
    query->selects = selects;
    return true;
}

static struct query *parse_query(struct parse_context *context, const SelectStmt *select,
                                 const struct scope *outer, bool needs_value)
{
    struct query *query = arena_calloc(context->arena, 1, sizeof *query);
    return parse_selects(context, select, outer, needs_value, query) ? query : NULL;
}

static bool check_subjects(struct parse_context *context, const struct query *query)
{
    for (size_t i = 0; i < query->select_count; i++) {
        const struct operand *subject = query->selects[i]->value;
        if (subject->kind != OPERAND_COLUMN)
            continue;
        enum value_kind kind = subject->type->kind;
        if (kind == VALUE_FLOAT || kind == VALUE_JSON || kind == VALUE_ARRAY ||
            kind == VALUE_COMPOSITE) {
            err_set(context->err, "a subject of type %s is not supported", subject->type->name);
            err_hint(context->err, "select a column of a type such as bigint, uuid or text");
            return false;
        }
    }
    return true;
}

struct query *rule_query_parse(struct parse_context *context, struct slice audience)
{
    struct query *query = NULL;
    const char *sql = arena_copy(context->arena, audience).data;
    struct parse_tree *tree = parse_tree_of(sql, context->err);
    if (!tree)
        return NULL;
    const SelectStmt *select = parse_tree_single_select(tree);
    context->target_source = arena_calloc(context->arena, 1, sizeof *context->target_source);
    *context->target_source = (struct source){.relation = context->target,
                                              .alias = context->target->name,
                                              .schema = context->target->schema,
                                              .slot = TARGET_SLOT};
    context->slot_count = TARGET_SLOT + 1;
    struct scope target_scope = {&context->target_source, 1, NULL};
    if (select)
        query = parse_query(context, select, &target_scope, true);
    else
        refuse(context, "anything but one SELECT");
    if (query && !check_subjects(context, query))
        query = NULL;
    parse_tree_free(tree);
    return query;
}
