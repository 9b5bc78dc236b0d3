#include "nested.h"

#include "weir/base/json.h"

/* Of members with one name the last, which a json nested very deep may have. */
static bool find_member(struct slice json, struct slice name, bool is_of_json, struct slice *found)
{
    struct json_scan scan = json_scan_of(json);
    struct buffer scratch = BUFFER_INIT;
    struct json_value value;
    struct slice key;
    bool is_found = false, is_last = false;
    if (json.data[0] != '{' || !json_object_begin(&scan))
        return false;
    for (bool first = true;
         !is_last && json_object_next(&scan, first, &key, &value) == JSON_STEP_ITEM;
         first = false) {
        if (!slice_eq(json_text(key, &scratch), name))
            continue;
        *found = value.raw;
        is_found = true;
        is_last = !is_of_json;
    }
    buffer_release(&scratch);
    return is_found;
}

static long count_items(struct slice json)
{
    struct json_scan scan = json_scan_of(json);
    struct json_value value;
    long count = 0;
    if (!json_array_begin(&scan))
        return 0;
    while (json_array_next(&scan, count == 0, &value) == JSON_STEP_ITEM)
        count++;
    return count;
}

static bool find_item(struct slice json, long index, bool is_of_json, struct slice *found)
{
    struct json_scan scan = json_scan_of(json);
    struct json_value value;
    /* To jsonb, which stores it so, a scalar is an array of one. */
    if (json.data[0] != '[' && json.data[0] != '{') {
        *found = json;
        return !is_of_json && (index == 0 || index == -1);
    }
    if (json.data[0] == '{')
        return false;
    if (index < 0)
        index += count_items(json);
    if (index < 0 || !json_array_begin(&scan))
        return false;
    for (long i = 0; json_array_next(&scan, i == 0, &value) == JSON_STEP_ITEM; i++) {
        if (i == index) {
            *found = value.raw;
            return true;
        }
    }
    return false;
}

bool json_path_text(struct slice json, const struct operand *operand, struct slice *text,
                    struct arena *arena)
{
    for (size_t i = 0; i < operand->path_len; i++) {
        const struct json_step_to *step = &operand->path[i];
        bool is_found = step->is_index ? find_item(json, step->index, operand->is_of_json, &json)
                                       : find_member(json, step->name, operand->is_of_json, &json);
        if (!is_found)
            return false;
    }
    if (slice_eq_str(json, "null"))
        return operand->is_json_value;
    *text = json;
    if (json.data[0] == '"') {
        struct buffer scratch = BUFFER_INIT;
        *text = arena_copy(arena, json_text(json, &scratch));
        buffer_release(&scratch);
    }
    return true;
}

static size_t character_len(struct slice text)
{
    size_t len = 1;
    while (len < text.len && ((unsigned char)text.data[len] & 0xc0) == 0x80)
        len++;
    return len;
}

static struct slice behind(struct slice text, size_t len)
{
    return slice_of(text.data + len, text.len - len);
}

/* One that does not match goes back to the last %, which then takes one
 * character more. */
bool like_matches(struct slice text, struct slice pattern)
{
    struct slice any_text = SLICE_NONE, any_pattern = SLICE_NONE;
    bool has_any = false;
    while (text.len || pattern.len) {
        char c = pattern.len ? pattern.data[0] : '\0';
        if (pattern.len && c == '%') {
            pattern = any_pattern = behind(pattern, 1);
            any_text = text;
            has_any = true;
            continue;
        }
        bool is_escaped = pattern.len > 1 && c == '\\';
        if (text.len && pattern.len && c == '_') {
            text = behind(text, character_len(text));
            pattern = behind(pattern, 1);
        } else if (text.len && pattern.len && pattern.data[is_escaped] == text.data[0]) {
            text = behind(text, 1);
            pattern = behind(pattern, 1 + is_escaped);
        } else if (has_any && any_text.len) {
            any_text = text = behind(any_text, character_len(any_text));
            pattern = any_pattern;
        } else {
            return false;
        }
    }
    return true;
}
