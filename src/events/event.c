#include "weir/events/event.h"

#include "weir/base/check.h"
#include "weir/base/json.h"
#include "weir/replica/value.h"

#include <stdio.h>

void event_headers_set(struct event_headers *headers, uint32_t xid, struct slice timestamp)
{
    struct buffer tail = BUFFER_INIT;
    if (xid)
        buffer_printf(&tail, ",\"txid\":\"%u\"", xid);
    const char *space = timestamp.len ? memchr(timestamp.data, ' ', timestamp.len) : NULL;
    if (space && timestamp.len > 3) {
        const char *zone = timestamp.data + timestamp.len - 3; /* +00 */
        buffer_add_str(&tail, ",\"timestamp\":\"");
        buffer_add(&tail, timestamp.data, (size_t)(space - timestamp.data));
        buffer_add_char(&tail, 'T');
        buffer_add(&tail, space + 1, (size_t)(zone - space - 1));
        buffer_add_str(&tail, "Z\"");
    }
    buffer_add_str(&tail, "}}");
    check(tail.len <= sizeof headers->tail);
    memcpy(headers->tail, tail.data, tail.len);
    headers->tail_len = tail.len;
    buffer_release(&tail);
}

void event_add_key(struct buffer *out, const struct relation *relation, struct row row,
                   struct arena *scratch)
{
    if (relation->key_count == 1) {
        uint16_t column = relation->key[0];
        const struct value_type *type = relation->columns[column].type;
        json_add_string(out, value_text(type, row_column(relation, row, column), scratch));
        return;
    }
    struct buffer key = BUFFER_INIT;
    for (size_t i = 0; i < relation->key_count; i++) {
        uint16_t column = relation->key[i];
        const struct value_type *type = relation->columns[column].type;
        buffer_add_char(&key, i ? ',' : '[');
        json_add_string(&key, value_text(type, row_column(relation, row, column), scratch));
    }
    buffer_add_char(&key, ']');
    json_add_string(out, buffer_slice(&key));
    buffer_release(&key);
}

void event_encode(struct buffer *out, const struct event_headers *headers,
                  enum event_operation operation, struct slice type_json,
                  const struct relation *relation, struct row row, const uint64_t *columns,
                  struct arena *scratch)
{
    static const char *const operations[] = {"insert", "update", "delete"};
    arena_clear(scratch);
    buffer_reserve(out, row.record.len + 256);
    buffer_add_str(out, "{\"type\":");
    buffer_add_slice(out, type_json);
    buffer_add_str(out, ",\"key\":");
    event_add_key(out, relation, row, scratch);
    if (operation != EVENT_DELETE) {
        buffer_add_str(out, ",\"value\":");
        if (columns)
            row_json_of_columns(out, relation, row, columns);
        else
            buffer_add_slice(out, row_json(relation, row));
    }
    buffer_add_str(out, ",\"headers\":{\"operation\":\"");
    buffer_add_str(out, operations[operation]);
    buffer_add_char(out, '"');
    buffer_add(out, headers->tail, headers->tail_len);
}
