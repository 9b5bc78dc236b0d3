/* A store in a folder of its own, for tests. Nothing here waits by sleeping. */
#pragma once

#include "weir/store/store.h"

struct folder {
    char path[64];
};

struct folder folder_make(void);
void folder_remove(const struct folder *folder);

/* Small bounds, so that every path is taken: files of 64 KiB, checkpoints at every turn when asked
 * for, no data kept in memory after them, few idle streams. */
struct store_settings folder_settings(const struct folder *folder, bool checkpoints);
struct store *folder_open(const struct folder *folder, bool checkpoints);

/* Turns until everything decided on is durable. */
void store_settle(struct store *store);

/* Turns until so many checkpoints have finished. */
void store_await_checkpoints(struct store *store, uint64_t count);
void store_end(struct store *store);

struct stream *make_stream(struct store *store, const char *path, const char *type);
enum append_result append_text(struct store *store, struct stream *stream, const char *text);

/* All bytes from position on, pages of `limit`; JSON messages with ',' between them. In a static
 * buffer. */
const char *read_all(struct store *store, struct stream *stream, uint64_t position, size_t limit);
