/* JSON on raw bytes: a scanner that finds values without building them, and writers.
 *
 * Row data never passes through a document tree: numbers keep their digits and strings stay
 * slices. For configuration and administration use jansson instead. RFC 8259; input must be UTF-8,
 * and duplicate keys are left as they are. Pure, any thread. */
#pragma once

#include "weir/base/buffer.h"
#include "weir/base/check.h"

enum json_kind {
    JSON_OBJECT,
    JSON_ARRAY,
    JSON_STRING,
    JSON_NUMBER,
    JSON_TRUE,
    JSON_FALSE,
    JSON_NULL,
};

struct json_value {
    enum json_kind kind;
    struct slice raw; /* the value's own bytes, quotes and brackets included */
};

/* Deeper than Postgres goes with the largest max_stack_depth of a usual 8 MB stack. */
enum { JSON_DEPTH_MAX = 131072 };

/* A place in JSON text. The text must outlive the scanner and what it returned. */
struct json_scan {
    const char *at;
    const char *end;
};

struct json_scan json_scan_of(struct slice text);

/* Scans one value at the cursor and moves behind it; white space around it is skipped.
 * False when the text is not valid JSON there, nests deeper than JSON_DEPTH_MAX, or holds a string
 * that is not UTF-8; the cursor is then where the fault is. */
bool json_scan_value(struct json_scan *scan, struct json_value *value) WEIR_MUST_CHECK;

/* True when only white space is left. */
bool json_scan_end(struct json_scan *scan);

/* Walking one level: after json_object_begin() call json_object_next() until it returns
 * JSON_STEP_END; for arrays likewise. The key is raw, quotes included. */
enum json_step { JSON_STEP_ITEM, JSON_STEP_END, JSON_STEP_INVALID };

bool json_object_begin(struct json_scan *scan) WEIR_MUST_CHECK;
enum json_step json_object_next(struct json_scan *scan, bool first, struct slice *key,
                                struct json_value *value) WEIR_MUST_CHECK;

/* As json_object_next(), but leaves the cursor in front of the value, for a caller that walks into
 * it: one pass over the bytes instead of one per level. */
enum json_step json_object_key(struct json_scan *scan, bool first,
                               struct slice *key) WEIR_MUST_CHECK;
bool json_array_begin(struct json_scan *scan) WEIR_MUST_CHECK;
enum json_step json_array_next(struct json_scan *scan, bool first,
                               struct json_value *value) WEIR_MUST_CHECK;

/* As json_array_next(), but leaves the cursor in front of the item. */
enum json_step json_array_item(struct json_scan *scan, bool first) WEIR_MUST_CHECK;

/* Whether the whole text is one valid JSON value. */
bool json_is_valid(struct slice text);

/* The text of a string token (with its quotes), unescaped and appended to out. Lone surrogates
 * become U+FFFD. The token must come from the scanner. */
void json_unescape(struct buffer *out, struct slice token);

/* As a slice: borrowed from the token where it holds no escape, else from scratch, which is
 * cleared first. */
struct slice json_text(struct slice token, struct buffer *scratch);

/* bytes as a JSON string with quotes. bytes must be UTF-8; controls, '"' and '\' are escaped. */
void json_add_string(struct buffer *out, struct slice bytes);
