#include "decode_compare.h"

#include "weir/base/lsn.h"

#include "support/json_oracle.h"

#include <math.h>
#include <stdlib.h>

static const struct oracle *member(const struct oracle *object, const char *key)
{
    return oracle_member(object, slice_from_str(key));
}

/* Whether jansson saw every member of an object, under the name that the bytes have. */
static bool is_plain_object(struct slice raw, const struct oracle *object)
{
    struct json_scan scan = json_scan_of(raw);
    struct slice key;
    struct json_value value;
    size_t count = 0;
    if (!json_object_begin(&scan))
        return true;
    for (; json_object_next(&scan, count == 0, &key, &value) == JSON_STEP_ITEM; count++) {
        if (memchr(key.data, '\\', key.len))
            return false;
    }
    return count == oracle_size(object);
}

static bool are_plain_columns(struct slice message, struct slice name, const struct oracle *columns)
{
    struct json_scan scan = json_scan_of(message), items;
    struct slice key;
    struct json_value value;
    bool is_plain = true;
    if (!columns || !json_object_begin(&scan))
        return true;
    for (bool first = true; json_object_next(&scan, first, &key, &value) == JSON_STEP_ITEM;
         first = false) {
        if (!slice_eq(key, name))
            continue;
        items = json_scan_of(value.raw);
        if (!json_array_begin(&items))
            return true;
        for (size_t i = 0; json_array_next(&items, i == 0, &value) == JSON_STEP_ITEM; i++)
            is_plain = is_plain && is_plain_object(value.raw, oracle_item(columns, i));
    }
    return is_plain;
}

static bool is_plain(struct slice message, const struct oracle *tree)
{
    return is_plain_object(message, tree) &&
           are_plain_columns(message, SLICE("\"columns\""), member(tree, "columns")) &&
           are_plain_columns(message, SLICE("\"identity\""), member(tree, "identity"));
}

static bool text_is(struct slice token, const struct oracle *expected)
{
    struct buffer scratch = BUFFER_INIT;
    bool same = oracle_kind(expected) == ORACLE_STRING &&
                slice_eq(json_text(token, &scratch), oracle_text(expected));
    buffer_release(&scratch);
    return same;
}

/* A number's digits are the message's own; that they are the number is what jansson can tell. */
static bool number_is(struct slice digits, const struct oracle *expected)
{
    char text[512] = {0};
    if (digits.len >= sizeof text)
        return true;
    memcpy(text, digits.data, digits.len);
    return fabs(strtod(text, NULL) - oracle_number(expected)) == 0;
}

static bool value_is(const struct json_value *value, const struct oracle *expected)
{
    if ((int)value->kind != (int)oracle_kind(expected))
        return false;
    if (value->kind == JSON_STRING)
        return text_is(value->raw, expected);
    return value->kind != JSON_NUMBER || number_is(value->raw, expected);
}

static bool columns_are(const struct change_column *columns, size_t count,
                        const struct oracle *expected)
{
    if (count != oracle_size(expected))
        return false;
    for (size_t i = 0; i < count; i++) {
        const struct oracle *column = oracle_item(expected, i);
        if (!text_is(columns[i].name, member(column, "name")) ||
            !value_is(&columns[i].value, member(column, "value")))
            return false;
    }
    return true;
}

static bool lsn_is(uint64_t lsn, const struct oracle *expected)
{
    uint64_t same = 0;
    return !expected ? lsn == 0
                     : oracle_kind(expected) == ORACLE_STRING &&
                           lsn_parse(oracle_text(expected), &same) && lsn == same;
}

/* What is no string is as if it were not there. */
static bool name_is(struct slice token, const struct oracle *expected)
{
    if (oracle_kind(expected) != ORACLE_STRING)
        return token.data == NULL;
    return token.data && text_is(token, expected);
}

static const char *compare(const struct change *change, const struct oracle *tree)
{
    static const char actions[] = "BCIUDTM";
    struct slice action = oracle_text(member(tree, "action"));
    if (action.len != 1 || action.data[0] != actions[change->kind])
        return "action";
    if (fabs((double)change->xid - oracle_number(member(tree, "xid"))) > 0)
        return "xid";
    if (!lsn_is(change->lsn, member(tree, "lsn")) ||
        !lsn_is(change->next_lsn, member(tree, "nextlsn")))
        return "lsn, nextlsn";
    if (!name_is(change->timestamp, member(tree, "timestamp")) ||
        !name_is(change->schema, member(tree, "schema")) ||
        !name_is(change->table, member(tree, "table")))
        return "timestamp, schema, table";
    if (!name_is(change->prefix, member(tree, "prefix")) ||
        !name_is(change->content, member(tree, "content")))
        return "prefix, content";
    if (!columns_are(change->columns, change->column_count, member(tree, "columns")))
        return "columns";
    return columns_are(change->identity, change->identity_count, member(tree, "identity"))
               ? NULL
               : "identity";
}

const char *decode_compare(const struct change *change, struct slice message)
{
    bool is_excused;
    struct oracle *tree = oracle_parse(message, &is_excused);
    const char *difference = NULL;
    if (!tree)
        difference = is_excused ? NULL : "jansson takes it for no JSON";
    else if (is_plain(message, tree))
        difference = compare(change, tree);
    oracle_free(tree);
    return difference;
}

static bool is_string(const struct oracle *tree, const char *key)
{
    return oracle_kind(member(tree, key)) == ORACLE_STRING;
}

/* Not there, or of a form that is surely taken. */
static bool is_lsn(const struct oracle *tree, const char *key, bool is_needed)
{
    uint64_t lsn;
    const struct oracle *value = member(tree, key);
    return value ? oracle_kind(value) == ORACLE_STRING && lsn_parse(oracle_text(value), &lsn)
                 : !is_needed;
}

/* By its digits: 1e0 is a whole number to jansson, and no xid. */
static bool is_xid(const struct oracle *tree, struct slice message, bool is_needed)
{
    struct json_scan scan = json_scan_of(message);
    struct slice key;
    struct json_value value;
    enum oracle_kind kind = oracle_kind(member(tree, "xid"));
    if (kind == ORACLE_MISSING || kind == ORACLE_NULL || !json_object_begin(&scan))
        return !is_needed;
    for (bool first = true; json_object_next(&scan, first, &key, &value) == JSON_STEP_ITEM;
         first = false) {
        if (slice_eq(key, SLICE("\"xid\"")))
            return value.kind == JSON_NUMBER && value.raw.len <= 10 &&
                   oracle_number(member(tree, "xid")) <= UINT32_MAX &&
                   strspn(value.raw.data, "0123456789") >= value.raw.len;
    }
    return false;
}

static bool are_columns(const struct oracle *tree, const char *key, bool is_needed)
{
    const struct oracle *columns = member(tree, key);
    if (!columns)
        return !is_needed;
    if (oracle_kind(columns) != ORACLE_ARRAY || oracle_size(columns) > 1600)
        return false;
    for (size_t i = 0; i < oracle_size(columns); i++) {
        const struct oracle *column = oracle_item(columns, i);
        enum oracle_kind kind = oracle_kind(member(column, "value"));
        if (oracle_kind(column) != ORACLE_OBJECT || !is_string(column, "name") ||
            kind == ORACLE_OBJECT || kind == ORACLE_ARRAY || kind == ORACLE_MISSING)
            return false;
    }
    return true;
}

static bool has_what_it_needs(struct slice message, const struct oracle *tree, char action)
{
    bool is_message = action == 'M', is_border = action == 'B' || action == 'C';
    bool is_row = !is_message && !is_border;
    return is_xid(tree, message, !is_message) && is_lsn(tree, "lsn", !is_message) &&
           is_lsn(tree, "nextlsn", is_border) &&
           (!is_row || (is_string(tree, "schema") && is_string(tree, "table"))) &&
           (!is_message || (is_string(tree, "prefix") && is_string(tree, "content"))) &&
           are_columns(tree, "columns", action == 'I' || action == 'U') &&
           are_columns(tree, "identity", action == 'D');
}

/* What wal2json writes plainly the decoder reads plainly: "0\\/1" is no position to it. */
static bool has_escapes(struct slice message)
{
    struct json_scan scan = json_scan_of(message);
    struct slice key;
    struct json_value value;
    bool found = false;
    if (!json_object_begin(&scan))
        return false;
    for (bool first = true; json_object_next(&scan, first, &key, &value) == JSON_STEP_ITEM;
         first = false) {
        bool is_plain_text = slice_eq(key, SLICE("\"action\"")) ||
                             slice_eq(key, SLICE("\"lsn\"")) || slice_eq(key, SLICE("\"nextlsn\""));
        found = found || (is_plain_text && memchr(value.raw.data, '\\', value.raw.len));
    }
    return found;
}

bool decode_is_due(struct slice message)
{
    bool is_excused;
    struct oracle *tree = oracle_parse(message, &is_excused);
    struct slice action = tree ? oracle_text(member(tree, "action")) : SLICE_NONE;
    /* json_is_valid: jansson nests deeper than the scanner, and ends at a NUL. */
    bool is_due = tree && action.len == 1 && strchr("BCIUDTM", action.data[0]) &&
                  json_is_valid(message) && is_plain(message, tree) && !has_escapes(message) &&
                  has_what_it_needs(message, tree, action.data[0]);
    oracle_free(tree);
    return is_due;
}
