#include "weir/wal2json/decode.h"

#include "weir/base/lsn.h"

#include <stdlib.h>

/* PostgreSQL's MaxHeapAttributeNumber. The arrays are allocated whole, so a message of any shape
 * costs no more than this, and an ordinary one touches only their first pages. */
enum { COLUMN_MAX = 1600 };

struct change_decoder {
    struct change_column columns[COLUMN_MAX];
    struct change_column identity[COLUMN_MAX];
};

struct change_decoder *change_decoder_new(void)
{
    struct change_decoder *decoder = malloc(sizeof *decoder);
    check(decoder != NULL);
    return decoder;
}

void change_decoder_free(struct change_decoder *decoder)
{
    free(decoder);
}

/* What has been seen of a message; a field that the kind needs and that never came is an error. */
enum field {
    FIELD_ACTION = 1 << 0,
    FIELD_XID = 1 << 1,
    FIELD_LSN = 1 << 2,
    FIELD_NEXT_LSN = 1 << 3,
    FIELD_SCHEMA = 1 << 4,
    FIELD_TABLE = 1 << 5,
    FIELD_COLUMNS = 1 << 6,
    FIELD_IDENTITY = 1 << 7,
    FIELD_PREFIX = 1 << 8,
    FIELD_CONTENT = 1 << 9,
};

static const struct {
    enum field field;
    const char *name;
} field_names[] = {
    {FIELD_ACTION, "action"},    {FIELD_XID, "xid"},           {FIELD_LSN, "lsn"},
    {FIELD_NEXT_LSN, "nextlsn"}, {FIELD_SCHEMA, "schema"},     {FIELD_TABLE, "table"},
    {FIELD_COLUMNS, "columns"},  {FIELD_IDENTITY, "identity"}, {FIELD_PREFIX, "prefix"},
    {FIELD_CONTENT, "content"},
};

static const unsigned needed_fields[] = {
    [CHANGE_BEGIN] = FIELD_XID | FIELD_LSN | FIELD_NEXT_LSN,
    [CHANGE_COMMIT] = FIELD_XID | FIELD_LSN | FIELD_NEXT_LSN,
    [CHANGE_INSERT] = FIELD_XID | FIELD_LSN | FIELD_SCHEMA | FIELD_TABLE | FIELD_COLUMNS,
    [CHANGE_UPDATE] = FIELD_XID | FIELD_LSN | FIELD_SCHEMA | FIELD_TABLE | FIELD_COLUMNS,
    [CHANGE_DELETE] = FIELD_XID | FIELD_LSN | FIELD_SCHEMA | FIELD_TABLE | FIELD_IDENTITY,
    [CHANGE_TRUNCATE] = FIELD_XID | FIELD_LSN | FIELD_SCHEMA | FIELD_TABLE,
    [CHANGE_MESSAGE] = FIELD_PREFIX | FIELD_CONTENT,
};

/* One message under way. */
struct decoding {
    struct json_scan scan;
    const char *start;
    struct change_decoder *decoder;
    struct change *change;
    unsigned seen;
    struct err *err;
};

static bool invalid_json(const struct decoding *decoding)
{
    return err_set(decoding->err, "wal2json message is not valid JSON at byte %zu",
                   (size_t)(decoding->scan.at - decoding->start));
}

static bool bad_field(const struct decoding *decoding, const char *name)
{
    return err_set(decoding->err, "wal2json message has an unexpected value for \"%s\"", name);
}

static bool kind_of_action(struct slice token, enum change_kind *kind)
{
    if (token.len != 3)
        return false;
    switch (token.data[1]) {
    case 'B':
        *kind = CHANGE_BEGIN;
        return true;
    case 'C':
        *kind = CHANGE_COMMIT;
        return true;
    case 'I':
        *kind = CHANGE_INSERT;
        return true;
    case 'U':
        *kind = CHANGE_UPDATE;
        return true;
    case 'D':
        *kind = CHANGE_DELETE;
        return true;
    case 'T':
        *kind = CHANGE_TRUNCATE;
        return true;
    case 'M':
        *kind = CHANGE_MESSAGE;
        return true;
    default:
        return false;
    }
}

static bool parse_xid(struct slice digits, uint32_t *xid)
{
    uint64_t value = 0;
    if (digits.len > 10)
        return false;
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.data[i] < '0' || digits.data[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(digits.data[i] - '0');
    }
    *xid = (uint32_t)value;
    return value <= UINT32_MAX;
}

static bool parse_lsn_token(const struct json_value *value, uint64_t *lsn)
{
    return value->kind == JSON_STRING &&
           lsn_parse(slice_of(value->raw.data + 1, value->raw.len - 2), lsn);
}

/* {"name":"id","value":1}, in any order and with further members (types, when they are
 * asked for). */
static bool scan_column(struct decoding *decoding, struct change_column *column)
{
    struct json_scan *scan = &decoding->scan;
    if (!json_object_begin(scan))
        return invalid_json(decoding);
    column->name = SLICE_NONE;
    column->value.raw = SLICE_NONE;
    for (bool first = true;; first = false) {
        struct slice key;
        struct json_value value;
        enum json_step step = json_object_next(scan, first, &key, &value);
        if (step == JSON_STEP_INVALID)
            return invalid_json(decoding);
        if (step == JSON_STEP_END)
            break;
        if (slice_eq(key, SLICE("\"value\"")))
            column->value = value;
        else if (slice_eq(key, SLICE("\"name\"")) && value.kind == JSON_STRING)
            column->name = value.raw;
    }
    if (!column->name.data)
        return bad_field(decoding, "name");
    if (!column->value.raw.data || column->value.kind == JSON_OBJECT ||
        column->value.kind == JSON_ARRAY)
        return bad_field(decoding, "value");
    return true;
}

static bool scan_columns(struct decoding *decoding, struct change_column *columns, size_t *count)
{
    size_t n = 0;
    if (!json_array_begin(&decoding->scan))
        return invalid_json(decoding);
    for (;;) {
        enum json_step step = json_array_item(&decoding->scan, n == 0);
        if (step == JSON_STEP_INVALID)
            return invalid_json(decoding);
        if (step == JSON_STEP_END)
            break;
        if (n == COLUMN_MAX)
            return err_set(decoding->err, "wal2json message has more than %d columns", COLUMN_MAX);
        if (!scan_column(decoding, &columns[n]))
            return false;
        n++;
    }
    *count = n;
    return true;
}

/* Every member but the two arrays. Unknown ones are passed over: later versions may add some. */
static bool scan_member(struct decoding *decoding, struct slice key)
{
    struct change *change = decoding->change;
    struct json_value value;
    if (!json_scan_value(&decoding->scan, &value))
        return invalid_json(decoding);
    if (slice_eq(key, SLICE("\"action\""))) {
        decoding->seen |= FIELD_ACTION;
        return (value.kind == JSON_STRING && kind_of_action(value.raw, &change->kind)) ||
               bad_field(decoding, "action");
    }
    if (slice_eq(key, SLICE("\"lsn\""))) {
        decoding->seen |= FIELD_LSN;
        return parse_lsn_token(&value, &change->lsn) || bad_field(decoding, "lsn");
    }
    if (slice_eq(key, SLICE("\"nextlsn\""))) {
        decoding->seen |= FIELD_NEXT_LSN;
        return parse_lsn_token(&value, &change->next_lsn) || bad_field(decoding, "nextlsn");
    }
    /* A logical message outside transactions has null for xid and timestamp. */
    if (value.kind == JSON_NULL)
        return true;
    if (slice_eq(key, SLICE("\"xid\""))) {
        decoding->seen |= FIELD_XID;
        return (value.kind == JSON_NUMBER && parse_xid(value.raw, &change->xid)) ||
               bad_field(decoding, "xid");
    }
    if (value.kind != JSON_STRING)
        return true;
    if (slice_eq(key, SLICE("\"timestamp\""))) {
        change->timestamp = value.raw;
    } else if (slice_eq(key, SLICE("\"schema\""))) {
        decoding->seen |= FIELD_SCHEMA;
        change->schema = value.raw;
    } else if (slice_eq(key, SLICE("\"table\""))) {
        decoding->seen |= FIELD_TABLE;
        change->table = value.raw;
    } else if (slice_eq(key, SLICE("\"prefix\""))) {
        decoding->seen |= FIELD_PREFIX;
        change->prefix = value.raw;
    } else if (slice_eq(key, SLICE("\"content\""))) {
        decoding->seen |= FIELD_CONTENT;
        change->content = value.raw;
    }
    return true;
}

static bool scan_message(struct decoding *decoding)
{
    struct json_scan *scan = &decoding->scan;
    struct change *change = decoding->change;
    if (!json_object_begin(scan))
        return invalid_json(decoding);
    for (bool first = true;; first = false) {
        struct slice key;
        enum json_step step = json_object_key(scan, first, &key);
        if (step == JSON_STEP_INVALID)
            return invalid_json(decoding);
        if (step == JSON_STEP_END)
            break;
        bool ok;
        if (slice_eq(key, SLICE("\"columns\""))) {
            decoding->seen |= FIELD_COLUMNS;
            ok = scan_columns(decoding, decoding->decoder->columns, &change->column_count);
        } else if (slice_eq(key, SLICE("\"identity\""))) {
            decoding->seen |= FIELD_IDENTITY;
            ok = scan_columns(decoding, decoding->decoder->identity, &change->identity_count);
        } else {
            ok = scan_member(decoding, key);
        }
        if (!ok)
            return false;
    }
    return json_scan_end(scan) || invalid_json(decoding);
}

bool change_decode(struct change_decoder *decoder, struct slice message, struct change *change,
                   struct err *err)
{
    *change = (struct change){.columns = decoder->columns, .identity = decoder->identity};
    struct decoding decoding = {.scan = json_scan_of(message),
                                .start = message.data,
                                .decoder = decoder,
                                .change = change,
                                .err = err};
    if (!scan_message(&decoding))
        return false;
    unsigned missing = (FIELD_ACTION | needed_fields[change->kind]) & ~decoding.seen;
    for (size_t i = 0; i < sizeof field_names / sizeof *field_names; i++) {
        if (missing & field_names[i].field)
            return err_set(err, "wal2json message has no \"%s\"", field_names[i].name);
    }
    return true;
}
