/* State Protocol change events, as bytes.
 *
 *   {"type":"todos","key":"7","value":{...},"headers":{"operation":"insert","txid":"731",
 *    "timestamp":"2026-11-23T12:00:00.5Z"}}
 *
 * `value` is the whole row (or the columns that the reader may see) and absent from deletes. The
 * key is the primary key's text, or a JSON array of the texts for a composite key. State Protocol,
 * sections 4.1 and 5.1. Pure. */
#pragma once

#include "weir/base/arena.h"
#include "weir/base/buffer.h"
#include "weir/replica/row.h"

enum event_operation { EVENT_INSERT, EVENT_UPDATE, EVENT_DELETE };

/* What the events of one transaction have in common: the end of the headers object. */
struct event_headers {
    char tail[160]; /* `,"txid":"731","timestamp":"..."}}` */
    size_t tail_len;
};

/* timestamp: as Postgres prints it in UTC, `2026-11-23 12:00:00.5+00`; empty: left out. xid 0 is
 * left out. */
void event_headers_set(struct event_headers *headers, uint32_t xid, struct slice timestamp);

/* Appends the event. type_json is a quoted token; columns NULL for all. scratch is cleared. */
void event_encode(struct buffer *out, const struct event_headers *headers,
                  enum event_operation operation, struct slice type_json,
                  const struct relation *relation, struct row row, const uint64_t *columns,
                  struct arena *scratch);

/* Appends the event's key: a JSON string. */
void event_add_key(struct buffer *out, const struct relation *relation, struct row row,
                   struct arena *scratch);
