/* wal2json, format version 2: the bytes of one message to one change.
 *
 * Pure: no I/O, no catalog, no types. Values stay raw JSON tokens of the input; what a column's
 * token means for its type is the business of weir/events. The input is untrusted: whatever it
 * holds, the decoder returns false with a reason, or a change whose slices lie in the input.
 * https://github.com/eulerto/wal2json (format version 2), facts in docs/decisions. */
#pragma once

#include "weir/base/err.h"
#include "weir/base/json.h"

enum change_kind {
    CHANGE_BEGIN,
    CHANGE_COMMIT,
    CHANGE_INSERT,
    CHANGE_UPDATE,
    CHANGE_DELETE,
    CHANGE_TRUNCATE,
    CHANGE_MESSAGE, /* pg_logical_emit_message */
};

struct change_column {
    struct slice name;       /* raw token, quotes included */
    struct json_value value; /* raw token; JSON_STRING, JSON_NUMBER, JSON_TRUE/FALSE or JSON_NULL */
};

struct change {
    enum change_kind kind;
    uint32_t xid;
    uint64_t lsn;           /* BEGIN, COMMIT: the commit record; rows: the row's record */
    uint64_t next_lsn;      /* BEGIN, COMMIT: the end of the commit record, to be confirmed */
    struct slice timestamp; /* raw token; empty when the option is off */
    struct slice schema;    /* raw token; rows and TRUNCATE */
    struct slice table;     /* raw token */
    struct slice prefix;    /* raw token; MESSAGE */
    struct slice content;   /* raw token; MESSAGE; wal2json cuts it at its first NUL */
    const struct change_column
        *columns; /* INSERT, UPDATE: the new row; unchanged TOAST is absent */
    size_t column_count;
    const struct change_column *identity; /* UPDATE, DELETE: old key or old row; may be empty */
    size_t identity_count;
};

/* Reused from message to message, so that decoding does not allocate. */
struct change_decoder;

struct change_decoder *change_decoder_new(void);
void change_decoder_free(struct change_decoder *decoder); /* NULL is allowed */

/* Decodes one message. The change's slices borrow from message; its arrays belong to the decoder
 * and stay until the next call. */
bool change_decode(struct change_decoder *decoder, struct slice message, struct change *change,
                   struct err *err) WEIR_MUST_CHECK;
