#include "decimal.h"

#include "weir/base/check.h"

struct parts {
    bool is_negative;
    struct slice whole; /* digits in front of the point */
    struct slice fraction;
    long exponent;
};

static bool is_special(struct slice text)
{
    return slice_eq_str(text, "NaN") || slice_eq_str(text, "Infinity") ||
           slice_eq_str(text, "-Infinity");
}

static struct slice take_digits(const char **at, const char *end)
{
    const char *start = *at;
    while (*at < end && **at >= '0' && **at <= '9')
        ++*at;
    return slice_of(start, (size_t)(*at - start));
}

static struct parts split(struct slice text)
{
    struct parts parts = {0};
    const char *at = text.data, *end = text.data + text.len;
    if (at < end && (*at == '-' || *at == '+'))
        parts.is_negative = *at++ == '-';
    parts.whole = take_digits(&at, end);
    if (at < end && *at == '.') {
        at++;
        parts.fraction = take_digits(&at, end);
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        bool is_negative = at < end && *at == '-';
        if (at < end && (*at == '-' || *at == '+'))
            at++;
        struct slice digits = take_digits(&at, end);
        for (size_t i = 0; i < digits.len && parts.exponent < 200000; i++)
            parts.exponent = parts.exponent * 10 + (digits.data[i] - '0');
        if (is_negative)
            parts.exponent = -parts.exponent;
    }
    return parts;
}

struct slice decimal_canonical(struct slice text, struct arena *arena)
{
    if (is_special(text))
        return text;
    struct parts parts = split(text);
    size_t digit_count = parts.whole.len + parts.fraction.len;
    char *digits = arena_alloc(arena, digit_count + 1);
    if (parts.whole.len)
        memcpy(digits, parts.whole.data, parts.whole.len);
    if (parts.fraction.len)
        memcpy(digits + parts.whole.len, parts.fraction.data, parts.fraction.len);
    long point = (long)parts.whole.len + parts.exponent; /* digits in front of the point */
    while (digit_count && digits[digit_count - 1] == '0')
        digit_count--;
    while (digit_count && *digits == '0') {
        digits++;
        digit_count--;
        point--;
    }
    if (!digit_count)
        return SLICE("0");

    long zeros_in_front = point < 0 ? -point : 0;
    long zeros_behind = point > (long)digit_count ? point - (long)digit_count : 0;
    char *out = arena_alloc(arena, digit_count + (size_t)(zeros_in_front + zeros_behind) + 4);
    char *at = out;
    if (parts.is_negative)
        *at++ = '-';
    if (point <= 0) {
        *at++ = '0';
        *at++ = '.';
        memset(at, '0', (size_t)zeros_in_front);
        at += zeros_in_front;
        memcpy(at, digits, digit_count);
        at += digit_count;
    } else {
        size_t before = (size_t)point < digit_count ? (size_t)point : digit_count;
        memcpy(at, digits, before);
        at += before;
        memset(at, '0', (size_t)zeros_behind);
        at += zeros_behind;
        if (before < digit_count) {
            *at++ = '.';
            memcpy(at, digits + before, digit_count - before);
            at += digit_count - before;
        }
    }
    return slice_of(out, (size_t)(at - out));
}

static int special_rank(struct slice text)
{
    if (slice_eq_str(text, "-Infinity"))
        return -1;
    if (slice_eq_str(text, "Infinity"))
        return 1;
    return slice_eq_str(text, "NaN") ? 2 : 0;
}

static int magnitude_cmp(struct slice a, struct slice b)
{
    struct parts x = split(a), y = split(b);
    if (x.whole.len != y.whole.len)
        return x.whole.len < y.whole.len ? -1 : 1;
    int whole = slice_cmp(x.whole, y.whole);
    return whole ? whole : slice_cmp(x.fraction, y.fraction);
}

int decimal_cmp(struct slice a, struct slice b)
{
    check(a.len && b.len);
    int rank_a = special_rank(a), rank_b = special_rank(b);
    if (rank_a || rank_b)
        return (rank_a > rank_b) - (rank_a < rank_b);
    bool negative_a = a.data[0] == '-', negative_b = b.data[0] == '-';
    if (negative_a != negative_b)
        return negative_a ? -1 : 1;
    int order = magnitude_cmp(a, b);
    return negative_a ? -order : order;
}
