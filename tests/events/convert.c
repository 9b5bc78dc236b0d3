/* Texts of another type than the column's, as they come between an ALTER TABLE and the look at the
 * catalog that finds it: whatever they are, what is made of them is one JSON value, or nothing is.
 */
#include "weir/events/convert.h"

#include <criterion/criterion.h>

static const struct value_type text_type = {
    .oid = 25, .base_oid = 25, .kind = VALUE_TEXT, .delimiter = ',', .name = "text"};
static const struct value_type int_type = {
    .oid = 23, .base_oid = 23, .kind = VALUE_INTEGER, .delimiter = ',', .name = "integer"};
static const struct value_field fields[] = {{SLICE("\"a\""), &int_type}};

static const struct value_type types[] = {
    {.base_oid = 16, .kind = VALUE_BOOL, .name = "boolean"},
    {.base_oid = 23, .kind = VALUE_INTEGER, .name = "integer"},
    {.base_oid = 1700, .kind = VALUE_NUMERIC, .name = "numeric"},
    {.base_oid = 701, .kind = VALUE_FLOAT, .name = "double precision"},
    {.base_oid = 25, .kind = VALUE_TEXT, .name = "text"},
    {.base_oid = 1082, .kind = VALUE_DATE, .name = "date"},
    {.base_oid = 1114, .kind = VALUE_TIMESTAMP, .name = "timestamp"},
    {.base_oid = 1184, .kind = VALUE_TIMESTAMPTZ, .name = "timestamptz"},
    {.base_oid = 17, .kind = VALUE_BYTEA, .name = "bytea"},
    {.base_oid = 114, .kind = VALUE_JSON, .name = "json"},
    {.base_oid = 3802, .kind = VALUE_JSON, .name = "jsonb"},
    {.base_oid = 1007, .kind = VALUE_ARRAY, .element = &int_type, .name = "integer[]"},
    {.base_oid = 1009, .kind = VALUE_ARRAY, .element = &text_type, .name = "text[]"},
    {.base_oid = 20000,
     .kind = VALUE_COMPOSITE,
     .fields = fields,
     .field_count = 1,
     .name = "pair"},
    {.base_oid = 22, .kind = VALUE_OTHER, .name = "int2vector"},
    {.base_oid = 30, .kind = VALUE_OTHER, .name = "oidvector"},
    {.base_oid = 600, .kind = VALUE_OTHER, .name = "point"},
};

static const char *const tokens[] = {
    "\"50%\"",
    "\"quote\\\"d\"",
    "\"\"",
    "\"-\"",
    "\"1 x\"",
    "\"2026-01-02\"",
    "\"2026-01-02 3\\\"\"",
    "\"{\\\"a\"",
    "\"{1,2%}\"",
    "\"{1,2}\"",
    "\"(1%)\"",
    "\"(\"",
    "\"[\"",
    "\"1\\\\\"",
    "\"t\"",
    "\"\\u0001\"",
    "\"NaN\"",
    "\"5\"",
    "\"é\"",
    "1",
    "-1.5e+3",
    "true",
    "null",
};

static void check_token(const struct value_type *type, const char *text)
{
    struct buffer out = BUFFER_INIT, scratch = BUFFER_INIT;
    struct json_scan scan = json_scan_of(slice_from_str(text));
    struct json_value token;
    struct slice json;
    struct err err;
    cr_assert(json_scan_value(&scan, &token));
    if (convert_token(&out, type, &token, &scratch, &json, NULL, &err))
        cr_expect(json_is_valid(json), "%s as %s: %.*s", text, type->name, SLICE_ARG(json));
    else
        cr_expect(strstr(err.message, "does not have the form"), "%s", err.message);
    buffer_release(&out);
    buffer_release(&scratch);
}

Test(convert, a_text_of_another_type_is_no_broken_json)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        for (size_t j = 0; j < sizeof tokens / sizeof *tokens; j++)
            check_token(&types[i], tokens[j]);
    }
}
