#include "json_compare.h"

#include "weir/base/json.h"

#include "support/json_oracle.h"

#include <stdlib.h>

static const char *compare_value(const struct json_value *value, const struct oracle *expected);

static const char *compare_array(struct slice raw, const struct oracle *expected)
{
    struct json_scan scan = json_scan_of(raw);
    struct json_value item;
    size_t count = 0;
    if (!json_array_begin(&scan))
        return "json_array_begin";
    enum json_step step;
    while ((step = json_array_next(&scan, count == 0, &item)) == JSON_STEP_ITEM) {
        const char *difference = compare_value(&item, oracle_item(expected, count));
        if (difference)
            return difference;
        count++;
    }
    return step == JSON_STEP_END && json_scan_end(&scan) && count == oracle_size(expected)
               ? NULL
               : "items of an array";
}

/* Of a key that comes twice jansson keeps the last; such an object is only walked. */
static const char *compare_object(struct slice raw, const struct oracle *expected)
{
    struct buffer scratch = BUFFER_INIT;
    const char *difference = NULL;
    for (int pass = 0; pass < 2 && !difference; pass++) {
        struct json_scan scan = json_scan_of(raw);
        struct slice key;
        struct json_value value;
        size_t count = 0;
        enum json_step step = json_object_begin(&scan) ? JSON_STEP_ITEM : JSON_STEP_INVALID;
        while (step == JSON_STEP_ITEM && !difference) {
            step = json_object_next(&scan, count == 0, &key, &value);
            if (step != JSON_STEP_ITEM)
                break;
            count++;
            if (pass == 1)
                difference =
                    compare_value(&value, oracle_member(expected, json_text(key, &scratch)));
        }
        if (step == JSON_STEP_INVALID || count < oracle_size(expected))
            difference = "members of an object";
        if (count != oracle_size(expected))
            break;
    }
    buffer_release(&scratch);
    return difference;
}

static const char *compare_string(struct slice raw, const struct oracle *expected)
{
    struct buffer scratch = BUFFER_INIT, again = BUFFER_INIT, text = BUFFER_INIT;
    const char *difference = NULL;
    if (!slice_eq(json_text(raw, &scratch), oracle_text(expected)))
        difference = "text of a string";
    json_add_string(&again, oracle_text(expected));
    if (!json_is_valid(buffer_slice(&again)))
        difference = "json_add_string wrote no JSON";
    else
        json_unescape(&text, buffer_slice(&again));
    if (!slice_eq(buffer_slice(&text), oracle_text(expected)))
        difference = "text of a string that was written";
    buffer_release(&scratch);
    buffer_release(&again);
    buffer_release(&text);
    return difference;
}

static const char *compare_value(const struct json_value *value, const struct oracle *expected)
{
    if ((int)value->kind != (int)oracle_kind(expected))
        return "kind of a value";
    switch (value->kind) {
    case JSON_OBJECT:
        return compare_object(value->raw, expected);
    case JSON_ARRAY:
        return compare_array(value->raw, expected);
    case JSON_STRING:
        return compare_string(value->raw, expected);
    case JSON_NUMBER: {
        char digits[512] = {0};
        if (value->raw.len >= sizeof digits)
            return NULL;
        memcpy(digits, value->raw.data, value->raw.len);
        double difference = strtod(digits, NULL) - oracle_number(expected);
        return difference < 0 || difference > 0 ? "a number" : NULL;
    }
    default:
        return NULL;
    }
}

const char *json_compare(struct slice text)
{
    bool is_excused;
    struct oracle *expected = oracle_parse(text, &is_excused);
    struct json_scan scan = json_scan_of(text);
    struct json_value value;
    bool is_valid = json_scan_value(&scan, &value) && json_scan_end(&scan);
    const char *difference = NULL;
    if (is_valid != json_is_valid(text))
        difference = "json_is_valid";
    else if (is_valid && !expected && !is_excused)
        difference = "the scanner accepts what jansson refuses";
    else if (is_valid && expected)
        difference = compare_value(&value, expected);
    /* jansson nests deeper than the scanner, which no shorter text can do, and takes a bare NUL for
     * the end of the text. */
    else if (!is_valid && expected && text.len <= JSON_DEPTH_MAX &&
             !memchr(text.data, '\0', text.len))
        difference = "the scanner refuses what jansson accepts";
    oracle_free(expected);
    return difference;
}
