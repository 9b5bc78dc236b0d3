/* What to write instead of what is not supported, where there is something. */
#include "parse_internal.h"

static const char in_general[] = "see docs/rules.md for what an audience may hold";
static const char generated_column[] =
    "a generated column can hold it: ADD COLUMN ... GENERATED ALWAYS AS (...) STORED";
static const char by_a_job[] =
    "no row changes when the time comes: let a job update a column, and ask for that";
static const char by_a_count[] =
    "keep what is computed over rows in a column: by a trigger, or a job";
static const char of_an_array[] =
    "the elements of an array column are asked for by x = ANY (column)";

struct hint {
    const char *what, *hint;
};

static const struct hint constructs[] = {
    {"an outer join",
     "what is missing is asked for by NOT EXISTS; alternatives are a UNION, or several rules"},
    {"NATURAL JOIN", "name the columns: JOIN ... USING (...)"},
    {"a subquery in FROM", "join its tables, with its conditions in WHERE"},
    {"WITH", "join its tables, with its conditions in WHERE"},
    {"VALUES", "write IN ('a', 'b'), or SELECT 'a' UNION SELECT 'b'"},
    {"INTERSECT and EXCEPT", "write x IN (SELECT ...), or NOT EXISTS (SELECT ...)"},
    {"ORDER BY", "an audience is a set: leave it out"},
    {"a subquery as a value",
     "write x IN (SELECT ...) instead of x = (SELECT ...), or join its tables"},
    {"CASE", "write its branches as conditions joined by OR, as a UNION, or as several rules"},
    {"a cast of a column to another type than text",
     "compare as text: cast the other side, as in doc ->> 'key' = number::text"},
    {"-> without ->> as its last step", "compare as text: column ->> 'key' = 'value'"},
    {"IS NULL on a composite or JSON column", "ask for a key of it: column -> 'key' IS NULL"},
    {"ILIKE", generated_column},
    {"SIMILAR TO", generated_column},
    {"NULLIF", generated_column},
    {"GREATEST or LEAST", generated_column},
    {"a subscript or a field of a value", generated_column},
    {"BETWEEN SYMMETRIC", "write x BETWEEN a AND b OR x BETWEEN b AND a"},
    {"a condition as a value",
     "ask of it IS TRUE, IS FALSE or IS UNKNOWN, and join conditions by AND and OR"},
    {"a value that changes without a row changing (current_user, now)", by_a_job},
    {"a date or time that moves, such as today,", by_a_job},
    {"|| of anything but text, integers and uuids", "cast it: column::text"},
};

static const struct hint functions[] = {
    {"now", by_a_job},
    {"clock_timestamp", by_a_job},
    {"statement_timestamp", by_a_job},
    {"transaction_timestamp", by_a_job},
    {"age", by_a_job},
    {"date_part", generated_column},
    {"unnest", of_an_array},
    {"array_position", of_an_array},
    {"max", by_a_count},
    {"min", by_a_count},
    {"sum", by_a_count},
    {"avg", by_a_count},
    {"concat", "write a || b"},
    {"format", "write a || b"},
    {"count", "write EXISTS (SELECT ...), or NOT EXISTS (SELECT ...)"},
    {"bool_or", by_a_count},
    {"current_setting",
     "an audience selects all who may see the row: it cannot ask who is reading"},
};

static const struct hint operators[] = {
    {"@>", of_an_array},
    {"<@", of_an_array},
    {"&&", of_an_array},
    {"?", "the value of a key is asked for by column ->> 'key'"},
    {"#>>", "write column -> 'a' ->> 'b'"},
    {"#>", "write column -> 'a' ->> 'b'"},
};

static const char *hint_for(const struct hint *hints, size_t count, const char *what,
                            const char *otherwise)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(hints[i].what, what) == 0)
            return hints[i].hint;
    }
    return otherwise;
}

#define COUNT(array) (sizeof(array) / sizeof *(array))

void *parse_refuse(struct parse_context *context, const char *construct)
{
    err_set(context->err, "%s is not supported in an audience", construct);
    err_hint(context->err, "%s", hint_for(constructs, COUNT(constructs), construct, in_general));
    return NULL;
}

void *parse_refuse_function(struct parse_context *context, const char *name)
{
    err_set(context->err, "the function %s is not supported in an audience", name);
    err_hint(context->err, "%s", hint_for(functions, COUNT(functions), name, generated_column));
    return NULL;
}

void *parse_refuse_operator(struct parse_context *context, const char *name, const char *where)
{
    err_set(context->err, "the operator %s is not supported%s in an audience", name, where);
    err_hint(context->err, "%s", hint_for(operators, COUNT(operators), name, generated_column));
    return NULL;
}
