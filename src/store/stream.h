/* struct stream: what is in memory of one stream.
 *
 * Every stream that has changed since the last checkpoint, has messages in a frame in memory, or is
 * held by the server is here; the others are only in the catalog. The fields describe the staged
 * state, as all operations decided on have left it, except those named durable. Loop
 * thread only. */
#pragma once

#include "frame.h"
#include "weir/store/store.h"

/* One message in a frame. */
struct entry {
    struct frame *frame;
    uint64_t position; /* in the stream */
    uint32_t offset;   /* in the frame's bytes */
    uint32_t len : 31;
    uint32_t ends_append : 1;
};

struct producer {
    char *name;
    size_t name_len;
    uint64_t epoch, seq;
    bool has_closed; /* its append of seq has closed the stream */
};

enum { STREAM_PRODUCERS_MAX = 1000 };

/* Instead of a batch producer's number. */
static const uint64_t WRITER_NONE = 0; /* no message yet, or written by an older version */
static const uint64_t WRITER_SEVERAL = UINT64_MAX; /* or one that is no batch producer */

struct fork_origin {
    uint64_t source_id; /* 0: not a fork */
    uint64_t position;  /* what lies before it is read from the source */
    /* As asked for, to recognise the same request again. */
    uint64_t offset;
    uint64_t sub_offset;
};

/* What an append looks at comes first, so that little memory has to be fetched for one: where there
 * are many streams, it is another's each time. */
struct stream {
    uint32_t magic;
    uint32_t references;
    uint64_t id;
    uint64_t path_hash;
    const char *path; /* behind the struct, as is the content type */
    size_t path_len;
    bool is_json;
    bool has_ttl, has_expires_at;
    bool is_closed;
    bool is_soft_deleted;
    bool is_gone;   /* deleted for good; kept while a checkpoint or a frame refers to it */
    bool is_dirty;  /* changed since the last checkpoint was cut */
    bool is_listed; /* unused, and in the list of those */
    bool is_durably_closed, is_durably_gone;
    size_t cut_place; /* in the checkpoint that is being copied, from 1; 0: not in it, or copied */

    uint64_t tail;
    uint64_t durable_tail;
    uint64_t ticket;           /* of the last change */
    uint64_t touched_sequence; /* of the last frame that touched the stream, and where */
    size_t touched_index;
    uint64_t writer;       /* who wrote all of its messages: store_writer(), or WRITER_... */
    int64_t logged_use_ms; /* last use as of the log */
    int64_t used_ms;       /* last use */

    /* Messages in memory, oldest first: entries[first .. first + count). Older ones are in the
     * catalog, up to stored_tail. */
    struct entry *entries;
    size_t first, count, capacity;
    uint64_t stored_tail;
    struct stream *older, *newer;
    void *watchers;

    const char *content_type;
    size_t content_type_len;
    uint64_t ttl_s;
    int64_t expires_at_ms;
    int64_t created_ms;
    struct fork_origin fork;
    uint32_t fork_count; /* streams that read from this one */
    char *seq;           /* last Stream-Seq, or NULL */
    size_t seq_len;
    struct producer *producers;
    size_t producer_count;
    uint64_t created_ticket;
};

struct stream *stream_new(uint64_t id, struct slice path, uint64_t path_hash,
                          struct slice content_type);
void stream_free(struct stream *stream);
void stream_check(const struct stream *stream);

/* Begins to fetch what an append looks at into the processor's cache. */
void stream_fetch(const struct stream *stream);

void stream_add_entry(struct stream *stream, struct entry entry);

/* Forgets the entries of the frame, which must be the oldest there are. */
void stream_drop_entries(struct stream *stream, const struct frame *frame);

/* Index of the first entry with position >= the given one; first + count if none. */
size_t stream_find_entry(const struct stream *stream, uint64_t position);

struct producer *stream_find_producer(struct stream *stream, struct slice name);
struct producer *stream_add_producer(struct stream *stream, struct slice name);
void stream_set_seq(struct stream *stream, struct slice seq);

/* The type without parameters and spaces. */
struct slice media_type(struct slice content_type);
bool media_type_eq(struct slice a, struct slice b); /* ignores case and parameters */

/* The catalog's record of a stream: docs/formats.md. */
void stream_encode(const struct stream *stream, struct buffer *out);

/* A stream as of its last checkpoint. False when the record is not valid. */
struct stream *stream_decode(uint64_t id, struct slice record);

/* When it expires, INT64_MAX: never. */
int64_t stream_deadline(const struct stream *stream);

/* How far the last use may be ahead of what the log knows of it, so that not every read is a
 * commit. */
int64_t stream_use_slack_ms(const struct stream *stream);

/* The deadline in a record, as far as the log knows. */
int64_t record_deadline(struct slice record);
struct slice record_path(struct slice record);
