/* What a condition compares and a rule selects: columns, constants, casts, || and ->. */
#include "parse_internal.h"

#include "weir/replica/value.h"

struct operand *column_operand(struct parse_context *context, const struct source *source,
                               int column)
{
    struct operand *operand = arena_calloc(context->arena, 1, sizeof *operand);
    operand->kind = OPERAND_COLUMN;
    operand->source = source;
    operand->column = (uint16_t)column;
    operand->type = source->relation->columns[column].type;
    return operand;
}

/* Whether the scope's tables surely lack the column: one whose publication leaves out columns may
 * have it, and then it must not come to mean an outer table's. */
static bool check_whole(struct parse_context *context, const struct scope *scope,
                        const char *column)
{
    for (size_t i = 0; i < scope->source_count; i++) {
        const struct relation *relation = scope->sources[i]->relation;
        if (!relation->has_column_list)
            continue;
        err_set(context->err,
                "column %s may be one that the publication's column list of %.*s leaves out",
                column, SLICE_ARG(relation->name));
        return err_hint(context->err, "write it with its table's name");
    }
    return true;
}

static bool is_merged(const struct source *source, int column)
{
    return source->merged && source->merged[column / 64] >> column % 64 & 1;
}

/* Postgres has seen to it when the rule was written; a column added later can make it so. */
const struct operand *column_by_name(struct parse_context *context, const struct scope *scope,
                                     size_t from, size_t to, const char *name, bool *is_ambiguous)
{
    const struct operand *found = NULL;
    *is_ambiguous = false;
    for (size_t i = from; i < to; i++) {
        const struct source *source = scope->sources[i];
        int column = relation_find_column(source->relation, slice_from_str(name));
        if (column < 0 || (found && is_merged(source, column)))
            continue;
        if (found) {
            *is_ambiguous = true;
            err_set(context->err, "column %s is ambiguous: %.*s and %.*s have it", name,
                    SLICE_ARG(found->source->alias), SLICE_ARG(source->alias));
            err_hint(context->err, "write it with its table's name");
            return NULL;
        }
        found = column_operand(context, source, column);
    }
    return found;
}

/* Postgres reads the right side where only that has the common type and length: then 1.00 and 1,
 * and what is less than another text, may be the other side's. */
static bool check_merged(struct parse_context *context, const struct scope *scope,
                         const struct operand *found)
{
    const struct column *column = &found->source->relation->columns[found->column];
    for (size_t i = 0; i < scope->source_count; i++) {
        const struct relation *relation = scope->sources[i]->relation;
        int index = relation_find_column(relation, column->name);
        if (index < 0 || scope->sources[i] == found->source || !is_merged(scope->sources[i], index))
            continue;
        const struct column *other = &relation->columns[index];
        if (column->type->kind != VALUE_NUMERIC && other->type->kind != VALUE_NUMERIC &&
            slice_eq(column->collation.name, other->collation.name))
            continue;
        err_set(context->err, "column %.*s may be either table's after USING",
                SLICE_ARG(column->name));
        return err_hint(context->err, "write it with its table's name");
    }
    return true;
}

/* Their names are taken, so that no table has columns of its own that are called so. */
static bool refuse_system_column(struct parse_context *context, const char *column)
{
    static const char *const system[] = {"tableoid", "ctid", "xmin", "xmax", "cmin", "cmax"};
    for (size_t i = 0; i < sizeof system / sizeof *system; i++) {
        if (strcmp(column, system[i]) == 0)
            return err_set(context->err, "%s is a system column, which is in no published row",
                           column);
    }
    return true;
}

static const struct operand *column_in_scopes(struct parse_context *context,
                                              const struct scope *scope, const char *column)
{
    if (!refuse_system_column(context, column))
        return NULL;
    for (; scope; scope = scope->outer) {
        bool is_ambiguous;
        const struct operand *found =
            column_by_name(context, scope, 0, scope->source_count, column, &is_ambiguous);
        if (found)
            return check_merged(context, scope, found) ? found : NULL;
        if (is_ambiguous || !check_whole(context, scope, column))
            return NULL;
    }
    err_set(context->err, "column %s is not known", column);
    return NULL;
}

static const struct operand *column_of_table(struct parse_context *context,
                                             const struct scope *scope, const char *schema,
                                             const char *table, const char *column)
{
    if (!refuse_system_column(context, column))
        return NULL;
    for (; scope; scope = scope->outer) {
        for (size_t i = 0; i < scope->source_count; i++) {
            const struct source *source = scope->sources[i];
            if (!slice_eq_str(source->alias, table))
                continue;
            if (schema && !slice_eq_str(source->schema, schema))
                continue;
            int index = relation_find_column(source->relation, slice_from_str(column));
            if (index >= 0)
                return column_operand(context, source, index);
            err_set(context->err, "column %s.%s is not published", table, column);
            err_hint(context->err, "include it in the publication's column list");
            return NULL;
        }
    }
    err_set(context->err, "column %s.%s is not known", table, column);
    return NULL;
}

static const struct operand *parse_column(struct parse_context *context,
                                          const PgQuery__ColumnRef *reference,
                                          const struct scope *scope)
{
    const char *names[3] = {NULL, NULL, NULL};
    if (reference->n_fields > 3)
        return parse_refuse(context, "a column with a database name");
    for (size_t i = 0; i < reference->n_fields; i++) {
        if (reference->fields[i]->node_case != PG_QUERY__NODE__NODE_STRING)
            return parse_refuse(context, "*");
        names[i] = reference->fields[i]->string->sval;
    }
    switch (reference->n_fields) {
    case 1:
        return column_in_scopes(context, scope, names[0]);
    case 2:
        return column_of_table(context, scope, NULL, names[0], names[1]);
    default:
        return column_of_table(context, scope, names[0], names[1], names[2]);
    }
}

const struct value_type *compared_type(const struct operand *operand)
{
    return operand->kind == OPERAND_COLUMN && operand->is_text_cast ? &text_type : operand->type;
}

/* A cast of a column changes what is compared; only text is supported. */
static const struct operand *parse_cast(struct parse_context *context,
                                        const PgQuery__TypeCast *cast, const struct scope *scope)
{
    const struct operand *inner = parse_operand(context, cast->arg, scope);
    if (!inner)
        return NULL;
    if (inner->kind == OPERAND_CONSTANT)
        return parse_constant_cast(context, inner, cast->type_name);
    if (!type_name_is_text(cast->type_name))
        return parse_refuse(context, "a cast of a column to another type than text");
    if (inner->kind != OPERAND_COLUMN)
        return inner;
    if (!value_is_comparable(inner->type) || inner->type->kind == VALUE_FLOAT) {
        err_set(context->err, "a cast of %s to text is not supported in an audience",
                inner->type->name);
        return NULL;
    }
    if (!check_own_meaning(context, USE_AS_TEXT, inner, NULL))
        return NULL;
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
    if (constant_is_bare(operand))
        return operand->is_null || operand->literal == LITERAL_STRING;
    return compared_type(operand)->kind == VALUE_TEXT;
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
        if (!is_text_like(side) &&
            !(is_column && (side->type->kind == VALUE_INTEGER || side->type->kind == VALUE_UUID)))
            return parse_refuse(context, "|| of anything but text, integers and uuids");
    }
    if (!check_own_meaning(context, USE_IN_CONCATENATION, left, right))
        return NULL;
    struct operand *concat = arena_calloc(context->arena, 1, sizeof *concat);
    concat->kind = OPERAND_CONCAT;
    concat->type = &text_type;
    collect_parts(context, concat, left);
    collect_parts(context, concat, right);
    return concat;
}

static const char a_condition[] = "a condition as a value";

const char *name_of_expression(const PgQuery__AExpr *expression)
{
    switch (expression->kind) {
    case PG_QUERY__A__EXPR__KIND__AEXPR_NULLIF:
        return "NULLIF";
    case PG_QUERY__A__EXPR__KIND__AEXPR_SIMILAR:
        return "SIMILAR TO";
    case PG_QUERY__A__EXPR__KIND__AEXPR_BETWEEN_SYM:
    case PG_QUERY__A__EXPR__KIND__AEXPR_NOT_BETWEEN_SYM:
        return "BETWEEN SYMMETRIC";
    default:
        return a_condition;
    }
}

/* What is no operand: a construct by its name. */
static const char *name_of_value(const Node *node)
{
    switch (node->node_case) {
    case PG_QUERY__NODE__NODE_SUB_LINK:
        return is_condition(node) ? a_condition : "a subquery as a value";
    case PG_QUERY__NODE__NODE_CASE_EXPR:
        return "CASE";
    case PG_QUERY__NODE__NODE_COALESCE_EXPR:
        return "COALESCE";
    case PG_QUERY__NODE__NODE_SQLVALUE_FUNCTION:
        return "a value that changes without a row changing (current_user, now)";
    case PG_QUERY__NODE__NODE_ROW_EXPR:
        return "a row value";
    case PG_QUERY__NODE__NODE_MIN_MAX_EXPR:
        return "GREATEST or LEAST";
    case PG_QUERY__NODE__NODE_A_INDIRECTION:
        return "a subscript or a field of a value";
    case PG_QUERY__NODE__NODE_A_ARRAY_EXPR:
        return "ARRAY[...] as a value";
    case PG_QUERY__NODE__NODE_XML_EXPR:
    case PG_QUERY__NODE__NODE_XML_SERIALIZE:
        return "XML";
    case PG_QUERY__NODE__NODE_PARAM_REF:
        return "a parameter ($1)";
    default:
        return is_condition(node) ? a_condition : "an expression of this kind";
    }
}

const char *written_operator(struct parse_context *context, const PgQuery__AExpr *expression)
{
    const char *written = "";
    for (size_t i = 0; i < expression->n_name; i++)
        written = arena_printf(context->arena, "%s%s%s", written, i ? "." : "",
                               expression->name[i]->string->sval);
    return written;
}

bool is_operator(const PgQuery__AExpr *expression, const char *name)
{
    return expression->kind == PG_QUERY__A__EXPR__KIND__AEXPR_OP && expression->n_name == 1 &&
           strcmp(expression->name[0]->string->sval, name) == 0;
}

const struct operand *parse_operand(struct parse_context *context, const Node *node,
                                    const struct scope *scope)
{
    if (!node)
        return parse_refuse(context, "an operator with one side");
    switch (node->node_case) {
    case PG_QUERY__NODE__NODE_COLUMN_REF:
        return parse_column(context, node->column_ref, scope);
    case PG_QUERY__NODE__NODE_A_CONST:
        return parse_constant(context, node->a_const);
    case PG_QUERY__NODE__NODE_TYPE_CAST:
        return parse_cast(context, node->type_cast, scope);
    case PG_QUERY__NODE__NODE_COLLATE_CLAUSE:
        return parse_collation(context, node->collate_clause, scope);
    case PG_QUERY__NODE__NODE_A_EXPR:
        if (is_operator(node->a_expr, "||"))
            return parse_concat(context, node->a_expr, scope);
        if (is_operator(node->a_expr, "->>"))
            return parse_json(context, node, scope, false);
        if (is_operator(node->a_expr, "->"))
            return parse_refuse(context, "-> without ->> as its last step");
        if (node->a_expr->kind != PG_QUERY__A__EXPR__KIND__AEXPR_OP || is_condition(node))
            return parse_refuse(context, name_of_expression(node->a_expr));
        return parse_refuse_operator(context, written_operator(context, node->a_expr), " here");
    case PG_QUERY__NODE__NODE_FUNC_CALL: {
        const PgQuery__FuncCall *call = node->func_call;
        return parse_refuse_function(
            context, call->n_funcname ? call->funcname[call->n_funcname - 1]->string->sval : "");
    }
    default:
        return parse_refuse(context, name_of_value(node));
    }
}
