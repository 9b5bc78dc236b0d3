#include "schema.h"

#include "weir/base/check.h"

#include <stdio.h>

static const struct type types[] = {
    {"int", FAMILY_NUMBER, true, true, NULL, {"1", "2", "3", "4", "-1"}, {"'2'", "2.0", "1e0"}},
    {"smallint", FAMILY_NUMBER, true, true, NULL, {"1", "2", "3"}, {"'02'", "4"}},
    {"bigint", FAMILY_NUMBER, true, true, NULL, {"1", "2", "9223372036854775807"}, {"2.5"}},
    {"numeric",
     FAMILY_NUMBER,
     true,
     true,
     NULL,
     {"1", "1.0", "2.50", "3", "-1", "0.0", "12345678901234567890.5"},
     {"'1.00'", "25e-1"}},
    {"text", FAMILY_TEXT, true, true, NULL, {"'a'", "'b'", "'ab'", "'a '", "'A'", "'1'"}, {"''"}},
    {"varchar(8)", FAMILY_TEXT, true, true, NULL, {"'a'", "'b'", "'ab'", "'ab '"}, {"'1'"}},
    {"char(3)", FAMILY_CHAR, true, true, NULL, {"'a'", "'b'", "'ab'", "''"}, {"'a  '", "'ab    '"}},
    {"boolean", FAMILY_BOOL, true, false, NULL, {"true", "false"}, {"'t'", "'no'"}},
    {"date",
     FAMILY_DATE,
     true,
     true,
     NULL,
     {"'2026-01-01'", "'2026-12-31'", "'0044-03-15 BC'", "'infinity'", "'0045-01-01 BC'"},
     {"'Jan 1, 2026'", "'-infinity'"}},
    {"timestamp",
     FAMILY_TIMESTAMP,
     true,
     false,
     NULL,
     {"'2026-01-01 00:00'", "'2026-01-01 00:00:00.5'", "'10000-01-01'", "'0044-03-15 12:00 BC'"},
     {"'2026-01-01'"}},
    {"timestamptz",
     FAMILY_TIMESTAMPTZ,
     true,
     true,
     NULL,
     {"'2026-01-01 00:00+00'", "'2026-01-01 00:00:00.25+00'", "'-infinity'"},
     {"'2026-01-01 05:30+05:30'"}},
    {"uuid",
     FAMILY_UUID,
     true,
     true,
     NULL,
     {"'00000000-0000-0000-0000-00000000000a'", "'a0000000-0000-0000-0000-000000000001'"},
     {"'{A0000000-0000-0000-0000-000000000001}'"}},
    {"mood", FAMILY_ENUM, true, false, NULL, {"'ok'", "'sad'", "'so, so'"}, {NULL}},
    {"double precision",
     FAMILY_FLOAT,
     true,
     false,
     NULL,
     {"1", "2.5", "'1e20'", "'-0'", "0", "'1e-7'"},
     {"'2.50'", "0.1", "1e20"}},
    {"real", FAMILY_REAL, true, false, NULL, {"1", "2.5", "0.1", "'1e10'"}, {"'0.1'", "'2.50'"}},
    {"bytea",
     FAMILY_BYTEA,
     true,
     false,
     NULL,
     {"'\\x00'", "'\\x00ff'", "''"},
     {"'\\000'", "'\\xFF'"}},
    {"jsonb",
     FAMILY_JSON,
     false,
     false,
     NULL,
     {"'{\"a\": 1, \"b\": \"x\"}'", "'{\"a\": \"1\", \"b\": null}'", "'[1, \"a\"]'", "'\"a\"'",
      "'null'", "'{\"a\": true, \"b\": {\"c\": \"b\"}}'", "'{\"a\": 1.50}'", "'{\"b\": [1, 2]}'"},
     {NULL}},
    {"json",
     FAMILY_JSON_AS_WRITTEN,
     false,
     false,
     NULL,
     {"'{\"a\": \"x\", \"b\": 1e1}'", "'{\"a\": 1.0, \"a\": \"x\"}'", "'[ 1E0, \"a\", true ]'",
      "'\"a\"'", "'null'", "'{\"a\": true, \"b\": {\"c\": \"b\", \"c\": null}}'",
      "'{\"\\u0061\": \"\\u0078\", \"b\": [\"x\"]}'",
      "'{\"a\": \"2026-01-01\", \"a\" : null, \"b\": false}'"},
     {NULL}},
    {"int[]",
     FAMILY_ARRAY,
     false,
     false,
     "int",
     {"'{}'", "'{1}'", "'{1,2,NULL}'", "'{{1,2},{3,4}}'", "'{3,3}'", "'[0:1]={2,-1}'"},
     {NULL}},
    {"text[]",
     FAMILY_ARRAY,
     false,
     false,
     "text",
     {"'{}'", "'{a}'", "'{a,b,NULL}'", "'{\"a \",\"NULL\",\"\\\"\"}'", "'{ab,A}'"},
     {NULL}},
};

enum { TYPES = sizeof types / sizeof *types };

const struct type *type_by_name(const char *name)
{
    for (size_t i = 0; i < TYPES; i++) {
        if (strcmp(types[i].name, name) == 0)
            return &types[i];
    }
    check(false); /* it is one of the names above */
    return NULL;
}

static void add_column(struct table *table, const char *name, size_t number,
                       const struct type *type, bool is_not_null)
{
    struct table_column *column = &table->columns[table->column_count++];
    snprintf(column->name, sizeof column->name, "%s%u", name, (unsigned)number % 100);
    column->type = type;
    column->is_not_null = is_not_null;
}

static void generate_table(struct table *table, struct random *random, size_t number)
{
    *table = (struct table){.key_count = 1 + random_percent(random, 30)};
    snprintf(table->name, sizeof table->name, "t%u", (unsigned)number % 100);
    for (size_t i = 0; i < table->key_count; i++) {
        const struct type *type = &types[random_below(random, TYPES)];
        while (!type->can_be_key)
            type = &types[random_below(random, TYPES)];
        add_column(table, "k", i, type, true);
    }
    /* Names overlap between tables, so that USING has something to use. */
    for (size_t i = 0; table->column_count < COLUMNS_MAX; i++)
        add_column(table, "c", i, &types[random_below(random, TYPES)], random_percent(random, 20));
}

void schema_generate(struct schema *schema, struct random *random, unsigned number)
{
    snprintf(schema->name, sizeof schema->name, "s%u", number);
    for (size_t i = 0; i < TABLES; i++)
        generate_table(&schema->tables[i], random, i);
}

void schema_sql(const struct schema *schema, struct buffer *sql)
{
    buffer_printf(sql, "CREATE SCHEMA %s;", schema->name);
    for (size_t i = 0; i < TABLES; i++) {
        const struct table *table = &schema->tables[i];
        buffer_printf(sql, "CREATE TABLE %s.%s (", schema->name, table->name);
        for (size_t j = 0; j < table->column_count; j++)
            buffer_printf(sql, "%s %s%s, ", table->columns[j].name,
                          strcmp(table->columns[j].type->name, "mood") ? "" : "public.",
                          table->columns[j].type->name);
        buffer_add_str(sql, "PRIMARY KEY (");
        for (size_t j = 0; j < table->key_count; j++)
            buffer_printf(sql, "%s%s", j ? ", " : "", table->columns[j].name);
        buffer_add_str(sql, "));");
        for (size_t j = table->key_count; j < table->column_count; j++) {
            if (table->columns[j].is_not_null)
                buffer_printf(sql, "ALTER TABLE %s.%s ALTER %s SET NOT NULL;", schema->name,
                              table->name, table->columns[j].name);
        }
    }
}

const char *random_value(const struct type *type, struct random *random, uint32_t null_percent)
{
    uint32_t count = 0;
    if (random_percent(random, null_percent))
        return "NULL";
    while (count < sizeof type->values / sizeof *type->values && type->values[count])
        count++;
    return type->values[random_below(random, count)];
}

void schema_insert(const struct schema *schema, const struct table *table, struct random *random,
                   struct buffer *sql)
{
    buffer_printf(sql, "INSERT INTO %s.%s VALUES (", schema->name, table->name);
    for (size_t i = 0; i < table->column_count; i++) {
        const struct table_column *column = &table->columns[i];
        buffer_printf(sql, "%s%s", i ? ", " : "",
                      random_value(column->type, random, column->is_not_null ? 0 : 25));
    }
    buffer_add_str(sql, ")");
}

void schema_write(const struct schema *schema, struct random *random, struct buffer *sql)
{
    const struct table *table = &schema->tables[random_below(random, TABLES)];
    uint32_t what = random_below(random, 20);
    if (what < 7) {
        schema_insert(schema, table, random, sql);
        return;
    }
    if (what == 7) {
        buffer_printf(sql, "TRUNCATE %s.%s", schema->name, table->name);
        return;
    }
    if (what < 12) {
        buffer_printf(sql, "DELETE FROM %s.%s", schema->name, table->name);
    } else {
        size_t at = random_below(random, (uint32_t)table->column_count);
        const struct table_column *column = &table->columns[at];
        buffer_printf(sql, "UPDATE %s.%s SET %s = %s", schema->name, table->name, column->name,
                      random_value(column->type, random, column->is_not_null ? 0 : 25));
    }
    /* Some of the rows, the same ones for the same seed. */
    buffer_printf(sql, " WHERE hashtext(%s::text || '%u') %% 3 = 0", table->columns[0].name,
                  random_below(random, 1000));
}

void schema_key_expression(const struct table *table, const char *alias, struct buffer *sql)
{
    if (table->key_count == 1) {
        buffer_printf(sql, "%s.%s::text", alias, table->columns[0].name);
        return;
    }
    for (size_t i = 0; i < table->key_count; i++)
        buffer_printf(sql, "%s%s.%s::text || '\"'", i ? " || ',\"' || " : "'[\"' || ", alias,
                      table->columns[i].name);
    buffer_add_str(sql, " || ']'");
}
