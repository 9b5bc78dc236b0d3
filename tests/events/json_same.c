#include "json_same.h"

static bool same_text(struct slice a, struct slice b)
{
    struct buffer x = BUFFER_INIT, y = BUFFER_INIT;
    bool same = slice_eq(json_text(a, &x), json_text(b, &y));
    buffer_release(&x);
    buffer_release(&y);
    return same;
}

static bool read_one(struct slice text, struct json_value *value)
{
    struct json_scan scan = json_scan_of(text);
    return json_scan_value(&scan, value) && json_scan_end(&scan);
}

static size_t member_count(struct slice object)
{
    struct json_scan scan = json_scan_of(object);
    struct slice key;
    struct json_value value;
    size_t count = 0;
    if (!json_object_begin(&scan))
        return 0;
    while (json_object_next(&scan, count == 0, &key, &value) == JSON_STEP_ITEM)
        count++;
    return count;
}

static struct slice member_by_token(struct slice object, struct slice wanted, size_t *found)
{
    struct json_scan scan = json_scan_of(object);
    struct slice key, result = SLICE_NONE;
    struct json_value value;
    bool first = true;
    *found = 0;
    if (!json_object_begin(&scan))
        return SLICE_NONE;
    while (json_object_next(&scan, first, &key, &value) == JSON_STEP_ITEM) {
        if (same_text(key, wanted)) {
            result = value.raw;
            ++*found;
        }
        first = false;
    }
    return result;
}

struct slice json_member(struct slice object, struct slice name)
{
    struct buffer token = BUFFER_INIT;
    size_t found;
    json_add_string(&token, name);
    struct slice value = member_by_token(object, buffer_slice(&token), &found);
    buffer_release(&token);
    return value;
}

static bool same_objects(struct slice a, struct slice b)
{
    struct json_scan scan = json_scan_of(a);
    struct slice key;
    struct json_value value;
    bool first = true;
    if (member_count(a) != member_count(b) || !json_object_begin(&scan))
        return false;
    while (json_object_next(&scan, first, &key, &value) == JSON_STEP_ITEM) {
        size_t found;
        struct slice other = member_by_token(b, key, &found);
        if (found != 1 || !json_same(value.raw, other))
            return false;
        first = false;
    }
    return true;
}

static bool same_arrays(struct slice a, struct slice b)
{
    struct json_scan x = json_scan_of(a), y = json_scan_of(b);
    struct json_value in_x, in_y;
    if (!json_array_begin(&x) || !json_array_begin(&y))
        return false;
    for (bool first = true;; first = false) {
        enum json_step step_x = json_array_next(&x, first, &in_x);
        enum json_step step_y = json_array_next(&y, first, &in_y);
        if (step_x != step_y)
            return false;
        if (step_x != JSON_STEP_ITEM)
            return step_x == JSON_STEP_END;
        if (!json_same(in_x.raw, in_y.raw))
            return false;
    }
}

bool json_same(struct slice a, struct slice b)
{
    struct json_value x, y;
    if (!read_one(a, &x) || !read_one(b, &y) || x.kind != y.kind)
        return false;
    switch (x.kind) {
    case JSON_STRING:
        return same_text(x.raw, y.raw);
    case JSON_NUMBER:
        return slice_eq(x.raw, y.raw);
    case JSON_OBJECT:
        return same_objects(x.raw, y.raw);
    case JSON_ARRAY:
        return same_arrays(x.raw, y.raw);
    default:
        return true;
    }
}
