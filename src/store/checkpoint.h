/* A checkpoint: what has changed since the last one, copied out of memory by the loop thread and
 * written into the catalog by a thread of its own, in one transaction.
 *
 * A job is cut at the end of a frame and started when that frame is durable, so the catalog is
 * never ahead of the log. Which streams are in it is decided at once; each is copied in one of the
 * following turns, or just before it changes. Its streams stay held, and its frames in memory,
 * until it is done. A job that fails (a full disk) is tried again; the log keeps what it would have
 * written. */
#pragma once

#include "stream.h"

struct checkpoint_stream {
    struct stream *stream; /* held; the thread does not look inside */
    uint64_t id;
    bool is_copied;
    size_t record_at, record_len; /* in the job's records; len 0: the stream was deleted */
    size_t first_entry, entry_count;
    bool has_stored; /* there may be chunks of it already */
};

struct checkpoint_producer {
    struct slice name; /* the store's own, stays */
    struct store_progress progress;
};

struct checkpoint_setting {
    size_t key_at, key_len, value_at, value_len; /* in the job's records; value_len 0: removed */
};

struct checkpoint_job {
    uint64_t sequence; /* of the last frame that is in it */
    uint64_t last_id;
    struct checkpoint_stream *streams; /* deleted ones first */
    size_t stream_count;
    size_t looked_at; /* the first ones of them, which are copied */
    size_t let_go;    /* and those no longer held, once the job is over */
    struct buffer records;
    struct entry *entries;
    size_t entry_count, entry_capacity;
    struct checkpoint_producer *producers;
    size_t producer_count;
    struct checkpoint_setting *settings;
    size_t setting_count;
};

struct checkpoint;
struct catalog;

struct checkpoint *checkpoint_start(struct catalog *catalog, int event_fd);

/* Waits for the job in hand, then stops the thread and frees. */
void checkpoint_stop(struct checkpoint *checkpoint);

/* The thread must be idle. The job stays the caller's. */
void checkpoint_submit(struct checkpoint *checkpoint, const struct checkpoint_job *job);

enum checkpoint_state { CHECKPOINT_IDLE, CHECKPOINT_BUSY, CHECKPOINT_DONE, CHECKPOINT_FAILED };

/* DONE and FAILED are told once; err is set for FAILED. With wait, BUSY is waited out. */
enum checkpoint_state checkpoint_poll(struct checkpoint *checkpoint, bool wait, struct err *err);
