/* By which collation texts are compared, and whether that is by their bytes, which is all that is
 * done here. As in Postgres: an explicit COLLATE decides, else a column's own collation, else the
 * database's. */
#include "parse_internal.h"

#include "weir/replica/value.h"

static const struct collation explicit_c = {
    .name = {"C", 1}, .is_deterministic = true, .is_bytewise = true};

const struct operand *parse_collation(struct parse_context *context,
                                      const PgQuery__CollateClause *clause,
                                      const struct scope *scope)
{
    const struct operand *operand = parse_operand(context, clause->arg, scope);
    size_t last = clause->n_collname - 1;
    const char *name = clause->collname[last]->string->sval;
    bool is_builtin = last == 0 || strcmp(clause->collname[0]->string->sval, "pg_catalog") == 0;
    if (!operand)
        return NULL;
    if (!is_builtin || (strcmp(name, "C") != 0 && strcmp(name, "POSIX") != 0)) {
        err_set(context->err, "COLLATE \"%s\" is not supported in an audience", name);
        err_hint(context->err, "only \"C\" and \"POSIX\" are the same everywhere");
        return NULL;
    }
    struct operand *collated = arena_alloc(context->arena, sizeof *collated);
    *collated = *operand;
    collated->is_bytewise = true;
    return collated;
}

/* NULL: the database's own. Of two columns' collations the first, unless that is the database's. */
static const struct collation *collation_of(const struct operand *operand)
{
    if (operand->is_bytewise)
        return &explicit_c;
    if (operand->kind == OPERAND_COLUMN) {
        const struct collation *own =
            &operand->source->relation->columns[operand->column].collation;
        return own->name.len ? own : NULL;
    }
    const struct collation *found = NULL;
    /* What ->> gives has nothing of its jsonb. */
    for (size_t i = 0; operand->kind == OPERAND_CONCAT && i < operand->part_count; i++) {
        const struct collation *part = collation_of(operand->parts[i]);
        if (part == &explicit_c || !found)
            found = part;
    }
    return found;
}

static const struct collation *collation_of_both(const struct operand *left,
                                                 const struct operand *right)
{
    const struct collation *a = collation_of(left), *b = right ? collation_of(right) : NULL;
    return b == &explicit_c || !a ? b : a;
}

static bool is_deterministic(const struct operand *operand)
{
    const struct collation *collation = collation_of(operand);
    return !collation || collation->is_deterministic;
}

bool check_deterministic(struct parse_context *context, const struct operand *left,
                         const struct operand *right)
{
    const struct collation *collation = collation_of_both(left, right);
    if (collation == &explicit_c || (is_deterministic(left) && (!right || is_deterministic(right))))
        return true;
    const struct collation *named =
        is_deterministic(left) ? collation_of(right) : collation_of(left);
    err_set(context->err,
            "comparing texts by collation %.*s is not supported: it is not "
            "deterministic",
            SLICE_ARG(named->name));
    return err_hint(context->err, "COLLATE \"C\" compares by the bytes");
}

bool check_order(struct parse_context *context, const struct operand *left,
                 const struct operand *right)
{
    enum value_kind kind = compared_type(left)->kind;
    if (kind != VALUE_TEXT && kind != VALUE_CHAR)
        return true;
    const struct collation *collation = collation_of_both(left, right);
    if (collation ? collation->is_bytewise : context->relations->is_bytewise)
        return true;
    if (collation)
        err_set(context->err, "< or > on texts by collation %.*s is not supported in an audience",
                SLICE_ARG(collation->name));
    else
        err_set(context->err, "< or > on texts by the database's collation is not supported in an "
                              "audience");
    return err_hint(context->err, "COLLATE \"C\" orders by the bytes");
}
