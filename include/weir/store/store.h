/* struct store: many durable append-only streams in one folder.
 *
 * A write is decided on, encoded into the open frame and applied to memory at once; the frame is
 * then written and synced by the commit thread together with everything else that waits. So every
 * write gives a ticket, and its answer may go out when store_durable() has reached it. Readers see
 * only what is durable. A background thread moves older data into LMDB and drops the log behind it.
 * Formats: docs/formats.md.
 *
 * Everything here belongs to one thread (the server's loop), which calls store_turn() in each of
 * its turns. Nothing blocks on a sync; reads of data that is no longer in memory may wait
 * for the disk. Paths are canonical ones without a leading '/'. Time is clock_wall_ms().
 *
 * It is not a protocol server: it knows streams, offsets as byte positions, producers, forks and
 * expiry, and nothing about HTTP. */
#pragma once

#include "weir/base/err.h"
#include "weir/base/slice.h"

struct store;
struct stream;

struct store_settings {
    const char *folder;
    uint64_t segment_bytes;    /* size of one log file */
    uint64_t cache_bytes;      /* durable, checkpointed log kept in memory for readers */
    uint64_t checkpoint_bytes; /* log that makes a checkpoint due */
    uint64_t checkpoint_ms;    /* and time, when there is anything to checkpoint */
    size_t checkpoint_slice;   /* streams copied for a checkpoint in one turn; at least 1 */
    uint64_t pinned_bytes;     /* log not yet checkpointed, above which writes are told to wait */
    size_t idle_streams;       /* unused streams remembered in memory; at least 16 */
    uint64_t streams_max;      /* that may exist; 0: as many as there is room for */
    /* A stream's durable state has changed and stream_watch() is set. Called from store_turn();
     * may ask about the stream, but not call the store. */
    void (*on_change)(void *context, struct stream *stream);
    /* Data of a stream has become durable behind previous_tail, and store_observe() is on. The
     * stream may be held; otherwise as on_change. */
    void (*on_append)(void *context, struct stream *stream, uint64_t previous_tail);
    void *context;
};

struct store_settings store_settings_default(const char *folder);

/* Locks the folder (made when missing), recovers and starts the threads. NULL with err when another
 * process has it, the format is a newer one, the log is damaged, or the system refuses. */
struct store *store_open(const struct store_settings *settings, struct err *err) WEIR_MUST_CHECK;

/* Commits what is open, checkpoints, stops the threads and frees. False with err when the last
 * checkpoint failed; nothing is lost then, the log has it. */
bool store_close(struct store *store, struct err *err);

/* Readable when a commit or a checkpoint has finished and store_turn() has work. */
int store_event_fd(const struct store *store);

/* Takes in what the threads have finished, hands the open frame to the commit thread when that is
 * idle, and starts a checkpoint when one is due. */
void store_turn(struct store *store);

/* The second of the three alone: what has been decided on since need not wait for the next turn. */
void store_hand_over(struct store *store);

/* Everything with a ticket up to this one is on disk. */
uint64_t store_durable(const struct store *store);

/* The ticket of everything decided so far. */
uint64_t store_staged(const struct store *store);

enum store_readiness {
    STORE_READY,
    STORE_BUSY,  /* writes have to wait for a commit or a checkpoint; ask again after a turn */
    STORE_STUCK, /* and the checkpoint fails, so waiting may take for ever: no room */
};

/* Whether a write may be decided on now. */
enum store_readiness store_readiness(const struct store *store);

/* Upper bounds of the classes that store_counters counts commits by, in microseconds. */
enum { COMMIT_CLASSES = 10 };
extern const uint64_t store_commit_class_us[COMMIT_CLASSES];

struct store_counters {
    uint64_t commits_by_class[COMMIT_CLASSES]; /* those that took longer are in none */
    uint64_t commit_us;                        /* writing and syncing, in all */
    uint64_t commits, commit_bytes, appends, messages, creates, deletes, checkpoints;
    uint64_t log_bytes;      /* on disk */
    uint64_t memory_bytes;   /* frames held */
    uint64_t pinned_bytes;   /* of these, not checkpointed yet */
    uint64_t streams;        /* that exist, those deleted but for their forks among them */
    uint64_t streams_loaded; /* in memory, used or not */
    bool is_full;            /* the last write was refused for want of disk */
};

struct store_counters store_counters(const struct store *store);

/* ---- Streams ---- */

enum find_result { FIND_OK, FIND_MISSING, FIND_SOFT_DELETED };

/* Expired streams are deleted on the way. *stream is borrowed until the next store_turn(), longer
 * with stream_hold(); it is set for FIND_OK and FIND_SOFT_DELETED. */
enum find_result store_find(struct store *store, struct slice path, struct stream **stream);

/* The ticket of the last change of the stream at the path, or of its deletion; 0 when that is long
 * durable. An answer that says "not found" waits for it: the deletion could still be lost. */
uint64_t store_path_ticket(const struct store *store, struct slice path);

void stream_hold(struct stream *stream);
void store_drop(struct store *store, struct stream *stream); /* ends a hold */

struct slice stream_path(const struct stream *stream);
struct slice stream_content_type(const struct stream *stream);
bool stream_is_json(const struct stream *stream);
uint64_t stream_id(const struct stream *stream);
int64_t stream_created_ms(const struct stream *stream);
uint64_t stream_tail(const struct stream *stream); /* durable */
uint64_t stream_staged_tail(const struct stream *stream);
bool stream_is_closed(const struct stream *stream); /* durable */
bool stream_is_gone(const struct stream *stream);   /* deleted, or soft-deleted */
bool stream_is_durable(const struct stream *stream, const struct store *store); /* created */
uint64_t stream_ticket(const struct stream *stream); /* of its last change */
bool stream_ttl(const struct stream *stream, uint64_t *seconds);
bool stream_expires_at(const struct stream *stream, int64_t *wall_ms);

/* Renews a sliding expiry: reads count as use, HEAD does not. */
void store_touch(struct store *store, struct stream *stream);

/* The caller's own list of who waits on the stream; NULL: nobody. A stream that is watched must be
 * held. */
void stream_watch(struct stream *stream, void *watchers);
void *stream_watchers(const struct stream *stream);

/* ---- Writing ---- */

struct fork_request {
    struct slice source; /* canonical path; empty: not a fork */
    bool has_offset;
    uint64_t offset;
    uint64_t sub_offset; /* messages (JSON) or bytes behind offset */
};

struct create_request {
    struct slice path;
    struct slice content_type; /* empty: application/octet-stream, or a fork's source's */
    bool has_ttl, has_expires_at, is_closed;
    uint64_t ttl_s;
    int64_t expires_at_ms;
    struct fork_request fork;
    struct slice body;
};

enum create_result {
    CREATE_NEW,
    CREATE_SAME, /* exists with this configuration */
    CREATE_CONFLICT,
    CREATE_SOFT_DELETED,
    CREATE_SOURCE_MISSING,
    CREATE_SOURCE_SOFT_DELETED,
    CREATE_TYPE_MISMATCH, /* of a fork and its source */
    CREATE_TOO_DEEP,      /* a fork of a fork of a fork ..., a hundred times */
    CREATE_BAD_OFFSET,
    CREATE_BAD_SUB_OFFSET,
    CREATE_BAD_JSON,
    CREATE_NO_ROOM,
    CREATE_TOO_MANY, /* streams_max */
};

/* *stream is set for CREATE_NEW and CREATE_SAME. Protocol 4.2, 5.1. */
enum create_result store_create(struct store *store, const struct create_request *request,
                                struct stream **stream);

struct append_request {
    struct slice body;
    struct slice content_type; /* ignored when the body is empty */
    struct slice seq;          /* Stream-Seq; data NULL: none */
    bool closes;
    bool has_producer;
    struct slice producer;
    uint64_t epoch, producer_seq;
};

enum append_result {
    APPEND_OK,
    APPEND_DUPLICATE, /* of this producer, also of the close it made */
    APPEND_CLOSED,
    APPEND_ALREADY_CLOSED, /* a close without body of a closed stream: not an error */
    APPEND_TYPE_MISMATCH,
    APPEND_SEQ_REGRESSION,
    APPEND_STALE_EPOCH, /* epoch has the current one */
    APPEND_SEQ_GAP,     /* producer_seq has the expected one */
    APPEND_EPOCH_START, /* a new epoch must begin at 0 */
    APPEND_BAD_JSON,
    APPEND_EMPTY, /* no message: empty body that does not close, or [] */
    APPEND_TOO_MANY_PRODUCERS,
    APPEND_NO_ROOM,
};

struct append_answer {
    uint64_t tail;
    bool is_closed;
    uint64_t epoch, producer_seq;
};

/* Protocol 5.2, 5.2.1, 5.3. The stream must not be gone. */
enum append_result store_append(struct store *store, struct stream *stream,
                                const struct append_request *request, struct append_answer *answer);

/* False when there is no room. With forks it is a soft delete. */
bool store_delete(struct store *store, struct stream *stream) WEIR_MUST_CHECK;

/* ---- Batches and their producers: docs/protocol-extensions.md ---- */

struct store_progress {
    uint64_t epoch, lsn, step;
};

bool store_producer(const struct store *store, struct slice name, struct store_progress *progress);

enum claim_result { CLAIM_OK, CLAIM_TOO_MANY, CLAIM_NO_ROOM, CLAIM_FENCED };

/* Takes the name over: epoch + 1. */
enum claim_result store_claim(struct store *store, struct slice name,
                              struct store_progress *progress);

enum { STORE_SOURCE_MAX = 300 };

/* What a producer's events come from, as it has said; borrowed until that changes. Empty: it has
 * not said. */
struct slice store_source(struct store *store, struct slice name);

/* Says so, of a producer that has this epoch. restarts: its progress begins again at (0, 0), in the
 * same commit. progress is what it has then. */
enum claim_result store_set_source(struct store *store, struct slice name, uint64_t epoch,
                                   struct slice source, bool restarts,
                                   struct store_progress *progress);

/* The open JSON streams with messages that this batch producer may have written: those all of whose
 * messages it wrote are its own. Up to about `limit` of those behind `after` (0 at first), in no
 * order; returns what to go on after, UINT64_MAX at the end. Visit must not call the store. */
uint64_t store_streams_of(struct store *store, struct slice producer, uint64_t after,
                          uint64_t limit,
                          void (*visit)(void *context, struct slice path, bool is_own),
                          void *context);

enum batch_result {
    BATCH_OK,
    BATCH_DUPLICATE,
    BATCH_FENCED,  /* answer has the epoch */
    BATCH_GAP,     /* answer has the progress */
    BATCH_UNKNOWN, /* the producer was never claimed */
    BATCH_MALFORMED,
    BATCH_NO_ROOM,
    BATCH_TOO_MANY, /* streams_max */
};

struct batch_skip {
    struct slice path; /* borrowed from the body */
    const char *reason;
};

struct batch_answer {
    struct store_progress progress;
    const struct batch_skip *skipped; /* until the next call */
    size_t skipped_count;
    size_t event_count;    /* references written */
    const char *malformed; /* what is wrong, static text */
};

enum batch_result store_batch(struct store *store, struct slice body, struct batch_answer *answer);

/* ---- Settings ---- */

enum { STORE_KEY_MAX = 400 };

/* A small named value of the server's own, kept in memory and durable; an empty one removes it.
 * False when there is no room. */
bool store_set(struct store *store, struct slice key, struct slice value) WEIR_MUST_CHECK;

/* Borrowed until it is set again; empty when there is none. */
struct slice store_setting(const struct store *store, struct slice key);

/* Whether writes of so many bytes in all find room, if they are made before the next store_turn().
 * Each takes some 64 bytes beside its own. */
bool store_ensure(struct store *store, size_t bytes) WEIR_MUST_CHECK;

/* In order of keys; visit must not set anything. */
void store_each_setting(const struct store *store, struct slice prefix,
                        void (*visit)(void *context, struct slice key, struct slice value),
                        void *context);

/* ---- Looking at all streams ---- */

/* Whether on_append is called. */
void store_observe(struct store *store, bool is_on);

/* Every stream that is not deleted, with its staged tail; visit must not call the store. Walks the
 * whole catalog, so not for requests that come often. */
void store_each_stream(struct store *store,
                       void (*visit)(void *context, struct slice path, uint64_t tail),
                       void *context);

/* ---- Reading ---- */

struct page {
    const struct slice *messages; /* borrowed until the next store_read() or store_turn() */
    size_t count;
    size_t bytes;
    uint64_t start, end;
    bool is_at_tail;
    bool is_closed; /* closed, and the page reaches the end */
};

enum read_result { READ_OK, READ_BEYOND_TAIL, READ_NOT_A_BOUNDARY };

/* Whole appends from position on, until there are limit bytes or no more. */
enum read_result store_read(struct store *store, struct stream *stream, uint64_t position,
                            size_t limit, struct page *page);
