/* struct store and what its parts share. The state in memory is a fold of the operations in the
 * log: the same apply_operation() runs when an operation is decided on and when it is read back. */
#pragma once

#include "catalog.h"
#include "checkpoint.h"
#include "commit.h"
#include "log.h"
#include "stream.h"
#include "table.h"
#include "weir/base/arena.h"

enum operation {
    OPERATION_END, /* padding */
    OPERATION_CREATE,
    OPERATION_APPEND, /* and close */
    OPERATION_DELETE,
    OPERATION_USE, /* renews a sliding expiry */
    OPERATION_BATCH,
    OPERATION_CLAIM,
    OPERATION_SET,
};

enum { STORE_PRODUCERS_MAX = 1000, FRAME_BYTES_MAX = 1 << 28 };

struct setting;

struct store {
    struct store_settings settings;
    int folder_fd, lock_fd, event_fd;
    struct log *log;
    struct catalog *catalog;
    struct commit *commit;
    struct checkpoint *checkpoint;

    struct table by_path, by_id;
    struct stream *oldest_idle, *newest_idle; /* unused and unchanged streams */
    size_t idle_count;
    struct stream *latest; /* that was looked for, in memory; may be NULL */
    uint64_t last_id;
    uint64_t stream_count; /* that exist, soft-deleted ones among them */

    struct frame *open;            /* being filled */
    struct frame *oldest, *newest; /* sealed, in memory */
    struct frame *pending;         /* of these, the first that is not known to be durable */
    uint64_t durable;              /* sequence */
    uint64_t memory_bytes, pinned_bytes;
    uint64_t checkpointed; /* sequence */

    struct stream **dirty; /* held */
    size_t dirty_count, dirty_capacity;
    struct checkpoint_job *job; /* cut, under way or to be tried again */
    bool is_job_started;
    struct checkpoint_job *job_over; /* whose streams are being let go of; may be NULL */
    bool has_checkpoint_failed;      /* the last one that was tried */
    bool is_observed;
    unsigned checkpoints_owed;                          /* without anything new in them: cut.c */
    uint64_t checkpoint_due_ms, retry_ms, sweep_due_ms; /* monotonic */

    struct checkpoint_producer *producers; /* of batches; names are owned */
    size_t producer_count;

    struct setting *settings_kept; /* sorted by key */
    size_t setting_count, setting_capacity;

    struct arena scratch; /* of one call */
    struct batch_skip *skipped;
    size_t skipped_count;
    struct slice *page;
    size_t page_count, page_capacity;
    struct store_counters counters;
};

/* ---- streams in memory: streams.c ---- */

/* From memory or the catalog; NULL: there is none, or it is deleted for good. */
struct stream *store_stream(struct store *store, uint64_t id);
void store_add_stream(struct store *store, struct stream *stream);

/* store_find() for a caller that has the path's hash, by which streams are found in memory. */
uint64_t store_path_hash(struct slice path);
enum find_result store_find_hashed(struct store *store, struct slice path, uint64_t hash,
                                   struct stream **stream);

/* For who goes through many streams: begins to fetch the stream with this hash, by_path or by_id,
 * into the processor's cache. Once for its slot, FETCH_SLOT streams ahead, and once for the stream
 * itself. */
enum { FETCH_SLOT = 16, FETCH_STREAM = 8 };
void store_fetch_stream(const struct table *table, uint64_t hash);

bool store_may_add(const struct store *store, uint64_t count); /* by streams_max */
void store_mark_dirty(struct store *store, struct stream *stream);

/* Notes that the open frame changes the stream. */
void store_note_touched(struct store *store, struct stream *stream);
void store_release_streams(struct store *store);

/* ---- operations: apply.c, decide by store.c, create.c, append.c, batch.c ---- */

/* Room for an operation of about so many bytes in the open frame. False when the disk is full. */
bool store_reserve(struct store *store, size_t operation_bytes) WEIR_MUST_CHECK;

/* Applies the operations in the open frame from offset `from` on. */
void store_apply(struct store *store, size_t from);

/* Splits a body into messages: one for bytes, the flattened values for JSON. In scratch. False when
 * it is not JSON. */
bool store_split(struct store *store, struct slice body, bool is_json, struct slice **messages,
                 size_t *count) WEIR_MUST_CHECK;

/* store_create() for a caller that goes on using scratch. */
enum create_result store_create_unclear(struct store *store, const struct create_request *request,
                                        struct stream **stream);

struct checkpoint_producer *store_find_producer(const struct store *store, struct slice name);
struct checkpoint_producer *store_add_producer(struct store *store, struct slice name);

/* The number by which streams know a batch producer. */
uint64_t store_writer(const struct store *store, struct slice producer);

/* ---- reading: read.c ---- */

/* As store_read(), up to `until` instead of the durable tail. */
enum read_result store_read_until(struct store *store, struct stream *stream, uint64_t position,
                                  uint64_t until, size_t limit, struct page *page);

/* ---- settings: settings.c ---- */

void store_remember(struct store *store, struct slice key, struct slice value, bool is_dirty);
void store_cut_settings(struct store *store, struct checkpoint_job *job);
void store_release_settings(struct store *store);

/* ---- expiry: expiry.c ---- */

bool store_is_expired(struct store *store, struct stream *stream, int64_t wall_ms);

/* Deletes some expired streams, when it is time to. */
void store_expire(struct store *store);

/* ---- checkpoints: cut.c ---- */

/* Begins a job of what has changed since the last cut; the open frame must be empty. */
void store_cut(struct store *store);

/* Copies the job's streams: some of them and wakes the loop for more, or all. True when all are. */
bool store_copy_cut(struct store *store, bool all);

/* Before each change of a stream. */
void store_copy_first(struct store *store, const struct stream *stream);

/* The job is in the catalog: drops the log behind it, and ends the job. */
void store_finish_job(struct store *store);

/* No job any more; its streams are let go of as memory is trimmed. */
void store_end_job(struct store *store);

/* Lets go of the streams of a job that is over, and of checkpointed frames above the memory bound:
 * of all, or of some, and wakes the loop for more. */
void store_trim_memory(struct store *store, bool all);
