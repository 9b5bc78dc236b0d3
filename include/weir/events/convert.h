/* Values as Postgres hands them over, to values as to_jsonb() shows them.
 *
 * to_jsonb() is the specification: numbers keep their digits, timestamps are ISO 8601, arrays and
 * composites become JSON, everything else is a string of its text. The sources are COPY's text and
 * wal2json's tokens, under the session settings that src/postgres pins.
 * https://www.postgresql.org/docs/15/functions-json.html
 * Pure, but for types that have a function of their own to make them json: Postgres is asked about
 * those. Text that does not have the form its type promises is an error that names the type. */
#pragma once

#include "weir/base/err.h"
#include "weir/base/json.h"
#include "weir/replica/relation.h"

/* Appends what to_json() makes of a value of the type, VALUE_JSON_CAST, that has this text. */
struct json_casts {
    bool (*ask)(void *context, const struct value_type *type, struct slice text,
                struct buffer *json, struct err *err);
    void *context;
};

/* Appends the JSON value of a text in Postgres's output form. text.data == NULL is NULL. */
bool convert_text(struct buffer *out, const struct value_type *type, struct slice text,
                  const struct json_casts *casts, struct err *err) WEIR_MUST_CHECK;

/* Appends the JSON value of what to_json() has made of any type. */
void convert_to_json(struct buffer *out, struct slice json);

/* Whether a value of the type has one of VALUE_JSON_CAST in it. */
bool convert_asks(const struct value_type *type);

/* The same for a token of wal2json 2: numbers and truth values bare, bytea without \x, everything
 * else a string of the text. *json is borrowed from the token where it is already the value, else
 * from out, which is appended to. */
bool convert_token(struct buffer *out, const struct value_type *type,
                   const struct json_value *token, struct buffer *scratch, struct slice *json,
                   const struct json_casts *casts, struct err *err) WEIR_MUST_CHECK;
