#include "internal.h"

#include "weir/base/percent.h"

#include <inttypes.h>
#include <stdio.h>
#include <strings.h>
#include <time.h>

enum { OFFSET_DIGITS = 16 };

static bool parse_digits(struct slice text, uint64_t *number)
{
    *number = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        *number = *number * 10 + (uint64_t)(text.data[i] - '0');
    }
    return text.len > 0;
}

enum offset_kind parse_offset(struct slice text, uint64_t *position)
{
    uint64_t floor;
    if (slice_eq_str(text, "-1"))
        return OFFSET_START;
    if (slice_eq_str(text, "now"))
        return OFFSET_NOW;
    if (text.len != 2 * OFFSET_DIGITS + 1 || text.data[OFFSET_DIGITS] != '_' ||
        !parse_digits(slice_of(text.data, OFFSET_DIGITS), &floor) ||
        !parse_digits(slice_of(text.data + OFFSET_DIGITS + 1, OFFSET_DIGITS), position))
        return OFFSET_INVALID;
    /* The first half is always zero so far; anything else lies behind every position. */
    if (floor)
        *position = UINT64_MAX;
    return OFFSET_POSITION;
}

/* By hand, as every append's answer has one: printf takes six times the instructions. */
void format_offset(uint64_t position, char out[OFFSET_TEXT_SIZE])
{
    char *digit = out + 2 * OFFSET_DIGITS + 1;
    memset(out, '0', OFFSET_DIGITS);
    out[OFFSET_DIGITS] = '_';
    *digit = '\0';
    for (int i = 0; i < OFFSET_DIGITS; i++, position /= 10)
        *--digit = (char)('0' + position % 10);
    check(position == 0);
}

bool parse_whole_number(struct slice text, uint64_t *number)
{
    const uint64_t largest = ((uint64_t)1 << 53) - 1;
    if (text.len > 16 || (text.len > 1 && text.data[0] == '0'))
        return false;
    return parse_digits(text, number) && *number <= largest;
}

bool is_true(struct slice text)
{
    return text.len == 4 && strncasecmp(text.data, "true", 4) == 0;
}

/* Takes a number of `digits` digits and the character behind it, if any is wanted. */
static bool take_field(struct slice *text, size_t digits, const char *behind, int *value)
{
    uint64_t number;
    size_t len = digits + (behind ? 1 : 0);
    if (text->len < len || !parse_digits(slice_of(text->data, digits), &number) ||
        (behind && !strchr(behind, text->data[digits])))
        return false;
    *value = (int)number;
    *text = slice_of(text->data + len, text->len - len);
    return true;
}

/* False for a point without digits. */
static bool take_fraction(struct slice *text, int *ms)
{
    int scale = 100;
    size_t len = 1;
    *ms = 0;
    if (!text->len || text->data[0] != '.')
        return true;
    for (; len < text->len && text->data[len] >= '0' && text->data[len] <= '9'; len++) {
        *ms += (text->data[len] - '0') * scale;
        scale /= 10;
    }
    *text = slice_of(text->data + len, text->len - len);
    return len > 1;
}

static bool take_zone(struct slice text, int *minutes)
{
    int hours, rest;
    if (text.len == 1 && (text.data[0] == 'Z' || text.data[0] == 'z')) {
        *minutes = 0;
        return true;
    }
    if (text.len != 6 || (text.data[0] != '+' && text.data[0] != '-'))
        return false;
    int sign = text.data[0] == '-' ? -1 : 1;
    text = slice_of(text.data + 1, 5);
    if (!take_field(&text, 2, ":", &hours) || !take_field(&text, 2, NULL, &rest) || hours > 23 ||
        rest > 59)
        return false;
    *minutes = sign * (hours * 60 + rest);
    return true;
}

bool parse_time(struct slice text, int64_t *wall_ms)
{
    int year, month, day, hour, minute, second, ms, zone;
    if (!take_field(&text, 4, "-", &year) || !take_field(&text, 2, "-", &month) ||
        !take_field(&text, 2, "Tt ", &day) || !take_field(&text, 2, ":", &hour) ||
        !take_field(&text, 2, ":", &minute) || !take_field(&text, 2, NULL, &second))
        return false;
    if (!take_fraction(&text, &ms) || !take_zone(text, &zone) || month < 1 || month > 12 ||
        day < 1 || hour > 23 || minute > 59 || second > 60)
        return false;
    struct tm parts = {.tm_year = year - 1900,
                       .tm_mon = month - 1,
                       .tm_mday = day,
                       .tm_hour = hour,
                       .tm_min = minute};
    time_t begin = timegm(&parts);
    /* timegm() turns February 30 into March. */
    if (parts.tm_mon != month - 1)
        return false;
    *wall_ms = ((int64_t)begin + second - (int64_t)zone * 60) * 1000 + ms;
    return true;
}

void format_time(int64_t wall_ms, char out[TIME_TEXT_SIZE])
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm parts;
    char text[TIME_TEXT_SIZE - 6];
    gmtime_r(&seconds, &parts);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(out, TIME_TEXT_SIZE, "%s.%03uZ", text, (unsigned)(wall_ms % 1000) % 1000);
}

static struct slice *query_field(struct query *query, struct slice name)
{
    if (slice_eq_str(name, "offset"))
        return &query->offset;
    if (slice_eq_str(name, "live"))
        return &query->live;
    return slice_eq_str(name, "cursor") ? &query->cursor : NULL;
}

static bool take_parameter(struct query *query, struct slice parameter)
{
    const char *equals = memchr(parameter.data, '=', parameter.len);
    size_t name_len = equals ? (size_t)(equals - parameter.data) : parameter.len;
    struct slice *field = query_field(query, slice_of(parameter.data, name_len));
    if (!field)
        return true;
    query->is_repeated = query->is_repeated || field->data;
    size_t start = query->text.len;
    struct slice value = SLICE("");
    if (equals)
        value = slice_of(equals + 1, parameter.len - name_len - 1);
    if (!percent_decode(&query->text, value))
        return false;
    *field = slice_of(query->text.data + start, query->text.len - start);
    return true;
}

bool query_parse(struct slice raw, struct query *query)
{
    *query = (struct query){0};
    /* Decoding only shortens, so the bytes do not move. */
    buffer_reserve(&query->text, raw.len + 1);
    while (raw.len) {
        const char *ampersand = memchr(raw.data, '&', raw.len);
        size_t len = ampersand ? (size_t)(ampersand - raw.data) : raw.len;
        if (!take_parameter(query, slice_of(raw.data, len)))
            return false;
        size_t skip = len + (ampersand ? 1 : 0);
        raw = slice_of(raw.data + skip, raw.len - skip);
    }
    return true;
}

void query_release(struct query *query)
{
    buffer_release(&query->text);
}

uint64_t parse_cursor(struct slice text)
{
    enum { DIGITS_MAX = 18 };
    uint64_t cursor;
    return text.len <= DIGITS_MAX && parse_digits(text, &cursor) ? cursor : 0;
}

uint64_t next_cursor(int64_t now_ms, uint64_t client_cursor, uint64_t random)
{
    const int64_t epoch_s = 1728432000; /* 2024-10-09T00:00:00Z */
    enum { JITTER_MAX_S = 3600 };
    int64_t since_s = now_ms / 1000 - epoch_s;
    uint64_t current = since_s > 0 ? (uint64_t)since_s / CURSOR_INTERVAL_S : 0;
    if (client_cursor < current)
        return current;
    uint64_t jitter_s = 1 + random % JITTER_MAX_S;
    return client_cursor + (jitter_s + CURSOR_INTERVAL_S - 1) / CURSOR_INTERVAL_S;
}

/* ---- The head of a request ---- */

struct target parse_target(const char *uri)
{
    size_t scheme = strncasecmp(uri, "http://", 7) == 0    ? 7
                    : strncasecmp(uri, "https://", 8) == 0 ? 8
                                                           : 0;
    if (!scheme)
        return (struct target){SLICE_NONE, uri};
    size_t len = strcspn(uri + scheme, "/?#");
    return (struct target){slice_of(uri + scheme, len), uri + scheme + len};
}

struct slice field_trim(struct slice value)
{
    while (value.len && (value.data[value.len - 1] == ' ' || value.data[value.len - 1] == '\t'))
        value.len--;
    return value;
}

bool is_field_value(struct slice value)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.data[i];
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

bool is_authority(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        bool is_alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!is_alnum && (c == '\0' || !strchr("-._~!$&'()*+,;=%:[]", c)))
            return false;
    }
    return true;
}

/* The tag that a list of them begins with, a weak one without its mark; data NULL when there is
 * none. */
static struct slice take_etag(struct slice *list)
{
    size_t at = 0;
    while (at < list->len && strchr(" \t,", list->data[at]) && list->data[at])
        at++;
    if (list->len - at >= 2 && memcmp(list->data + at, "W/", 2) == 0)
        at += 2;
    const char *start = list->data + at;
    if (at == list->len || *start != '"')
        return SLICE_NONE;
    const char *quote = memchr(start + 1, '"', list->len - at - 1);
    if (!quote)
        return SLICE_NONE;
    const char *end = quote + 1;
    *list = slice_of(end, (size_t)(list->data + list->len - end));
    return slice_of(start, (size_t)(end - start));
}

bool etags_name(struct slice list, struct slice etag)
{
    struct slice one;
    if (slice_eq_str(field_trim(list), "*"))
        return true;
    while ((one = take_etag(&list)).data) {
        if (slice_eq(one, etag))
            return true;
    }
    return false;
}
