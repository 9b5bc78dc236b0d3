#include "generate.h"

struct side {
    const struct table *table;
    const char *alias;
};

static bool is_compared(const struct type *type)
{
    return type->family != FAMILY_JSON && type->family != FAMILY_JSON_AS_WRITTEN &&
           type->family != FAMILY_ARRAY;
}

static bool is_castable(const struct type *type)
{
    return is_compared(type) && type->family != FAMILY_FLOAT && type->family != FAMILY_REAL;
}

static const struct table_column *column_of(const struct side *side, struct random *random,
                                            bool (*fits)(const struct type *))
{
    for (;;) {
        const struct table_column *column =
            &side->table->columns[random_below(random, (uint32_t)side->table->column_count)];
        if (fits(column->type))
            return column;
    }
}

static const struct table_column *find_family(const struct side *side, struct random *random,
                                              enum family family)
{
    size_t start = random_below(random, (uint32_t)side->table->column_count);
    for (size_t i = 0; i < side->table->column_count; i++) {
        size_t at = (start + i) % side->table->column_count;
        if (side->table->columns[at].type->family == family)
            return &side->table->columns[at];
    }
    return NULL;
}

static void add_equality(const struct side *side, struct random *random, struct buffer *sql)
{
    const struct table_column *column = column_of(side, random, is_compared);
    if (is_castable(column->type) && random_percent(random, 10)) {
        buffer_printf(sql, "%s.%s::text = '1'", side->alias, column->name);
    } else if (random_percent(random, 15)) {
        generate_constant(random, column->type, sql);
        buffer_printf(sql, " = %s.%s", side->alias, column->name);
    } else {
        buffer_printf(sql, "%s.%s = ", side->alias, column->name);
        generate_constant(random, column->type, sql);
    }
}

static void add_list(const struct side *side, struct random *random, struct buffer *sql)
{
    const struct table_column *column = column_of(side, random, is_castable);
    uint32_t count = 1 + random_below(random, 4);
    buffer_printf(sql, "%s.%s IN (", side->alias, column->name);
    for (uint32_t i = 0; i < count; i++)
        buffer_printf(sql, "%s%s", i ? ", " : "", random_value(column->type, random, 8));
    buffer_add_char(sql, ')');
}

static void add_array(const struct side *side, struct random *random, struct buffer *sql)
{
    const struct table_column *column = find_family(side, random, FAMILY_ARRAY);
    if (!column) {
        add_equality(side, random, sql);
        return;
    }
    buffer_printf(sql, "%s = ANY (%s.%s)",
                  random_value(type_by_name(column->type->element), random, 3), side->alias,
                  column->name);
}

static void add_json(const struct side *side, struct random *random, struct buffer *sql)
{
    static const char *const tests[] = {"->> 'a' = '1'", "->> 'b' = 'x'",
                                        "->> 'a' IN ('1', 'true')", "-> 'b' ->> 'c' = 'b'",
                                        "->> 0 = '1'"};
    const struct table_column *column = find_family(side, random, FAMILY_JSON);
    if (!column)
        add_list(side, random, sql);
    else
        buffer_printf(sql, "%s.%s %s", side->alias, column->name, tests[random_below(random, 5)]);
}

static void add_other(const struct side *side, struct random *random, struct buffer *sql)
{
    const struct table_column *column = column_of(side, random, is_compared);
    if (random_percent(random, 50)) {
        buffer_printf(sql, "%s.%s IS NOT NULL", side->alias, column->name);
    } else {
        buffer_printf(sql, "%s.%s <> ", side->alias, column->name);
        generate_constant(random, column->type, sql);
    }
}

static void add_condition(const struct side *side, struct random *random, struct buffer *sql)
{
    uint32_t what = random_below(random, 20);
    if (what < 11)
        add_equality(side, random, sql);
    else if (what < 15)
        add_list(side, random, sql);
    else if (what < 17)
        add_array(side, random, sql);
    else if (what < 18)
        add_json(side, random, sql);
    else if (what < 19)
        add_other(side, random, sql);
    else {
        buffer_add_char(sql, '(');
        add_equality(side, random, sql);
        buffer_add_str(sql, " OR ");
        add_equality(side, random, sql);
        buffer_add_char(sql, ')');
    }
}

/* What links the joined row to the target: columns, an array of either, or nothing. */
static void add_link(const struct side *target, const struct side *joined, struct random *random,
                     struct buffer *sql)
{
    for (int i = 0; i < 20; i++) {
        const struct side *left = random_percent(random, 50) ? target : joined;
        const struct side *right = left == target ? joined : target;
        const struct table_column *array = find_family(right, random, FAMILY_ARRAY);
        const struct table_column *column = column_of(left, random, is_compared), *other;
        if (array && random_percent(random, 40)) {
            column = find_family(left, random, type_by_name(array->type->element)->family);
            if (column) {
                buffer_printf(sql, "%s.%s = ANY (%s.%s)", left->alias, column->name, right->alias,
                              array->name);
                return;
            }
            continue;
        }
        other = find_family(right, random, column->type->family);
        if (other) {
            buffer_printf(sql, "%s.%s = %s.%s", left->alias, column->name, right->alias,
                          other->name);
            return;
        }
    }
    buffer_add_str(sql, "true");
}

void generate_constant_audience(const struct schema *schema, const struct table *target,
                                struct random *random, struct buffer *sql)
{
    struct side row = {target, target->name};
    struct side joined = {&schema->tables[random_below(random, TABLES)], "x"};
    uint32_t form = random_below(random, 10);
    const struct side *shown = form >= 5 && form < 9 ? &joined : &row;
    if (random_percent(random, 30))
        buffer_printf(sql, "SELECT 's%u'", random_below(random, 6));
    else
        buffer_printf(sql, "SELECT %s.%s::text", shown->alias,
                      column_of(shown, random, is_castable)->name);
    if (form >= 5 && form < 9)
        buffer_printf(sql, " FROM %s x", joined.table->name);
    buffer_add_str(sql, " WHERE ");
    add_condition(form < 7 && form >= 5 ? &joined : &row, random, sql);
    for (uint32_t more = random_below(random, 3); more > 0; more--) {
        buffer_add_str(sql, " AND ");
        add_condition(random_percent(random, 50) ? shown : &row, random, sql);
    }
    if (shown == &joined && random_percent(random, 80)) {
        buffer_add_str(sql, " AND ");
        add_link(&row, &joined, random, sql);
    }
    if (form == 9) {
        buffer_printf(sql, " AND NOT EXISTS (SELECT 1 FROM %s x WHERE ", joined.table->name);
        add_condition(&joined, random, sql);
        buffer_add_str(sql, " AND ");
        add_link(&row, &joined, random, sql);
        buffer_add_char(sql, ')');
    }
}
