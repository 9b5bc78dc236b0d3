#include "weir/replica/value.h"

#include "weir/base/buffer.h"
#include "weir/base/check.h"
#include "weir/base/json.h"
#include "decimal.h"

/* The text inside a string token; numbers and literals stand for themselves. */
static struct slice token_text(struct slice json, struct arena *arena)
{
    if (json.len < 2 || json.data[0] != '"')
        return json;
    struct buffer scratch = BUFFER_INIT;
    struct slice text = json_text(json, &scratch);
    if (text.data == scratch.data && text.len)
        text = arena_copy(arena, text);
    buffer_release(&scratch);
    return text;
}

/* `2026-01-02T03:04:05+00:00 BC`, as to_jsonb has it, to `2026-01-02 03:04:05+00 BC`. */
static struct slice timestamp_text(struct slice iso, struct arena *arena)
{
    if (!iso.len || !memchr(iso.data, 'T', iso.len))
        return iso; /* infinity */
    struct slice copy = arena_copy(arena, iso);
    char *text = (char *)copy.data;
    *(char *)memchr(text, 'T', copy.len) = ' ';
    char *zone = memchr(text, '+', copy.len);
    if (zone && copy.len >= (size_t)(zone - text) + 6) {
        size_t behind = copy.len - (size_t)(zone - text) - 6;
        memmove(zone + 3, zone + 6, behind);
        copy.len -= 3;
    }
    return copy;
}

static struct slice without_trailing_blanks(struct slice text)
{
    while (text.len && text.data[text.len - 1] == ' ')
        text.len--;
    return text;
}

struct slice value_text(const struct value_type *type, struct slice json, struct arena *arena)
{
    check(!value_is_null(json) || value_may_be_json_null(type));
    switch (type->kind) {
    case VALUE_JSON:
    case VALUE_JSON_CAST:
    case VALUE_ARRAY:
    case VALUE_COMPOSITE:
        return json;
    case VALUE_TIMESTAMP:
    case VALUE_TIMESTAMPTZ:
        return timestamp_text(token_text(json, arena), arena);
    case VALUE_CHAR:
        return without_trailing_blanks(token_text(json, arena));
    default:
        return token_text(json, arena);
    }
}

static bool is_plain_integer(struct slice text)
{
    if (!text.len || text.len > 18)
        return false;
    for (size_t i = text.data[0] == '-'; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
    }
    return text.data[0] != '0' && text.data[0] != '-';
}

struct slice value_key_of_text(enum value_kind kind, struct slice text, struct arena *arena)
{
    switch (kind) {
    case VALUE_INTEGER:
    case VALUE_NUMERIC:
    case VALUE_FLOAT:
        return is_plain_integer(text) ? text : decimal_canonical(text, arena);
    case VALUE_CHAR:
        return without_trailing_blanks(text);
    default:
        return text;
    }
}

struct slice value_key(const struct value_type *type, struct slice json, struct arena *arena)
{
    return value_key_of_text(type->kind, value_text(type, json, arena), arena);
}

bool value_may_be_json_null(const struct value_type *type)
{
    return type->kind == VALUE_JSON || type->kind == VALUE_JSON_CAST;
}

bool value_is_comparable(const struct value_type *type)
{
    switch (type->kind) {
    case VALUE_JSON:
    case VALUE_JSON_CAST:
    case VALUE_ARRAY:
    case VALUE_COMPOSITE:
    case VALUE_OTHER:
        return false;
    default:
        return true;
    }
}

static bool is_exact_number(enum value_kind kind)
{
    return kind == VALUE_INTEGER || kind == VALUE_NUMERIC;
}

static bool is_string(enum value_kind kind)
{
    return kind == VALUE_TEXT || kind == VALUE_CHAR;
}

bool value_kinds_match(const struct value_type *a, const struct value_type *b)
{
    if (!value_is_comparable(a) || !value_is_comparable(b))
        return false;
    if (is_exact_number(a->kind) && is_exact_number(b->kind))
        return true;
    if (is_string(a->kind) && is_string(b->kind))
        return true;
    if (a->kind == VALUE_ENUM || a->kind == VALUE_FLOAT)
        return a->base_oid == b->base_oid;
    return a->kind == b->kind;
}

bool value_is_ordered(const struct value_type *type)
{
    switch (type->kind) {
    case VALUE_BOOL:
    case VALUE_INTEGER:
    case VALUE_NUMERIC:
    case VALUE_FLOAT:
    case VALUE_DATE:
    case VALUE_TIMESTAMP:
    case VALUE_TIMESTAMPTZ:
    case VALUE_UUID:
    case VALUE_BYTEA:
    case VALUE_TEXT:
    case VALUE_CHAR:
    case VALUE_ENUM:
        return true;
    default:
        return false;
    }
}

/* A date or time in ISO form as a place on the time line: before all, before Christ, after. */
static int era_of(struct slice text)
{
    if (slice_eq_str(text, "-infinity"))
        return -2;
    if (slice_eq_str(text, "infinity"))
        return 2;
    return text.len > 3 && memcmp(text.data + text.len - 3, " BC", 3) == 0 ? -1 : 1;
}

static size_t year_len(struct slice text)
{
    const char *dash = text.len ? memchr(text.data, '-', text.len) : NULL;
    return dash ? (size_t)(dash - text.data) : text.len;
}

static int time_cmp(struct slice a, struct slice b)
{
    int era_a = era_of(a), era_b = era_of(b);
    if (era_a != era_b)
        return era_a < era_b ? -1 : 1;
    if (era_a == 2 || era_a == -2)
        return 0;
    size_t year_a = year_len(a), year_b = year_len(b);
    int year = year_a != year_b ? (year_a < year_b ? -1 : 1)
                                : slice_cmp(slice_of(a.data, year_a), slice_of(b.data, year_b));
    if (year)
        return era_a < 0 ? -year : year;
    /* The zone is UTC throughout and fractions have no trailing zeros, so the rest is in order
     * bytewise once the zone and era are cut off. */
    size_t cut_a = a.len, cut_b = b.len;
    const char *zone_a = memchr(a.data, '+', a.len), *zone_b = memchr(b.data, '+', b.len);
    if (zone_a)
        cut_a = (size_t)(zone_a - a.data);
    else if (era_a < 0)
        cut_a -= 3;
    if (zone_b)
        cut_b = (size_t)(zone_b - b.data);
    else if (era_b < 0)
        cut_b -= 3;
    return slice_cmp(slice_of(a.data, cut_a), slice_of(b.data, cut_b));
}

size_t value_enum_place(const struct value_type *type, struct slice label)
{
    size_t place = 0;
    while (place < type->label_count && !slice_eq(type->labels[place], label))
        place++;
    return place;
}

static int enum_cmp(const struct value_type *type, struct slice a, struct slice b)
{
    size_t x = value_enum_place(type, a), y = value_enum_place(type, b);
    return (x > y) - (x < y);
}

int value_key_cmp(const struct value_type *type, struct slice a, struct slice b)
{
    switch (type->kind) {
    case VALUE_INTEGER:
    case VALUE_NUMERIC:
    case VALUE_FLOAT:
        return decimal_cmp(a, b);
    case VALUE_DATE:
    case VALUE_TIMESTAMP:
    case VALUE_TIMESTAMPTZ:
        return time_cmp(a, b);
    case VALUE_ENUM:
        return enum_cmp(type, a, b);
    default:
        return slice_cmp(a, b); /* false < true; lower-case hexadecimal digits */
    }
}
