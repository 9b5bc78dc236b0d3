/* What may stand in a WHERE. */
#include "generate_internal.h"

void add_comparison(struct generator *generator)
{
    struct reference left = any_column(generator, is_comparable), right;
    const char *operator= any_operator(generator, left.column->type->is_ordered);
    bool has_partner = percent(generator, 65) && find_partner(generator, left, &right);
    if (has_partner) {
        bool is_equality = *operator== '=' || * operator== '!' || operator[1] == '>';
        bool is_text = is_equality && is_castable(left.column->type) &&
                       is_castable(right.column->type) && percent(generator, 15);
        add_reference(generator, left);
        buffer_printf(generator->sql, "%s %s ", is_text ? "::text" : "", operator);
        add_reference(generator, right);
        add(generator, is_text ? "::text" : "");
        return;
    }
    bool is_flipped = percent(generator, 20);
    if (is_flipped) {
        add_constant(generator, left.column->type);
        buffer_printf(generator->sql, " %s ", operator);
    }
    add_reference(generator, left);
    if (!is_flipped) {
        buffer_printf(generator->sql, " %s ", operator);
        add_constant(generator, left.column->type);
    }
}

static void add_list(struct generator *generator)
{
    struct reference column = any_column(generator, is_comparable);
    add_reference(generator, column);
    add(generator, percent(generator, 60) ? " IN (" : " NOT IN (");
    uint32_t count = 1 + below(generator, 3);
    for (uint32_t i = 0; i < count; i++) {
        add(generator, i ? ", " : "");
        if (percent(generator, 8))
            add(generator, "NULL");
        else if (column.column->type->family == FAMILY_REAL)
            add_constant(generator, column.column->type);
        else
            add(generator, random_value(column.column->type, generator->random, 0));
    }
    add(generator, ")");
}

static bool is_ordered(const struct type *type)
{
    return type->is_ordered && is_comparable(type) && type->family != FAMILY_REAL;
}

static bool is_bool(const struct type *type)
{
    return type->family == FAMILY_BOOL;
}

static bool is_not_json(const struct type *type)
{
    return type->family != FAMILY_JSON && type->family != FAMILY_JSON_AS_WRITTEN;
}

static void add_between(struct generator *generator)
{
    struct reference column = any_column(generator, is_ordered);
    add_reference(generator, column);
    add(generator, percent(generator, 70) ? " BETWEEN " : " NOT BETWEEN ");
    add_constant(generator, column.column->type);
    add(generator, " AND ");
    add_constant(generator, column.column->type);
}

static void add_truth(struct generator *generator)
{
    static const char *const tests[] = {"",
                                        " IS TRUE",
                                        " IS FALSE",
                                        " IS NOT TRUE",
                                        " IS NOT FALSE",
                                        " IS UNKNOWN",
                                        " IS NOT UNKNOWN",
                                        " IS NULL",
                                        " IS NOT NULL"};
    if (!has_column(generator, is_bool)) {
        add(generator, percent(generator, 50) ? "true" : "false");
        return;
    }
    add_reference(generator, any_column(generator, is_bool));
    add(generator, tests[below(generator, 9)]);
}

static void add_null_test(struct generator *generator)
{
    add_reference(generator, any_column(generator, is_not_json));
    add(generator, percent(generator, 50) ? " IS NULL" : " IS NOT NULL");
}

static bool is_array(const struct type *type)
{
    return type->family == FAMILY_ARRAY;
}

/* x = ANY (array column) or x <> ALL (…), x a column or a constant. */
static void add_any(struct generator *generator)
{
    struct reference array = any_column(generator, is_array);
    const struct type *element = type_by_name(array.column->type->element);
    bool is_negated = percent(generator, 30);
    add(generator, is_negated ? "NOT (" : "");
    struct reference left;
    bool has_left = false;
    for (int i = 0; i < 12 && !has_left; i++) {
        left = any_column(generator, is_comparable);
        has_left = left.column->type->family == element->family;
    }
    if (has_left)
        add_reference(generator, left);
    else
        add(generator, random_value(element, generator->random, 5));
    add(generator, percent(generator, 70) ? " = ANY (" : " <> ALL (");
    add_reference(generator, array);
    add(generator, is_negated ? "))" : ")");
}

void add_json_text(struct generator *generator)
{
    static const char *const paths[] = {
        "->> 'a'", "->> 'b'",      "-> 'b' ->> 'c'", "->> 0",
        "->> -1",  "-> 'b' ->> 1", "-> 0 ->> 'a'",   "-> 'b' -> 'c' ->> 'x'"};
    add(generator, "(");
    add_reference(generator, any_column(generator, is_json));
    buffer_printf(generator->sql, " %s)", paths[below(generator, 8)]);
}

static void add_json(struct generator *generator)
{
    static const char *const others[] = {
        " = 'x'", " <> '1'", " IS NULL", " IS NOT NULL", " IN ('1', 'x', 'true')", " = '[1, 2]'"};
    struct reference text;
    bool has_text = false;
    for (int i = 0; i < 12 && !has_text; i++) {
        text = any_column(generator, is_comparable);
        has_text = text.column->type->family == FAMILY_TEXT;
    }
    if (has_text && percent(generator, 50)) {
        add_reference(generator, text);
        add(generator, percent(generator, 80) ? " = " : " <> ");
        add_json_text(generator);
        return;
    }
    add_json_text(generator);
    add(generator, others[below(generator, 6)]);
}

static bool is_spelled_like_no_json(const struct type *type)
{
    return type->family == FAMILY_BOOL || type->family == FAMILY_DATE ||
           type->family == FAMILY_UUID;
}

/* What does not hang on how a number or a document is written. */
static void add_json_as_written(struct generator *generator)
{
    static const char *const paths[] = {"->> 'a'", "->> 'b'",      "-> 'b' ->> 'c'", "->> 0",
                                        "->> -1",  "-> 'b' ->> 0", "-> 0 ->> 'a'"};
    static const char *const tests[] = {" = 'x'",
                                        " <> 'x'",
                                        " <> ''",
                                        " IS NULL",
                                        " IS NOT NULL",
                                        " IN ('x', 'true', NULL)",
                                        " NOT IN ('x', 'a')",
                                        " = ANY ('{x,true}')"};
    bool is_pair = has_column(generator, is_spelled_like_no_json) && percent(generator, 40);
    add(generator, "(");
    add_reference(generator, any_column(generator, is_json_as_written));
    buffer_printf(generator->sql, " %s)", paths[below(generator, 7)]);
    add(generator, is_pair ? percent(generator, 60) ? " = " : " <> " : tests[below(generator, 8)]);
    if (is_pair) {
        add_reference(generator, any_column(generator, is_spelled_like_no_json));
        add(generator, "::text");
    }
}

static void add_json_null_test(struct generator *generator, bool (*fits)(const struct type *))
{
    static const char *const paths[] = {"-> 'a'", "-> 'b'", "-> 'b' -> 'c'", "-> 'b' -> 0",
                                        "-> 'a' -> -1"};
    add(generator, "(");
    add_reference(generator, any_column(generator, fits));
    buffer_printf(generator->sql, " %s) IS%s NULL", paths[below(generator, 5)],
                  percent(generator, 50) ? " NOT" : "");
}

/* (a, b) = (c, d), and IN of a list of one or two such. */
static void add_rows(struct generator *generator)
{
    struct reference left[2], right[2];
    for (int i = 0; i < 2; i++) {
        left[i] = any_column(generator, is_comparable);
        if (!find_partner(generator, left[i], &right[i]))
            right[i] = left[i];
    }
    static const char *const operators[] = {" = (", " <> (", " IN ((", " NOT IN (("};
    uint32_t what = below(generator, 4);
    add(generator, "(");
    add_reference(generator, left[0]);
    add(generator, ", ");
    add_reference(generator, left[1]);
    buffer_printf(generator->sql, ")%s", operators[what]);
    add_reference(generator, right[0]);
    add(generator, ", ");
    if (left[1].column->type->family != FAMILY_REAL && percent(generator, 30))
        add(generator, random_value(left[1].column->type, generator->random, 10));
    else
        add_reference(generator, right[1]);
    add(generator, what < 2 ? ")" : "))");
}

static void add_distinct(struct generator *generator)
{
    struct reference left = any_column(generator, is_comparable), right;
    bool has_partner = percent(generator, 80) && find_partner(generator, left, &right);
    add_reference(generator, left);
    add(generator, percent(generator, 50) ? " IS DISTINCT FROM " : " IS NOT DISTINCT FROM ");
    if (has_partner)
        add_reference(generator, right);
    else
        add(generator, left.column->type->family == FAMILY_REAL
                           ? "1"
                           : random_value(left.column->type, generator->random, 10));
}

static void add_exists(struct generator *generator, int depth)
{
    add(generator, percent(generator, 50) ? "EXISTS (" : "NOT EXISTS (");
    add_select(generator, NULL, 0, depth);
    if (percent(generator, 10)) {
        add(generator, " LIMIT 1");
    } else if (percent(generator, 15)) {
        add(generator, " UNION ALL ");
        add_select(generator, NULL, 0, depth);
    }
    add(generator, ")");
}

static void add_in_query(struct generator *generator, int depth)
{
    struct reference column = any_column(generator, is_comparable), second;
    static const char *const forms[] = {" IN (",     " IN (",    " NOT IN (",
                                        " NOT IN (", " = ANY (", " <> ALL ("};
    if (percent(generator, 20)) {
        second = any_column(generator, is_comparable);
        const struct type *types[2] = {column.column->type, second.column->type};
        add(generator, "(");
        add_reference(generator, column);
        add(generator, ", ");
        add_reference(generator, second);
        buffer_printf(generator->sql, ")%s", forms[below(generator, 4)]);
        add_select(generator, types, 2, depth);
        add(generator, ")");
        return;
    }
    add_reference(generator, column);
    add(generator, forms[below(generator, 6)]);
    add_select(generator, &column.column->type, 1, depth);
    add(generator, ")");
}

/* A column of the same family, or a constant that is not NULL. */
static void add_relative(struct generator *generator, struct reference of)
{
    for (int i = 0; i < 6; i++) {
        struct reference other = any_column(generator, is_comparable);
        if (other.column->type->family == of.column->type->family) {
            add_reference(generator, other);
            return;
        }
    }
    add(generator, of.column->type->family == FAMILY_REAL
                       ? "1"
                       : random_value(of.column->type, generator->random, 0));
}

void add_coalesce_of(struct generator *generator, struct reference first)
{
    add(generator, "COALESCE(");
    add_reference(generator, first);
    for (uint32_t i = 0; i < 2; i++) {
        add(generator, ", ");
        add_relative(generator, first);
        if (percent(generator, 60))
            break;
    }
    add(generator, ")");
}

static void add_coalesce(struct generator *generator)
{
    struct reference left = any_column(generator, is_comparable);
    if (left.column->type->family == FAMILY_BOOL && percent(generator, 50)) {
        add_coalesce_of(generator, left);
        return;
    }
    bool is_left = percent(generator, 80);
    if (is_left)
        add_coalesce_of(generator, left);
    else
        add_reference(generator, left);
    buffer_printf(generator->sql, " %s ", any_operator(generator, left.column->type->is_ordered));
    if (!is_left || percent(generator, 20))
        add_coalesce_of(generator, left);
    else
        add_relative(generator, left);
}

static void add_mixed_list(struct generator *generator)
{
    struct reference left = any_column(generator, is_comparable);
    if (percent(generator, 20))
        add_coalesce_of(generator, left);
    else
        add_reference(generator, left);
    add(generator, percent(generator, 60) ? " IN (" : " NOT IN (");
    for (uint32_t i = 0, count = 1 + below(generator, 3); i < count; i++) {
        add(generator, i ? ", " : "");
        add_relative(generator, left);
    }
    add(generator, ")");
}

static void add_like(struct generator *generator)
{
    static const char *const patterns[] = {"'a%'", "'%b'",    "'_'",    "'a_'", "'%'",
                                           "''",   "'%a%b%'", "'\\a%'", "'_%_'"};
    add_reference(generator, any_column(generator, is_text));
    buffer_printf(generator->sql, "%s LIKE %s", percent(generator, 30) ? " NOT" : "",
                  patterns[below(generator, 9)]);
}

static void add_array_literal(struct generator *generator)
{
    struct reference column = any_column(generator, is_comparable);
    bool is_number = column.column->type->family == FAMILY_NUMBER;
    if (!is_number && column.column->type->family != FAMILY_TEXT) {
        add_mixed_list(generator);
        return;
    }
    add_reference(generator, column);
    add(generator, percent(generator, 60) ? " = ANY (" : " <> ALL (");
    add(generator, is_number ? "'{1, 02, -1}')" : "'{{a,\"b\"},{\"a \",NULL}}')");
}

static void add_leaf(struct generator *generator, int depth)
{
    uint32_t what = below(generator, 134);
    if (what >= 129)
        add_rows(generator);
    else if (what >= 127 && has_column(generator, is_json))
        add_json_null_test(generator, is_json);
    else if (what >= 125 && has_column(generator, is_json_as_written))
        add_json_null_test(generator, is_json_as_written);
    else if (what >= 120 && has_column(generator, is_json_as_written))
        add_json_as_written(generator);
    else if (what >= 115 && has_column(generator, is_text))
        add_like(generator);
    else if (what >= 112)
        add_array_literal(generator);
    else if (what >= 107)
        add_mixed_list(generator);
    else if (what >= 100)
        add_coalesce(generator);
    else if (what < 6 && has_column(generator, is_array))
        add_any(generator);
    else if (what < 11 && has_column(generator, is_json))
        add_json(generator);
    else if (what < 16)
        add_distinct(generator);
    else if (what < 50)
        add_comparison(generator);
    else if (what < 60)
        add_list(generator);
    else if (what < 67 && has_column(generator, is_ordered))
        add_between(generator);
    else if (what < 75)
        add_truth(generator);
    else if (what < 82)
        add_null_test(generator);
    else if (generator->selects_left <= 0 || generator->scope_count + 3 > SCOPE_MAX)
        add_comparison(generator);
    else if (what < 92)
        add_exists(generator, depth - 1);
    else
        add_in_query(generator, depth - 1);
}

void add_condition(struct generator *generator, int depth)
{
    static const char *const tests[] = {"TRUE",      "NOT TRUE", "FALSE",
                                        "NOT FALSE", "UNKNOWN",  "NOT UNKNOWN"};
    uint32_t what = depth > 0 ? below(generator, 102) : 99;
    if (what >= 100) {
        add(generator, "COALESCE(NOT (");
        add_condition(generator, depth - 1);
        add(generator, percent(generator, 50) ? "), true)" : "), false)");
    } else if (what < 4) {
        add(generator, "(");
        add_condition(generator, depth - 1);
        buffer_printf(generator->sql, ") IS %s", tests[below(generator, 6)]);
    } else if (what < 12) {
        add(generator, "NOT (");
        add_condition(generator, depth - 1);
        add(generator, ")");
    } else if (what < 55) {
        add(generator, "(");
        add_condition(generator, depth - 1);
        add(generator, what < 36 ? " AND " : " OR ");
        add_condition(generator, depth - 1);
        add(generator, ")");
    } else {
        add_leaf(generator, depth);
    }
}
