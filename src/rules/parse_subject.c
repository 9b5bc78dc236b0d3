/* Subjects: what a rule may select, and what of it Postgres takes for the same. */
#include "parse_internal.h"

#include "weir/replica/value.h"

/* The subject's text is what `value::text` gives. A cast of inet to text adds the netmask, and
 * types of the application's may have casts of their own. */
static bool is_subject(const struct value_type *type)
{
    enum { OID_INET = 869, OID_FIRST_OF_APPLICATION = 16384 };
    if (type->kind == VALUE_OTHER)
        return type->base_oid < OID_FIRST_OF_APPLICATION && type->base_oid != OID_INET;
    return value_is_comparable(type) && type->kind != VALUE_FLOAT;
}

/* Whether a UNION of the two leaves both as they are. */
static bool is_same_union(const struct value_type *a, const struct value_type *b)
{
    bool is_number = (a->kind == VALUE_INTEGER || a->kind == VALUE_NUMERIC) &&
                     (b->kind == VALUE_INTEGER || b->kind == VALUE_NUMERIC);
    return is_number || a->base_oid == b->base_oid ||
           (a->kind == VALUE_TEXT && b->kind == VALUE_TEXT);
}

/* A bare constant takes the type of the UNION that it is in. */
static const struct operand *constant_subject(struct parse_context *context,
                                              const struct operand *constant,
                                              const struct value_type *type)
{
    static const struct value_type numeric = {
        .base_oid = 1700, .kind = VALUE_NUMERIC, .name = "numeric"};
    if (constant->named_cast)
        return parse_refuse(context, "a subject cast to a type of the application's");
    if (constant->is_null || (!type && constant->literal != LITERAL_NUMBER))
        return constant;
    bool is_number = type && (type->kind == VALUE_INTEGER || type->kind == VALUE_NUMERIC);
    if (constant->literal == LITERAL_NUMBER && type && !is_number)
        return parse_refuse(context, "a UNION of a number and another type");
    struct operand *typed = arena_alloc(context->arena, sizeof *typed);
    *typed = *constant;
    typed->type = constant->literal == LITERAL_NUMBER ? &numeric : type;
    if (!constant_text(context, constant, typed->type, &typed->text))
        return NULL;
    if (typed->type->kind == VALUE_CHAR)
        typed->text = value_key_of_text(VALUE_CHAR, typed->text, context->arena);
    return typed;
}

/* Whether the constant is a whole number with digits behind its point. */
static bool has_idle_point(const struct operand *constant)
{
    const char *end = constant->text.data + constant->text.len;
    const char *point = constant->literal == LITERAL_NUMBER
                            ? memchr(constant->text.data, '.', constant->text.len)
                            : NULL;
    return point && strspn(point + 1, "0") >= (size_t)(end - point - 1);
}

/* 1 and 1.0 are one value and two subjects: which of them DISTINCT leaves is Postgres's choice. A
 * SELECT without FROM has one value for a row, so a single one of these has nothing to choose. */
static bool check_distinct(struct parse_context *context, const struct query *query)
{
    size_t numbers = 0;
    bool has_numeric = false;
    for (size_t i = 0; i < query->select_count; i++) {
        const struct select *select = query->selects[i];
        if (constant_is_bare(select->value)) {
            numbers += select->value->literal == LITERAL_NUMBER && !select->value->is_null;
            has_numeric = has_numeric || has_idle_point(select->value);
            continue;
        }
        enum value_kind kind = compared_type(select->value)->kind;
        has_numeric = has_numeric || kind == VALUE_NUMERIC;
        if (kind == VALUE_NUMERIC || kind == VALUE_INTEGER)
            numbers += select->source_count ? 2 : 1;
    }
    if (!has_numeric || numbers < 2)
        return true;
    err_set(context->err,
            "DISTINCT or UNION of subjects of type numeric is not supported in an audience");
    return err_hint(context->err, "cast them to text, or write UNION ALL: duplicates do no harm");
}

/* Whether equal values of the type may have several texts: '24:00' is '1 day', [1,2) is [1.0,2). */
static bool has_equal_texts(const struct value_type *type)
{
    enum { OID_INTERVAL = 1186, OID_NUMRANGE = 3906, OID_NUMMULTIRANGE = 4532 };
    return type->base_oid != OID_INTERVAL && type->base_oid != OID_NUMRANGE &&
           type->base_oid != OID_NUMMULTIRANGE;
}

/* Of others than numbers, too, DISTINCT would have to choose of what is equal and not the same. */
static bool check_equals(struct parse_context *context, const struct query *query)
{
    size_t values = 0;
    for (size_t i = 0; i < query->select_count; i++)
        values += query->selects[i]->source_count ? 2 : 1;
    for (size_t i = 0; values > 1 && i < query->select_count; i++) {
        const struct operand *value = query->selects[i]->value;
        if (constant_is_bare(value))
            continue;
        const struct value_type *type = compared_type(value);
        if (!has_equal_texts(type)) {
            err_set(context->err,
                    "DISTINCT or UNION of subjects of type %s is not supported in an "
                    "audience",
                    type->name);
            return err_hint(context->err,
                            "write UNION ALL, or leave DISTINCT out: duplicates do no harm");
        }
        if (!check_deterministic(context, value, NULL))
            return false;
    }
    return true;
}

bool check_subjects(struct parse_context *context, const struct query *query)
{
    const struct value_type *type = NULL;
    for (size_t i = 0; i < query->select_count; i++) {
        const struct operand *subject = query->selects[i]->value;
        if (!check_own_meaning(context, USE_AS_TEXT, subject, NULL))
            return false;
        if (constant_is_bare(subject))
            continue;
        const struct value_type *own = compared_type(subject);
        if (!is_subject(own)) {
            err_set(context->err, "a subject of type %s is not supported", own->name);
            return err_hint(context->err, "select a column of a type such as bigint, uuid or text");
        }
        if (type && !is_same_union(type, own))
            return err_set(context->err, "a UNION of %s and %s is not supported in an audience",
                           type->name, own->name);
        type = own;
    }
    if (query->is_distinct && !(check_distinct(context, query) && check_equals(context, query)))
        return false;
    for (size_t i = 0; i < query->select_count; i++) {
        struct select *select = query->selects[i];
        if (constant_is_bare(select->value) &&
            !(select->value = constant_subject(context, select->value, type)))
            return false;
    }
    return true;
}
