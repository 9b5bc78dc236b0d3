/* struct catalog: everything up to the last checkpoint, in LMDB (`catalog.mdb`).
 *
 * The loop thread reads, in short read transactions; the checkpoint thread writes, one transaction
 * a checkpoint. LMDB's own locking keeps them apart. A catalog that cannot be read stops the
 * process: the disk is failing, and going on could answer "no such stream" for one that exists.
 * Formats: docs/formats.md. */
#pragma once

#include "checkpoint.h"
#include "weir/base/err.h"

struct catalog;

/* folder is the data folder's path. */
struct catalog *catalog_open(const char *folder, struct err *err) WEIR_MUST_CHECK;
void catalog_close(struct catalog *catalog); /* NULL is allowed */

/* The sequence of the last frame that is in the catalog. */
uint64_t catalog_sequence(struct catalog *catalog);
uint64_t catalog_last_id(struct catalog *catalog); /* the greatest stream id given out */
uint64_t catalog_stream_count(struct catalog *catalog);

/* A number that this folder has for a name, for good. */
uint64_t catalog_name_number(const struct catalog *catalog, struct slice name);

/* Loop thread. What they return is borrowed until catalog_read_end(). Not found is false. */
bool catalog_find(struct catalog *catalog, struct slice path, uint64_t *id, struct slice *record);
bool catalog_stream(struct catalog *catalog, uint64_t id, struct slice *record);

/* Some messages of a stream that lie behind each other. */
struct chunk {
    uint64_t start;
    uint32_t count;
    const char *lens; /* count little-endian 4-byte lengths; CHUNK_END marks the end of an append */
    const char *bytes;
};

enum { CHUNK_HEADER_SIZE = 8, CHUNK_LEN_SIZE = 4 }; /* header: count 4, CRC 4 */
static const uint32_t CHUNK_END = 0x80000000u;

/* The chunk in which position lies. */
bool catalog_chunk(struct catalog *catalog, uint64_t id, uint64_t position, struct chunk *chunk);

/* Calls visit for up to limit streams that may have expired at now_ms, soonest first. */
void catalog_expired(struct catalog *catalog, int64_t now_ms, size_t limit,
                     void (*visit)(void *context, uint64_t id), void *context);

/* Calls visit for each batch producer. */
void catalog_producers(struct catalog *catalog,
                       void (*visit)(void *context, struct slice name,
                                     const struct store_progress *progress),
                       void *context);
void catalog_settings(struct catalog *catalog,
                      void (*visit)(void *context, struct slice key, struct slice value),
                      void *context);
/* In the order of ids; up to limit of those with ids above `after`. Returns the last one's id,
 * UINT64_MAX when there are no more. */
uint64_t catalog_each_stream(struct catalog *catalog, uint64_t after, uint64_t limit,
                             void (*visit)(void *context, uint64_t id, struct slice record),
                             void *context);
void catalog_read_end(struct catalog *catalog);

/* Checkpoint thread. False with err leaves the catalog as it was. */
bool catalog_write(struct catalog *catalog, const struct checkpoint_job *job,
                   struct err *err) WEIR_MUST_CHECK;
