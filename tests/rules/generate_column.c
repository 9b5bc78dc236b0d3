#include "generate_internal.h"

uint32_t below(struct generator *generator, uint32_t bound)
{
    return random_below(generator->random, bound);
}

bool percent(struct generator *generator, uint32_t chance)
{
    return random_percent(generator->random, chance);
}

void add(struct generator *generator, const char *text)
{
    buffer_add_str(generator->sql, text);
}

void add_reference(struct generator *generator, struct reference reference)
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

bool is_comparable(const struct type *type)
{
    return type->family != FAMILY_JSON && type->family != FAMILY_JSON_AS_WRITTEN &&
           type->family != FAMILY_ARRAY;
}

struct reference any_column(struct generator *generator, bool (*fits)(const struct type *))
{
    for (;;) {
        const struct source *source = any_source(generator);
        const struct table_column *column =
            &source->table->columns[below(generator, (uint32_t)source->table->column_count)];
        if (fits(column->type))
            return (struct reference){source, column};
    }
}

bool families_meet(const struct type *a, const struct type *b)
{
    if (a->family == b->family)
        return true;
    return (a->family == FAMILY_TEXT && strcmp(a->name, "text") == 0 && b->family == FAMILY_CHAR) ||
           (b->family == FAMILY_TEXT && strcmp(b->name, "text") == 0 && a->family == FAMILY_CHAR);
}

bool find_partner(struct generator *generator, struct reference of, struct reference *found)
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

void add_constant(struct generator *generator, const struct type *type)
{
    generate_constant(generator->random, type, generator->sql);
}

const char *any_operator(struct generator *generator, bool is_ordered)
{
    static const char *const operators[] = {"=", "=", "=", "=", "<>", "!=", "<", "<=", ">", ">="};
    return operators[below(generator, is_ordered ? 10 : 6)];
}

bool is_castable(const struct type *type)
{
    return is_comparable(type) && type->family != FAMILY_FLOAT && type->family != FAMILY_REAL;
}

bool has_column(const struct generator *generator, bool (*fits)(const struct type *))
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

bool is_json(const struct type *type)
{
    return type->family == FAMILY_JSON;
}

bool is_json_as_written(const struct type *type)
{
    return type->family == FAMILY_JSON_AS_WRITTEN;
}

bool is_text(const struct type *type)
{
    return type->family == FAMILY_TEXT;
}
