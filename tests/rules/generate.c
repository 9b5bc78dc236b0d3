#include "generate.h"

enum { SCOPE_MAX = 24 };

struct source {
    const struct table *table;
    char alias[8];
};

struct generator {
    const struct schema *schema;
    struct random *random;
    struct buffer *sql;
    struct source scope[SCOPE_MAX]; /* outer ones first; the target is number 0 */
    size_t scope_count;
    unsigned alias_count;
    int selects_left; /* how many more may be made */
};

struct reference {
    const struct source *source;
    const struct table_column *column;
};

static uint32_t below(struct generator *generator, uint32_t bound)
{
    return random_below(generator->random, bound);
}

static bool percent(struct generator *generator, uint32_t chance)
{
    return random_percent(generator->random, chance);
}

static void add(struct generator *generator, const char *text)
{
    buffer_add_str(generator->sql, text);
}

static void add_reference(struct generator *generator, struct reference reference)
{
    buffer_printf(generator->sql, "%s.%s", reference.source->alias, reference.column->name);
}

/* Inner sources more often, but the row itself as well: it makes the condition mean something. */
static const struct source *any_source(struct generator *generator)
{
    size_t last = generator->scope_count - 1;
    uint32_t what = below(generator, 10);
    if (what < 5)
        return &generator->scope[last];
    if (what < 7)
        return &generator->scope[0];
    return &generator->scope[below(generator, (uint32_t)generator->scope_count)];
}

static bool is_comparable(const struct type *type)
{
    return type->family != FAMILY_JSON && type->family != FAMILY_ARRAY;
}

static struct reference any_column(struct generator *generator, bool (*fits)(const struct type *))
{
    for (;;) {
        const struct source *source = any_source(generator);
        const struct table_column *column =
            &source->table->columns[below(generator, (uint32_t)source->table->column_count)];
        if (fits(column->type))
            return (struct reference){source, column};
    }
}

/* Whether Weir compares the two, and not only Postgres. */
static bool families_meet(const struct type *a, const struct type *b)
{
    if (a->family == b->family)
        return true;
    return (a->family == FAMILY_TEXT && strcmp(a->name, "text") == 0 && b->family == FAMILY_CHAR) ||
           (b->family == FAMILY_TEXT && strcmp(b->name, "text") == 0 && a->family == FAMILY_CHAR);
}

static bool find_partner(struct generator *generator, struct reference of, struct reference *found)
{
    for (int i = 0; i < 12; i++) {
        struct reference other = any_column(generator, is_comparable);
        if (families_meet(of.column->type, other.column->type) &&
            (other.source != of.source || other.column != of.column || percent(generator, 10))) {
            *found = other;
            return true;
        }
    }
    return false;
}

void generate_constant(struct random *random, const struct type *type, struct buffer *sql)
{
    const char *text;
    uint32_t count = 0;
    while (count < 5 && type->constants[count])
        count++;
    if (count && random_percent(random, 30))
        text = type->constants[random_below(random, count)];
    else if (type->family == FAMILY_REAL)
        text = random_percent(random, 50) ? "1" : "'2.5'"; /* 0.1 is not a real's 0.1 */
    else
        text = random_value(type, random, 4);
    buffer_add_str(sql, text);
    /* A cast with a length is refused, and '1e0'::int is an error. */
    if (*text == '\'' && !strchr(type->name, '(') && random_percent(random, 15))
        buffer_printf(sql, "::%s", type->name);
    else if (*text == '\'' && type->family == FAMILY_CHAR && random_percent(random, 15))
        buffer_add_str(sql, "::text");
}

static void add_constant(struct generator *generator, const struct type *type)
{
    generate_constant(generator->random, type, generator->sql);
}

static const char *any_operator(struct generator *generator, bool is_ordered)
{
    static const char *const operators[] = {"=", "=", "=", "=", "<>", "!=", "<", "<=", ">", ">="};
    return operators[below(generator, is_ordered ? 10 : 6)];
}

static bool is_castable(const struct type *type)
{
    return is_comparable(type) && type->family != FAMILY_FLOAT && type->family != FAMILY_REAL;
}

static void add_comparison(struct generator *generator)
{
    struct reference left = any_column(generator, is_comparable), right;
    const char *operator = any_operator(generator, left.column->type->is_ordered);
    bool has_partner = percent(generator, 65) && find_partner(generator, left, &right);
    if (has_partner) {
        bool is_equality = *operator == '=' || *operator == '!' || operator[1] == '>';
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
    return type->family != FAMILY_JSON;
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

static bool has_column(const struct generator *generator, bool (*fits)(const struct type *))
{
    for (size_t i = 0; i < generator->scope_count; i++) {
        /* Only what any_column() will reach for sure. */
        const struct table *table = generator->scope[i].table;
        for (size_t j = 0; j < table->column_count; j++) {
            if (fits(table->columns[j].type))
                return true;
        }
    }
    return false;
}

static void add_truth(struct generator *generator)
{
    static const char *const tests[] = {"",          " IS TRUE",     " IS FALSE", " IS NOT TRUE",
                                        " IS NOT FALSE", " IS UNKNOWN", " IS NOT UNKNOWN",
                                        " IS NULL", " IS NOT NULL"};
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

static bool is_json(const struct type *type)
{
    return type->family == FAMILY_JSON;
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

static void add_json_text(struct generator *generator)
{
    static const char *const paths[] = {"->> 'a'", "->> 'b'", "-> 'b' ->> 'c'", "->> 0", "->> -1",
                                        "-> 'b' ->> 1", "-> 0 ->> 'a'", "-> 'b' -> 'c' ->> 'x'"};
    add(generator, "(");
    add_reference(generator, any_column(generator, is_json));
    buffer_printf(generator->sql, " %s)", paths[below(generator, 8)]);
}

static void add_json(struct generator *generator)
{
    static const char *const others[] = {" = 'x'", " <> '1'", " IS NULL", " IS NOT NULL",
                                         " IN ('1', 'x', 'true')", " = '[1, 2]'"};
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
                           ? "1" : random_value(left.column->type, generator->random, 10));
}

static void add_condition(struct generator *generator, int depth);
static void add_select(struct generator *generator, const struct type *value, bool needs_value,
                       int depth);

static void add_exists(struct generator *generator, int depth)
{
    add(generator, percent(generator, 50) ? "EXISTS (" : "NOT EXISTS (");
    add_select(generator, NULL, false, depth);
    if (percent(generator, 10)) {
        add(generator, " LIMIT 1");
    } else if (percent(generator, 15)) {
        add(generator, " UNION ALL ");
        add_select(generator, NULL, false, depth);
    }
    add(generator, ")");
}

static void add_in_query(struct generator *generator, int depth)
{
    struct reference column = any_column(generator, is_comparable);
    static const char *const forms[] = {" IN (", " IN (", " NOT IN (", " NOT IN (", " = ANY (", " <> ALL ("};
    add_reference(generator, column);
    add(generator, forms[below(generator, 6)]);
    add_select(generator, column.column->type, true, depth);
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
                       ? "1" : random_value(of.column->type, generator->random, 0));
}

static void add_coalesce_of(struct generator *generator, struct reference first)
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

static bool is_text(const struct type *type)
{
    return type->family == FAMILY_TEXT;
}

static void add_like(struct generator *generator)
{
    static const char *const patterns[] = {"'a%'", "'%b'", "'_'", "'a_'", "'%'", "''", "'%a%b%'",
                                           "'\\a%'", "'_%_'"};
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
    uint32_t what = below(generator, 120);
    if (what >= 115 && has_column(generator, is_text))
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

static void add_condition(struct generator *generator, int depth)
{
    static const char *const tests[] = {"TRUE", "NOT TRUE", "FALSE", "NOT FALSE", "UNKNOWN",
                                        "NOT UNKNOWN"};
    uint32_t what = depth > 0 ? below(generator, 100) : 99;
    if (what < 4) {
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

/* FROM */

static const struct source *push_source(struct generator *generator)
{
    struct source *source = &generator->scope[generator->scope_count++];
    source->table = &generator->schema->tables[below(generator, TABLES)];
    buffer_printf(generator->sql, "%s%s", percent(generator, 20) ? generator->schema->name : "",
                  "");
    generator->alias_count++;
    *source->alias = 'x';
    source->alias[1] = (char)('a' + generator->alias_count / 26);
    source->alias[2] = (char)('a' + generator->alias_count % 26);
    source->alias[3] = '\0';
    return source;
}

static void add_table(struct generator *generator)
{
    size_t start = generator->sql->len;
    const struct source *source = push_source(generator);
    if (generator->sql->len > start)
        add(generator, ".");
    buffer_printf(generator->sql, "%s %s", source->table->name, source->alias);
}

static bool shared_column(const struct source *a, const struct source *b, const char **name)
{
    for (size_t i = 0; i < a->table->column_count; i++) {
        for (size_t j = 0; j < b->table->column_count; j++) {
            const struct table_column *x = &a->table->columns[i], *y = &b->table->columns[j];
            if (strcmp(x->name, y->name) == 0 && families_meet(x->type, y->type) &&
                is_comparable(x->type)) {
                *name = x->name;
                return true;
            }
        }
    }
    return false;
}

/* `JOIN t x ON ...` or USING; ON sees the sources of this SELECT only. */
static void add_join(struct generator *generator, size_t first)
{
    const char *name;
    add(generator, " JOIN ");
    add_table(generator);
    size_t last = generator->scope_count - 1;
    if (last - first == 1 && percent(generator, 40) &&
        shared_column(&generator->scope[first], &generator->scope[last], &name)) {
        buffer_printf(generator->sql, " USING (%s)", name);
        return;
    }
    add(generator, " ON ");
    add_comparison(generator);
}

static void add_from(struct generator *generator)
{
    size_t first = generator->scope_count;
    add(generator, " FROM ");
    add_table(generator);
    uint32_t more = below(generator, 10);
    if (more < 3) {
        add_join(generator, first);
        if (percent(generator, 15))
            add_join(generator, first);
    } else if (more < 5) {
        add(generator, percent(generator, 50) ? ", " : " CROSS JOIN ");
        add_table(generator);
    }
}

static bool is_concatenated(const struct type *type)
{
    return type->family == FAMILY_UUID || strcmp(type->name, "text") == 0 ||
           strcmp(type->name, "int") == 0 || strcmp(type->name, "bigint") == 0;
}

static void add_subject(struct generator *generator, bool as_text)
{
    uint32_t what = below(generator, 10);
    if (what == 0) {
        add(generator, "'everyone'");
    } else if (what == 1 && has_column(generator, is_json)) {
        add_json_text(generator);
    } else if (what < 4 && has_column(generator, is_concatenated)) {
        add(generator, "'u/' || ");
        add_reference(generator, any_column(generator, is_concatenated));
        add(generator, percent(generator, 30) ? " || '.'" : "");
    } else if (what == 4 && has_column(generator, is_text)) {
        add_coalesce_of(generator, any_column(generator, is_text));
    } else {
        add_reference(generator, any_column(generator, is_castable));
        add(generator, as_text || percent(generator, 20) ? "::text" : "");
    }
}

/* A value to compare with the type, for IN. */
static void add_in_value(struct generator *generator, const struct type *type)
{
    for (int i = 0; i < 20; i++) {
        struct reference column = any_column(generator, is_comparable);
        if (families_meet(type, column.column->type)) {
            add_reference(generator, column);
            return;
        }
    }
    /* Typed, as a bare string would be text by itself. */
    buffer_printf(generator->sql, "NULL::%s", type->name);
}

static void add_select(struct generator *generator, const struct type *value, bool needs_value,
                       int depth)
{
    size_t outer = generator->scope_count;
    struct buffer from = BUFFER_INIT, *sql = generator->sql;
    generator->selects_left--;
    /* FROM is made first, as the value needs its names. */
    generator->sql = &from;
    if (percent(generator, 95))
        add_from(generator);
    if (percent(generator, 85)) {
        add(generator, " WHERE ");
        add_condition(generator, depth);
    }
    generator->sql = sql;
    add(generator, percent(generator, 10) ? "SELECT DISTINCT " : "SELECT ");
    if (!needs_value)
        add(generator, "1");
    else
        add_in_value(generator, value);
    buffer_add_slice(sql, buffer_slice(&from));
    buffer_release(&from);
    generator->scope_count = outer;
}

static void add_audience_select(struct generator *generator, bool as_text)
{
    struct buffer from = BUFFER_INIT, *sql = generator->sql;
    size_t outer = generator->scope_count;
    generator->sql = &from;
    if (percent(generator, 85))
        add_from(generator);
    if (percent(generator, 90)) {
        add(generator, " WHERE ");
        add_condition(generator, 3);
    }
    generator->sql = sql;
    bool is_distinct = percent(generator, 10); /* of numeric only as text */
    add(generator, is_distinct ? "SELECT DISTINCT " : "SELECT ");
    add_subject(generator, as_text || is_distinct);
    buffer_add_slice(sql, buffer_slice(&from));
    buffer_release(&from);
    generator->scope_count = outer;
}

void generate_audience(const struct schema *schema, const struct table *target,
                       struct random *random, struct buffer *sql)
{
    struct generator generator = {
        .schema = schema, .random = random, .sql = sql, .scope_count = 1, .selects_left = 3};
    generator.scope[0].table = target;
    memcpy(generator.scope[0].alias, target->name, sizeof target->name);
    bool is_union = random_percent(random, 20);
    add_audience_select(&generator, is_union);
    if (is_union) {
        add(&generator, random_percent(random, 50) ? " UNION " : " UNION ALL ");
        add_audience_select(&generator, true);
    }
}
