/* Sub-selects and whole audiences. */
#include "generate_internal.h"

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

void add_select(struct generator *generator, const struct type *const *values, size_t count,
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
    if (!count)
        add(generator, "1");
    for (size_t i = 0; i < count; i++) {
        add(generator, i ? ", " : "");
        add_in_value(generator, values[i]);
    }
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
