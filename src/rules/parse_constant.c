/* Constants: which type Postgres takes them for, and what they are as values of it. */
#include "parse_internal.h"

#include "weir/replica/elements.h"
#include "weir/replica/value.h"

#include <stdlib.h>

/* The built-in types that rules may compare, by the names that the parser gives them. */
static const struct {
    const char *name;
    struct value_type type; /* its name has no length or precision, so nothing is rounded by it */
} builtin_types[] = {
    {"bool", {.base_oid = 16, .kind = VALUE_BOOL, .name = "boolean"}},
    {"int2", {.base_oid = 21, .kind = VALUE_INTEGER, .name = "smallint"}},
    {"int4", {.base_oid = 23, .kind = VALUE_INTEGER, .name = "integer"}},
    {"int8", {.base_oid = 20, .kind = VALUE_INTEGER, .name = "bigint"}},
    {"numeric", {.base_oid = 1700, .kind = VALUE_NUMERIC, .name = "numeric"}},
    {"float4", {.base_oid = 700, .kind = VALUE_FLOAT, .name = "real"}},
    {"float8", {.base_oid = 701, .kind = VALUE_FLOAT, .name = "double precision"}},
    {"text", {.base_oid = 25, .kind = VALUE_TEXT, .name = "text"}},
    {"varchar", {.base_oid = 1043, .kind = VALUE_TEXT, .name = "character varying"}},
    {"name", {.base_oid = 19, .kind = VALUE_TEXT, .name = "name"}},
    {"bpchar", {.base_oid = 1042, .kind = VALUE_CHAR, .name = "bpchar"}},
    {"uuid", {.base_oid = 2950, .kind = VALUE_UUID, .name = "uuid"}},
    {"date", {.base_oid = 1082, .kind = VALUE_DATE, .name = "date"}},
    {"timestamp",
     {.base_oid = 1114, .kind = VALUE_TIMESTAMP, .name = "timestamp without time zone"}},
    {"timestamptz",
     {.base_oid = 1184, .kind = VALUE_TIMESTAMPTZ, .name = "timestamp with time zone"}},
    {"bytea", {.base_oid = 17, .kind = VALUE_BYTEA, .name = "bytea"}},
};

enum { BUILTIN_TYPES = sizeof builtin_types / sizeof *builtin_types, OID_FLOAT4 = 700 };

static const struct value_type *builtin_by_oid(uint32_t oid)
{
    for (size_t i = 0; i < BUILTIN_TYPES; i++) {
        if (builtin_types[i].type.base_oid == oid)
            return &builtin_types[i].type;
    }
    return NULL;
}

static const char *name_at(const PgQuery__TypeName *type, size_t index)
{
    return type->names[index]->string->sval;
}

/* NULL for a type of the application's. */
static const struct value_type *builtin_by_name(const PgQuery__TypeName *type)
{
    size_t last = type->n_names - 1;
    if (type->n_names > 2 || (last && strcmp(name_at(type, 0), "pg_catalog") != 0))
        return NULL;
    for (size_t i = 0; i < BUILTIN_TYPES; i++) {
        if (strcmp(builtin_types[i].name, name_at(type, last)) == 0)
            return &builtin_types[i].type;
    }
    return NULL;
}

bool type_name_is_builtin(const PgQuery__TypeName *type)
{
    return builtin_by_name(type) != NULL;
}

static bool is_text_of(const PgQuery__TypeName *type, size_t array_bounds)
{
    if (!type->n_names || type->n_array_bounds != array_bounds || type->n_typmods)
        return false;
    const struct value_type *builtin = builtin_by_name(type);
    return builtin && builtin->base_oid == text_type.base_oid;
}

bool type_name_is_text(const PgQuery__TypeName *type)
{
    return is_text_of(type, 0);
}

bool type_name_is_text_array(const PgQuery__TypeName *type)
{
    return is_text_of(type, 1);
}

const struct operand *parse_constant(struct parse_context *context, const PgQuery__AConst *constant)
{
    struct operand *operand = arena_calloc(context->arena, 1, sizeof *operand);
    const char *text;
    operand->kind = OPERAND_CONSTANT;
    if (constant->isnull) {
        operand->is_null = true;
        return operand;
    }
    switch (constant->val_case) {
    case PG_QUERY__A__CONST__VAL_IVAL:
        operand->literal = LITERAL_NUMBER;
        text = arena_printf(context->arena, "%d", constant->ival->ival);
        break;
    case PG_QUERY__A__CONST__VAL_FVAL:
        operand->literal = LITERAL_NUMBER;
        text = constant->fval->fval;
        break;
    case PG_QUERY__A__CONST__VAL_BOOLVAL:
        operand->literal = LITERAL_BOOL;
        text = constant->boolval->boolval ? "true" : "false";
        break;
    case PG_QUERY__A__CONST__VAL_SVAL:
        operand->literal = LITERAL_STRING;
        text = constant->sval->sval;
        break;
    default:
        return parse_refuse(context, "a bit string constant");
    }
    operand->text = arena_copy(context->arena, slice_from_str(text));
    return operand;
}

bool constant_is_bare(const struct operand *operand)
{
    return operand->kind == OPERAND_CONSTANT && !operand->type;
}

const struct operand *constant_as_text(struct parse_context *context,
                                       const struct operand *constant)
{
    struct operand *typed = arena_alloc(context->arena, sizeof *typed);
    *typed = *constant;
    typed->type = &text_type;
    return typed;
}

/* `today` is another day tomorrow, without any row having changed. */
static bool names_the_present(const struct value_type *type, struct slice literal)
{
    static const char *const words[] = {"now", "today", "tomorrow", "yesterday"};
    if (type->kind != VALUE_DATE && type->kind != VALUE_TIMESTAMP &&
        type->kind != VALUE_TIMESTAMPTZ)
        return false;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t len = strlen(words[i]);
        for (size_t at = 0; at + len <= literal.len; at++) {
            if (strncasecmp(literal.data + at, words[i], len) == 0)
                return true;
        }
    }
    return false;
}

/* Postgres compares a real with a number as double precision. Integers up to 2^24 are the same in
 * both; 0.1 is not. */
static bool is_same_as_real(struct slice number)
{
    char *end;
    if (!number.len || number.len > 9)
        return false;
    long value = strtol(number.data, &end, 10);
    return end == number.data + number.len && labs(value) <= 1L << 24;
}

static bool is_as_written(const struct operand *constant, const struct value_type *type)
{
    switch (type->kind) {
    case VALUE_INTEGER:
        return constant->literal == LITERAL_NUMBER;
    case VALUE_BOOL:
        return constant->literal == LITERAL_BOOL;
    case VALUE_TEXT:
        return constant->literal == LITERAL_STRING && type->base_oid != 19;
    case VALUE_CHAR:
        return constant->literal == LITERAL_STRING;
    default:
        return false;
    }
}

bool constant_text(struct parse_context *context, const struct operand *constant,
                   const struct value_type *type, struct slice *text)
{
    const struct value_type *builtin = builtin_by_oid(type->base_oid);
    if (names_the_present(type, constant->text)) {
        parse_refuse(context, "a date or time that moves, such as today,");
        return false;
    }
    if (type->base_oid == OID_FLOAT4 && constant->literal == LITERAL_NUMBER &&
        !is_same_as_real(constant->text)) {
        err_set(context->err, "comparing real with this number is not supported in an audience");
        return err_hint(context->err,
                        "write the number as a string, '%.*s', if its nearest real "
                        "is meant",
                        SLICE_ARG(constant->text));
    }
    *text = constant->text;
    if (is_as_written(constant, type) || !context->literals || !context->literals->canonical)
        return true;
    struct buffer canonical = BUFFER_INIT;
    bool ok = context->literals->canonical(context->literals->context, builtin ? builtin : type,
                                           constant->text, &canonical, context->err);
    *text = arena_copy(context->arena, buffer_slice(&canonical));
    buffer_release(&canonical);
    return ok;
}

const struct operand *constant_coerce(struct parse_context *context, const struct operand *constant,
                                      const struct value_type *type)
{
    struct operand *coerced = arena_alloc(context->arena, sizeof *coerced);
    *coerced = *constant;
    if (constant->is_null) {
        coerced->type = type;
        return coerced;
    }
    if (constant->named_cast && type->kind != VALUE_ENUM) {
        err_set(context->err, "a cast to %s is not supported in an audience", constant->named_cast);
        return NULL;
    }
    bool is_number =
        type->kind == VALUE_INTEGER || type->kind == VALUE_NUMERIC || type->kind == VALUE_FLOAT;
    if (!coerced->type && ((constant->literal == LITERAL_NUMBER && !is_number) ||
                           (constant->literal == LITERAL_BOOL && type->kind != VALUE_BOOL))) {
        /* There is an operator for it where the application has made a cast for it. */
        err_set(context->err, "comparing %s with a %s is not supported in an audience", type->name,
                constant->literal == LITERAL_NUMBER ? "number" : "truth value");
        return NULL;
    }
    if (!coerced->type) {
        /* A number is a number whatever it meets: 1.5 is no integer, and equals none. */
        bool is_exact = type->kind == VALUE_INTEGER || type->kind == VALUE_NUMERIC;
        coerced->type = type;
        if (!(is_exact && constant->literal == LITERAL_NUMBER) &&
            !constant_text(context, constant, type, &coerced->text))
            return NULL;
    }
    coerced->text = value_key_of_text(coerced->type->kind, coerced->text, context->arena);
    return coerced;
}

const struct value_type *array_type_element(const PgQuery__TypeName *type)
{
    return type->n_array_bounds == 1 && !type->n_typmods ? builtin_by_name(type) : NULL;
}

bool constant_elements(struct parse_context *context, struct slice literal,
                       const struct value_type *type, const struct operand ***items, size_t *count)
{
    const struct value_type *builtin = builtin_by_oid(type->base_oid);
    if (!context->literals || !context->literals->elements) {
        parse_refuse(context, "an array literal");
        return false;
    }
    if (names_the_present(type, literal)) {
        parse_refuse(context, "a date or time that moves, such as today,");
        return false;
    }
    struct buffer json = BUFFER_INIT;
    bool ok = context->literals->elements(context->literals->context, builtin ? builtin : type,
                                          literal, &json, context->err);
    struct slice all = arena_copy(context->arena, buffer_slice(&json)), element;
    buffer_release(&json);
    struct array_walk walk = array_walk_of(all);
    *items = arena_calloc(context->arena, all.len + 1, sizeof **items);
    *count = 0;
    while (ok && array_walk_next(&walk, &element)) {
        struct operand *constant = arena_calloc(context->arena, 1, sizeof *constant);
        constant->kind = OPERAND_CONSTANT;
        constant->type = type;
        constant->is_null = value_is_null(element);
        if (!constant->is_null)
            constant->text = value_text(type, element, context->arena);
        (*items)[(*count)++] = constant;
    }
    return ok;
}

/* A cast that rounds, cuts or goes from one type to another is left to Postgres. */
const struct operand *parse_constant_cast(struct parse_context *context,
                                          const struct operand *constant,
                                          const PgQuery__TypeName *type)
{
    const struct value_type *builtin = builtin_by_name(type);
    if ((type->n_typmods && !constant->is_null) || type->n_array_bounds)
        return parse_refuse(context, "a cast of a constant to an array or with a length");
    /* '-1'::integer::numeric, as Postgres prints the constant -1. */
    bool is_widened = constant->type && constant->type->kind == VALUE_INTEGER && builtin &&
                      (builtin->kind == VALUE_INTEGER || builtin->kind == VALUE_NUMERIC ||
                       builtin->kind == VALUE_FLOAT);
    if ((constant->type && !is_widened) || constant->named_cast)
        return parse_refuse(context, "a cast of a cast");
    struct operand *cast = arena_alloc(context->arena, sizeof *cast);
    *cast = *constant;
    if (!builtin) {
        /* Where it is compared with an enum it is that enum, or Postgres had refused it. */
        cast->named_cast = arena_strdup(context->arena, name_at(type, type->n_names - 1));
        if (constant->is_null || constant->literal == LITERAL_STRING)
            return cast;
        return parse_refuse(context, "a cast of a number or truth value to this type");
    }
    cast->type = builtin;
    if (constant->is_null)
        return cast;
    if (constant->literal == LITERAL_NUMBER && builtin->kind == VALUE_TEXT) {
        if (!check_own_meaning(context, USE_AS_TEXT, constant, NULL))
            return NULL;
        const struct value_type *numeric = builtin_by_oid(1700);
        return constant_text(context, constant, numeric, &cast->text) ? cast : NULL;
    }
    /* A typed literal is what its text is as that type; 0.1::real is '0.1'::real. */
    cast->literal = LITERAL_STRING;
    return constant_text(context, cast, builtin, &cast->text) ? cast : NULL;
}
