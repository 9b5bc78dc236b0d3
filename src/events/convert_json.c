#include "convert_json.h"

#include "weir/base/check.h"
#include "weir/base/json.h"

#include <stdlib.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* More digits than numeric, and so jsonb, can hold: such a number is left as it is. */
enum { EXPONENT_MAX = 150000 };

/* Moves the point of the mantissa's digits: 1.25e-07 is 0.000000125, 100e-2 is 1.00. */
static void add_moved(struct buffer *out, struct slice mantissa, long exponent)
{
    const char *dot = memchr(mantissa.data, '.', mantissa.len);
    long whole = dot ? dot - mantissa.data : (long)mantissa.len;
    long count = (long)mantissa.len - (dot != NULL), point = whole + exponent;
    /* Digits are numbered from the mantissa's first; those outside of it are zeros. There is at
     * least one in front of the point, and none in front of that is a zero. */
    long first = point <= 0 ? point - 1 : 0;
    for (; first < point - 1; first++) {
        long at = first < whole ? first : first + 1;
        if (first < count && mantissa.data[at] != '0')
            break;
    }
    for (long i = first; i < count || i < point; i++) {
        if (i == point)
            buffer_add_char(out, '.');
        bool is_inside = i >= 0 && i < count;
        buffer_add_char(out, is_inside ? mantissa.data[i < whole ? i : i + 1] : '0');
    }
}

void convert_number(struct buffer *out, struct slice text)
{
    bool is_negative = text.data[0] == '-', is_zero = true;
    struct slice digits = is_negative ? slice_of(text.data + 1, text.len - 1) : text;
    struct slice mantissa = digits;
    long exponent = 0;
    for (size_t i = 0; i < digits.len; i++) {
        char c = digits.data[i];
        if (mantissa.len < digits.len) {
            if (is_digit(c) && exponent < EXPONENT_MAX)
                exponent = exponent * 10 + (c - '0');
        } else if (c == 'e' || c == 'E') {
            mantissa.len = i;
        } else {
            is_zero = is_zero && (c == '0' || c == '.');
        }
    }
    if (exponent >= EXPONENT_MAX) {
        buffer_add_slice(out, text);
        return;
    }
    if (is_negative && !is_zero)
        buffer_add_char(out, '-');
    if (mantissa.len == digits.len)
        buffer_add_slice(out, digits);
    else
        add_moved(out, mantissa, digits.data[mantissa.len + 1] == '-' ? -exponent : exponent);
}

struct member {
    struct slice name;  /* raw token */
    struct buffer text; /* its text, where that differs from the token */
    size_t start, end;  /* in the output, from the name on */
};

struct members {
    struct member *items;
    size_t count, capacity;
};

static struct slice member_text(const struct member *member)
{
    return member->text.data ? buffer_slice(&member->text)
                             : slice_of(member->name.data + 1, member->name.len - 2);
}

static struct member *members_add(struct members *members, struct slice name, size_t start)
{
    if (members->count == members->capacity) {
        members->capacity = members->capacity ? members->capacity * 2 : 8;
        members->items = realloc(members->items, members->capacity * sizeof *members->items);
        check(members->items != NULL);
    }
    struct member *member = &members->items[members->count++];
    *member = (struct member){.name = name, .start = start};
    if (memchr(name.data, '\\', name.len)) {
        buffer_reserve(&member->text, name.len);
        json_unescape(&member->text, name);
    }
    return member;
}

static void members_release(struct members *members)
{
    for (size_t i = 0; i < members->count; i++)
        buffer_release(&members->items[i].text);
    free(members->items);
}

static int by_name_and_place(const void *a, const void *b)
{
    const struct member *x = a, *y = b;
    int order = slice_cmp(member_text(x), member_text(y));
    return order ? order : (x->start > y->start) - (x->start < y->start);
}

static int by_place(const void *a, const void *b)
{
    const struct member *x = a, *y = b;
    return (x->start > y->start) - (x->start < y->start);
}

/* Takes members whose name comes again out of the object that ends at out's end. */
static void drop_duplicates(struct buffer *out, size_t object_start, struct members *members)
{
    if (members->count < 2)
        return;
    qsort(members->items, members->count, sizeof *members->items, by_name_and_place);
    size_t kept = 0;
    for (size_t i = 0; i < members->count; i++) {
        struct member *member = &members->items[i];
        bool comes_again = i + 1 < members->count &&
                           slice_eq(member_text(member), member_text(&members->items[i + 1]));
        struct member last = members->items[kept];
        if (comes_again)
            continue;
        members->items[kept++] = *member;
        *member = last; /* still released with the others */
    }
    if (kept == members->count)
        return;
    qsort(members->items, kept, sizeof *members->items, by_place);
    size_t at = object_start;
    for (size_t i = 0; i < kept; i++) {
        const struct member *member = &members->items[i];
        out->data[at++] = i ? ',' : '{';
        memmove(out->data + at, out->data + member->start, member->end - member->start);
        at += member->end - member->start;
    }
    out->len = at;
}

/* Deeper ones are left as they are: each level takes of the stack. */
enum { CONVERTED_DEPTH_MAX = 512 };

static bool add_json(struct buffer *out, struct json_scan *scan, int depth);

static bool add_json_object(struct buffer *out, struct json_scan *scan, int depth)
{
    struct members members = {0};
    size_t object_start = out->len;
    struct slice name;
    enum json_step step;
    bool ok = json_object_begin(scan);
    while (ok && (step = json_object_key(scan, members.count == 0, &name)) != JSON_STEP_END) {
        ok = step == JSON_STEP_ITEM;
        if (!ok)
            break;
        buffer_add_char(out, members.count ? ',' : '{');
        members_add(&members, name, out->len);
        buffer_add_slice(out, name);
        buffer_add_char(out, ':');
        ok = add_json(out, scan, depth);
        members.items[members.count - 1].end = out->len;
    }
    if (ok)
        drop_duplicates(out, object_start, &members);
    buffer_add_str(out, members.count ? "}" : "{}");
    members_release(&members);
    return ok;
}

static bool add_json_array(struct buffer *out, struct json_scan *scan, int depth)
{
    bool first = true;
    enum json_step step;
    if (!json_array_begin(scan))
        return false;
    buffer_add_char(out, '[');
    while ((step = json_array_item(scan, first)) == JSON_STEP_ITEM) {
        if (!first)
            buffer_add_char(out, ',');
        if (!add_json(out, scan, depth))
            return false;
        first = false;
    }
    buffer_add_char(out, ']');
    return step == JSON_STEP_END;
}

static bool add_json(struct buffer *out, struct json_scan *scan, int depth)
{
    struct json_value value;
    while (scan->at < scan->end && strchr(" \t\r\n", *scan->at))
        scan->at++;
    bool is_object = scan->at < scan->end && *scan->at == '{';
    if (is_object || (scan->at < scan->end && *scan->at == '[')) {
        if (depth == CONVERTED_DEPTH_MAX)
            return false;
        return is_object ? add_json_object(out, scan, depth + 1)
                         : add_json_array(out, scan, depth + 1);
    }
    if (!json_scan_value(scan, &value))
        return false;
    if (value.kind == JSON_NUMBER)
        convert_number(out, value.raw);
    else
        buffer_add_slice(out, value.raw);
    return true;
}

void convert_json(struct buffer *out, struct slice text)
{
    size_t start = out->len;
    struct json_scan scan = json_scan_of(text);
    if (json_is_valid(text) && add_json(out, &scan, 0))
        return;
    out->len = start;
    while (text.len && strchr(" \t\r\n", *text.data))
        text = slice_of(text.data + 1, text.len - 1);
    buffer_add_slice(out, text);
}
