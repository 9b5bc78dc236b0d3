/* struct held: what the streams of a producer hold, read back from the stream server and folded, in
 * the replica's scratch. Inside src/bridge only.
 *
 *   SCRATCH_HELD    16 of the path, 16 of type and key ->
 *                   16 of the value, 4 length of the type, type and key as JSON strings
 *   SCRATCH_PATHS   16 of the path -> path
 *
 * Hashes are SipHash-128 with this process's key. */
#pragma once

#include "bridge_internal.h"

#include "weir/base/hash.h"

/* One row in one stream. */
struct held_id {
    struct hash128 path, row;
};

/* An event, taken apart; slices of it. */
struct held_event {
    struct slice type, key; /* JSON strings */
    struct slice value;     /* JSON; empty for a delete */
    bool is_delete;
};

/* False for a message that is no State event. */
bool held_event_read(struct slice message, struct held_event *event);

struct hash128 held_path(struct slice path);
struct hash128 held_row(const struct held_event *event);
struct hash128 held_value(struct slice json);

/* Reads everything that this producer has written; of streams that others have written to as well,
 * only what channels of the rules lead to. The producer must be claimed and have nothing
 * to send. */
enum bridge_end held_read(struct bridge *bridge, struct err *err) WEIR_MUST_CHECK;

/* Whether the row is there, and what its value hashes to. */
bool held_find(struct scratch *scratch, const struct held_id *id, struct hash128 *value);
void held_remove(struct scratch *scratch, const struct held_id *id);

/* What is left. Called with borrowed slices; nothing may be removed or found meanwhile. */
void held_each(struct scratch *scratch,
               void (*visit)(void *context, struct slice path, struct slice type, struct slice key),
               void *context);
