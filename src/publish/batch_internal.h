/* struct batch from inside: batch.c builds it, parts.c takes it apart. */
#pragma once

#include "weir/publish/batch.h"

/* The body is built in its wire form as it comes: `body` starts with a gap for the header, then the
 * payloads. batch_encode() adds streams and appends behind them and puts the header right-aligned
 * into the gap, so that no payload is copied a second time. */
enum {
    PRODUCER_MAX = 200,
    HEADER_FIXED = 8 + 4 + 8 + 16 + 16 + 2 + 4, /* all but the producer's name */
    GAP = HEADER_FIXED + PRODUCER_MAX,
    CRC_OFFSET = 8,
    CRC_END = CRC_OFFSET + 4,
};

struct batch_stream {
    uint64_t hash;
    size_t path_at; /* in paths, behind the length */
    uint32_t path_len;
    uint32_t slot;       /* in the table */
    uint32_t open_count; /* references in the open transaction */
    size_t write_at;     /* while it ends: where in appends the next one goes */
};

/* Where a transaction ends. */
struct mark {
    size_t append_end; /* in appends */
    struct progress progress;
};

struct reference {
    uint32_t stream;
    uint32_t payload;
};

/* Of the table of streams: half of the hash is beside the index, so that another stream in the way
 * is told apart without a look at it. */
struct stream_slot {
    uint32_t index; /* of the stream, + 1; 0: free */
    uint32_t tag;
};

/* A delivery whose stream has not been looked up yet. */
struct waiting {
    uint64_t hash;
    size_t path_at; /* in waiting_paths */
    uint32_t path_len;
    uint32_t payload;
};

enum { WAITING_MAX = 16 };

struct batch {
    struct buffer body;
    size_t payload_end; /* in body; what lies behind is the rest of an encoded body */
    uint32_t payload_count;

    struct buffer paths; /* 2 length, path */
    struct batch_stream *streams;
    uint32_t stream_count;
    size_t stream_capacity;
    struct stream_slot *table; /* open addressing */
    uint32_t table_mask;

    struct waiting waiting[WAITING_MAX]; /* behind `open` */
    size_t waiting_count;
    struct buffer waiting_paths;

    struct reference *open; /* of the open transaction, as they came */
    size_t open_count, open_capacity;
    uint32_t *touched; /* its streams, as they were first referred to */
    uint32_t touched_count;
    size_t touched_capacity;
    /* Where it began. */
    size_t open_payload_at; /* in body */
    uint32_t open_payload, open_stream;
    size_t open_path_at;

    struct buffer appends; /* 4 stream, 4 count, 4 payload each */
    uint32_t append_count;
    size_t reference_count;

    struct mark *marks;
    size_t mark_count, mark_capacity;
};

/* The header of a request at `at`, HEADER_FIXED + producer.len bytes, without the checksum. */
void batch_put_header(char *at, struct slice producer, uint64_t epoch, struct progress before,
                      struct progress after, uint32_t payload_count);

/* The checksum of a whole request of len bytes. */
void batch_put_crc(char *start, size_t len);
