/* Operators and casts of the application's own. */
#include "parse_internal.h"

enum { TYPES_MAX = 8 };

static void add_type(uint32_t *types, size_t *count, uint32_t oid)
{
    types[(*count)++] = oid;
}

/* Those that Postgres may take the operand for. A bare string is what the other side is. */
static void add_types(uint32_t *types, size_t *count, const struct operand *operand)
{
    enum { OID_BOOL = 16, OID_INT4 = 23 };
    if (!operand)
        return;
    const struct value_type *type = compared_type(operand);
    bool is_constant = operand->kind == OPERAND_CONSTANT && !operand->is_null;
    if (is_constant && operand->literal == LITERAL_NUMBER)
        add_type(types, count, OID_INT4); /* the questions are about all numbers at once */
    else if (is_constant && operand->literal == LITERAL_BOOL)
        add_type(types, count, OID_BOOL);
    if (!type)
        return;
    add_type(types, count, type->base_oid);
    if (type->is_domain)
        add_type(types, count, type->oid);
}

bool check_own_meaning(struct parse_context *context, enum value_use use,
                       const struct operand *left, const struct operand *right)
{
    const struct rule_literals *literals = context->literals;
    uint32_t types[TYPES_MAX];
    size_t count = 0;
    add_types(types, &count, left);
    add_types(types, &count, right);
    if (!count || context->is_in_row_filter || !literals || !literals->own_meaning)
        return true;
    struct buffer what = BUFFER_INIT;
    bool ok = literals->own_meaning(literals->context, use, context->target->schema, types, count,
                                    &what, context->err);
    if (ok && what.len) {
        ok = err_set(context->err, "%s is the application's own, and cannot be followed",
                     buffer_str(&what));
        err_hint(context->err, "compare and select columns of types without such, or drop it");
    }
    buffer_release(&what);
    return ok;
}
