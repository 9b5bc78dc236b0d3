#include "weir/events/convert.h"

#include "convert_json.h"

#include <ctype.h>

/* From Postgres's pg_type.dat; they never change. */
enum { OID_INT2VECTOR = 22, OID_OIDVECTOR = 30, OID_JSON = 114 };

static bool malformed(const struct value_type *type, struct err *err)
{
    return err_set(err, "a value of type %s does not have the form that is expected of it",
                   type->name);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_number(struct slice text)
{
    return text.len && (is_digit(text.data[0]) || text.data[0] == '-') && json_is_valid(text);
}

/* NaN and the infinities are strings in JSON. Anything else is a value from before or after the
 * column got another type: it must not be taken for one of this. */
static bool add_number(struct buffer *out, const struct value_type *type, struct slice text,
                       struct err *err)
{
    if (is_number(text))
        convert_number(out, text);
    else if (slice_eq_str(text, "NaN") || slice_eq_str(text, "Infinity") ||
             slice_eq_str(text, "-Infinity"))
        json_add_string(out, text);
    else
        return malformed(type, err);
    return true;
}

/* Nothing that a JSON string writes in another way. */
static bool is_plain(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < ' ' || text.data[i] == '"' || text.data[i] == '\\')
            return false;
    }
    return true;
}

/* `2026-01-02 03:04:05.6+00 BC` to `2026-01-02T03:04:05.6+00:00 BC`. */
static void add_timestamp(struct buffer *out, struct slice text, bool has_zone)
{
    const char *space = text.len ? memchr(text.data, ' ', text.len) : NULL;
    if (!space || !is_digit(text.data[0]) || !is_plain(text)) {
        json_add_string(out, text);
        return;
    }
    const char *end = text.data + text.len;
    buffer_add_char(out, '"');
    buffer_add(out, text.data, (size_t)(space - text.data));
    buffer_add_char(out, 'T');
    const char *zone = has_zone ? memchr(space, '+', (size_t)(end - space)) : NULL;
    const char *behind_zone = zone && end - zone >= 3 ? zone + 3 : NULL;
    if (behind_zone) {
        buffer_add(out, space + 1, (size_t)(behind_zone - space - 1));
        buffer_add_str(out, ":00");
        buffer_add(out, behind_zone, (size_t)(end - behind_zone));
    } else {
        buffer_add(out, space + 1, (size_t)(end - space - 1));
    }
    buffer_add_char(out, '"');
}

/* int2vector and oidvector, arrays to to_jsonb(): `1 2 3`. oids are strings there. */
static bool convert_vector(struct buffer *out, const struct value_type *type, struct slice text,
                           struct err *err)
{
    bool has_oids = type->base_oid == OID_OIDVECTOR;
    char separator = '[';
    for (size_t i = 0; i < text.len;) {
        const char *space = memchr(text.data + i, ' ', text.len - i);
        size_t end = space ? (size_t)(space - text.data) : text.len;
        struct slice number = slice_of(text.data + i, end - i);
        if (!is_number(number))
            return malformed(type, err);
        buffer_add_char(out, separator);
        if (has_oids)
            json_add_string(out, number);
        else
            buffer_add_slice(out, number);
        separator = ',';
        i = end + 1;
    }
    buffer_add_str(out, separator == '[' ? "[]" : "]");
    return true;
}

/* Array text: {1,NULL,"a b"}, nested, perhaps with bounds in front: [0:1]={1,2}. */

/* One element up to the delimiter or brace, unquoted into scratch. Sets is_null. */
static bool read_element(const char **at, const char *end, char delimiter, struct buffer *scratch,
                         bool *is_null)
{
    buffer_clear(scratch);
    *is_null = false;
    if (*at < end && **at == '"') {
        for (++*at; *at < end && **at != '"'; ++*at) {
            if (**at == '\\' && ++*at == end)
                return false;
            buffer_add_char(scratch, **at);
        }
        return *at < end && *(*at)++ == '"';
    }
    while (*at < end && **at != delimiter && **at != '}') {
        if (**at == '\\' && ++*at == end)
            return false;
        buffer_add_char(scratch, *(*at)++);
    }
    *is_null = slice_eq_str(buffer_slice(scratch), "NULL");
    return scratch->len > 0;
}

static bool add_array(struct buffer *out, const struct value_type *element, const char **at,
                      const char *end, struct buffer *scratch, const struct json_casts *casts,
                      struct err *err)
{
    if (*at >= end || *(*at)++ != '{')
        return malformed(element, err);
    buffer_add_char(out, '[');
    if (*at < end && **at == '}') {
        ++*at;
        buffer_add_char(out, ']');
        return true;
    }
    for (;;) {
        bool is_null;
        if (*at < end && **at == '{') {
            if (!add_array(out, element, at, end, scratch, casts, err))
                return false;
        } else {
            if (!read_element(at, end, element->delimiter, scratch, &is_null))
                return malformed(element, err);
            struct slice text = buffer_slice(scratch);
            if (!is_null && !text.data)
                text = SLICE("");
            if (!convert_text(out, element, is_null ? SLICE_NONE : text, casts, err))
                return false;
        }
        if (*at >= end)
            return malformed(element, err);
        char c = *(*at)++;
        if (c == '}') {
            buffer_add_char(out, ']');
            return true;
        }
        if (c != element->delimiter)
            return malformed(element, err);
        buffer_add_char(out, ',');
    }
}

static bool convert_array(struct buffer *out, const struct value_type *type, struct slice text,
                          const struct json_casts *casts, struct err *err)
{
    const char *at = text.data, *end = text.data + text.len;
    if (text.len && *at == '[') {
        const char *equals = memchr(at, '=', text.len);
        if (!equals)
            return malformed(type, err);
        at = equals + 1;
    }
    struct buffer scratch = BUFFER_INIT;
    bool ok = add_array(out, type->element, &at, end, &scratch, casts, err) &&
              (at == end || malformed(type, err));
    buffer_release(&scratch);
    return ok;
}

/* Composite text: (1,"a ""b""",) with nothing for NULL. */
static bool read_field(const char **at, const char *end, struct buffer *scratch, bool *is_null)
{
    bool in_quotes = false;
    buffer_clear(scratch);
    *is_null = true;
    while (*at < end) {
        char c = **at;
        if (!in_quotes && (c == ',' || c == ')'))
            return true;
        ++*at;
        *is_null = false;
        if (c == '\\') {
            if (*at == end)
                return false;
            buffer_add_char(scratch, *(*at)++);
        } else if (c == '"') {
            if (in_quotes && *at < end && **at == '"')
                buffer_add_char(scratch, *(*at)++);
            else
                in_quotes = !in_quotes;
        } else {
            buffer_add_char(scratch, c);
        }
    }
    return false;
}

static bool convert_composite(struct buffer *out, const struct value_type *type, struct slice text,
                              const struct json_casts *casts, struct err *err)
{
    const char *at = text.data, *end = text.data + text.len;
    struct buffer scratch = BUFFER_INIT;
    bool ok = text.len >= 2 && *at++ == '(';
    buffer_add_char(out, '{');
    for (size_t i = 0; ok && i < type->field_count; i++) {
        bool is_null;
        ok = read_field(&at, end, &scratch, &is_null) &&
             *at == (i + 1 == type->field_count ? ')' : ',');
        at++;
        if (!ok)
            break;
        if (i)
            buffer_add_char(out, ',');
        buffer_add_slice(out, type->fields[i].json_name);
        buffer_add_char(out, ':');
        struct slice field = scratch.data ? buffer_slice(&scratch) : SLICE("");
        if (!convert_text(out, type->fields[i].type, is_null ? SLICE_NONE : field, casts, err)) {
            buffer_release(&scratch);
            return false;
        }
    }
    buffer_add_char(out, '}');
    buffer_release(&scratch);
    return ok || malformed(type, err);
}

static bool ask_cast(struct buffer *out, const struct value_type *type, struct slice text,
                     const struct json_casts *casts, struct err *err)
{
    struct buffer json = BUFFER_INIT;
    if (!casts)
        return err_set(err, "a value of type %s would have to be asked for", type->name);
    bool ok = casts->ask(casts->context, type, text, &json, err);
    if (ok)
        convert_to_json(out, buffer_slice(&json));
    buffer_release(&json);
    return ok;
}

void convert_to_json(struct buffer *out, struct slice json)
{
    convert_json(out, json);
}

bool convert_asks(const struct value_type *type)
{
    if (type->kind == VALUE_ARRAY)
        return convert_asks(type->element);
    for (size_t i = 0; type->kind == VALUE_COMPOSITE && i < type->field_count; i++) {
        if (convert_asks(type->fields[i].type))
            return true;
    }
    return type->kind == VALUE_JSON_CAST;
}

bool convert_text(struct buffer *out, const struct value_type *type, struct slice text,
                  const struct json_casts *casts, struct err *err)
{
    if (!text.data) {
        buffer_add_str(out, "null");
        return true;
    }
    switch (type->kind) {
    case VALUE_BOOL:
        buffer_add_str(out, text.len && text.data[0] == 't' ? "true" : "false");
        return true;
    case VALUE_INTEGER:
    case VALUE_NUMERIC:
    case VALUE_FLOAT:
        return add_number(out, type, text, err);
    case VALUE_TIMESTAMP:
    case VALUE_TIMESTAMPTZ:
        add_timestamp(out, text, type->kind == VALUE_TIMESTAMPTZ);
        return true;
    case VALUE_JSON:
        if (!json_is_valid(text))
            return malformed(type, err);
        if (type->base_oid == OID_JSON)
            convert_json(out, text);
        else
            buffer_add_slice(out, text);
        return true;
    case VALUE_ARRAY:
        return convert_array(out, type, text, casts, err);
    case VALUE_COMPOSITE:
        return convert_composite(out, type, text, casts, err);
    case VALUE_JSON_CAST:
        return ask_cast(out, type, text, casts, err);
    default:
        if (type->base_oid == OID_INT2VECTOR || type->base_oid == OID_OIDVECTOR)
            return convert_vector(out, type, text, err);
        json_add_string(out, text);
        return true;
    }
}

/* wal2json gives the hexadecimal digits alone. */
static bool add_bytea(struct buffer *out, const struct value_type *type, struct slice digits,
                      struct err *err)
{
    for (size_t i = 0; i < digits.len; i++) {
        if (!isxdigit((unsigned char)digits.data[i]))
            return malformed(type, err);
    }
    buffer_add_str(out, "\"\\\\x");
    buffer_add_slice(out, digits);
    buffer_add_char(out, '"');
    return true;
}

static bool converts_as_is(const struct value_type *type, const struct json_value *token)
{
    switch (token->kind) {
    case JSON_NULL:
        return true;
    case JSON_TRUE:
    case JSON_FALSE:
        return type->kind == VALUE_BOOL;
    case JSON_NUMBER:
        return type->kind == VALUE_INTEGER ||
               (type->kind == VALUE_NUMERIC && !memchr(token->raw.data, 'e', token->raw.len));
    case JSON_STRING:
        switch (type->kind) {
        case VALUE_TEXT:
        case VALUE_CHAR:
        case VALUE_UUID:
        case VALUE_ENUM:
        case VALUE_DATE:
            return true;
        case VALUE_OTHER:
            return type->base_oid != OID_INT2VECTOR && type->base_oid != OID_OIDVECTOR;
        default:
            return false;
        }
    default:
        return false;
    }
}

bool convert_token(struct buffer *out, const struct value_type *type,
                   const struct json_value *token, struct buffer *scratch, struct slice *json,
                   const struct json_casts *casts, struct err *err)
{
    if (converts_as_is(type, token)) {
        *json = token->raw;
        return true;
    }
    size_t start = out->len;
    struct slice text = token->raw;
    if (token->kind == JSON_STRING)
        text = json_text(token->raw, scratch);
    if (!text.data)
        text = SLICE("");
    bool ok = true;
    if (type->kind == VALUE_BYTEA && !type->is_domain && token->kind == JSON_STRING) {
        ok = add_bytea(out, type, text, err);
    } else {
        ok = convert_text(out, type, text, casts, err);
    }
    *json = slice_of(out->data + start, out->len - start);
    return ok;
}
