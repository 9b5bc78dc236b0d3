/* What weir status shows: gathered from the stream server and from Postgres, written for people.
 * Inside src/cli only. */
#pragma once

#include "weir/base/buffer.h"
#include "weir/base/err.h"

#include <jansson.h>

struct status_settings {
    const char *streams, *token_file, *ca_file;
    const char *db; /* NULL: Postgres is not asked */
    const char *publication, *slot;
    uint64_t interval_ms;
    bool is_once, is_json;
};

struct status_source;

/* NULL with err when a file cannot be read. Does not connect. */
struct status_source *status_source_open(const struct status_settings *settings,
                                         struct err *err) WEIR_MUST_CHECK;
void status_source_close(struct status_source *source);

/* {"streams":{"url":…,"overview":…|"error":…},"postgres":{"slot":…,"tables":…,"rules":…|"error":…}}:
 * what they say now; without "postgres" unless it is asked. Blocks for some seconds at most;
 * connects again when a connection was lost. The caller's. */
json_t *status_look(struct status_source *source);

/* Whether everybody who was asked has answered. */
bool status_is_whole(const json_t *status);

/* The text, with colours or without, in lines of at most so many characters; 0: of any length.
 * Lists end where `lines` would be exceeded; 0: never. Nothing in it moves the
 * terminal's cursor. */
struct status_size {
    size_t columns, lines;
    bool has_colours;
};
void status_write(const json_t *status, struct status_size size, struct buffer *out);
