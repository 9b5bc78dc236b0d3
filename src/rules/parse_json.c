/* -> and ->> with constant keys.
 *
 * The replica has a json column's value as jsonb would hold it. What ->> makes of a string, of
 * true, false and null is the same for both; a number and a document are, of json, what was
 * written. So of a json column there is only what does not hang on that: comparisons with what is
 * spelled like neither. */
#include "parse_internal.h"

#include "weir/replica/value.h"

enum { OID_JSON = 114, OID_JSONB = 3802 };

static bool parse_step(struct parse_context *context, const Node *node, struct json_step_to *step)
{
    /* 'key'::text, as Postgres prints it in a row filter. */
    if (node && node->node_case == PG_QUERY__NODE__NODE_TYPE_CAST &&
        type_name_is_text(node->type_cast->type_name))
        node = node->type_cast->arg;
    const PgQuery__AConst *constant =
        node && node->node_case == PG_QUERY__NODE__NODE_A_CONST ? node->a_const : NULL;
    bool is_text =
        constant && !constant->isnull && constant->val_case == PG_QUERY__A__CONST__VAL_SVAL;
    bool is_index =
        constant && !constant->isnull && constant->val_case == PG_QUERY__A__CONST__VAL_IVAL;
    if (!is_text && !is_index) {
        parse_refuse(context, "-> and ->> with anything but a constant key");
        return false;
    }
    *step = (struct json_step_to){.is_index = is_index};
    if (is_index)
        step->index = constant->ival->ival;
    else
        step->name = arena_copy(context->arena, slice_from_str(constant->sval->sval));
    return true;
}

static bool parse_document(struct parse_context *context, const Node *node,
                           const struct scope *scope, struct operand *json)
{
    const struct operand *column = parse_operand(context, node, scope);
    if (!column)
        return false;
    bool is_column = column->kind == OPERAND_COLUMN && !column->is_text_cast;
    json->is_of_json = is_column && column->type->base_oid == OID_JSON;
    if (!is_column || (!json->is_of_json && column->type->base_oid != OID_JSONB)) {
        parse_refuse(context, "-> and ->> on anything but a json or jsonb column");
        return false;
    }
    json->parts = arena_alloc(context->arena, sizeof *json->parts);
    json->parts[json->part_count++] = column;
    return check_own_meaning(context, USE_IN_JSON, column, NULL);
}

/* `column -> 'a' -> 0 ->> 'b'`: only the last step may be ->>. */
static bool parse_path(struct parse_context *context, const Node *node, const struct scope *scope,
                       struct operand *json)
{
    const PgQuery__AExpr *expression = node->a_expr;
    const Node *left = expression->lexpr;
    bool goes_on =
        left && left->node_case == PG_QUERY__NODE__NODE_A_EXPR && is_operator(left->a_expr, "->");
    if (goes_on ? !parse_path(context, left, scope, json)
                : !parse_document(context, left, scope, json))
        return false;
    struct json_step_to *path = arena_alloc(context->arena, (json->path_len + 1) * sizeof *path);
    if (json->path_len)
        memcpy(path, json->path, json->path_len * sizeof *path);
    json->path = path;
    return parse_step(context, expression->rexpr, &path[json->path_len++]);
}

static struct operand *json_operand(struct parse_context *context, const Node *node,
                                    const struct scope *scope)
{
    struct operand *json = arena_calloc(context->arena, 1, sizeof *json);
    json->kind = OPERAND_JSON;
    json->type = &text_type;
    return parse_path(context, node, scope, json) ? json : NULL;
}

static bool refuse_spelling(struct parse_context *context, const struct operand *json)
{
    const struct operand *column = json->parts[0];
    struct slice name = column->source->relation->columns[column->column].name;
    err_set(
        context->err,
        "->> on a json column, where a number's or document's spelling matters, is not supported "
        "in an audience");
    return err_hint(context->err,
                    "make the column jsonb (ALTER TABLE ... ALTER COLUMN \"%.*s\" TYPE "
                    "jsonb), or use a generated column that holds the text",
                    SLICE_ARG(name));
}

const struct operand *parse_json(struct parse_context *context, const Node *node,
                                 const struct scope *scope, bool is_compared)
{
    const struct operand *json = json_operand(context, node, scope);
    if (json && json->is_of_json && !is_compared) {
        refuse_spelling(context, json);
        return NULL;
    }
    return json;
}

const struct operand *parse_json_value(struct parse_context *context, const Node *node,
                                       const struct scope *scope)
{
    struct operand *json = json_operand(context, node, scope);
    if (!json)
        return NULL;
    /* To jsonb a null is an array of one; the replica has a NULL column and JSON's null as the
     * same. */
    if (json->path[0].is_index && !json->is_of_json)
        return parse_refuse(context, "-> with an index as its first step in IS NULL");
    json->is_json_value = true;
    return json;
}

/* Whether no number, array or object of JSON is spelled so. */
static bool is_no_number_or_document(const struct operand *operand)
{
    if (operand->kind == OPERAND_CONSTANT)
        return operand->is_null || !operand->text.len ||
               !memchr("-0123456789{[", operand->text.data[0], 13);
    if (operand->kind != OPERAND_COLUMN)
        return false;
    enum value_kind kind = operand->type->kind;
    return kind == VALUE_UUID || kind == VALUE_BOOL || kind == VALUE_DATE ||
           kind == VALUE_TIMESTAMP || kind == VALUE_TIMESTAMPTZ;
}

bool check_json_spelling(struct parse_context *context, enum compare_op op,
                         const struct operand *left, const struct operand *right)
{
    bool is_equality = op == COMPARE_EQ || op == COMPARE_NE;
    if (left->is_of_json && !(is_equality && is_no_number_or_document(right)))
        return refuse_spelling(context, left);
    if (right->is_of_json && !(is_equality && is_no_number_or_document(left)))
        return refuse_spelling(context, right);
    return true;
}
