/* struct frame: one group commit, in memory exactly as it is in the log.
 *
 * The loop thread adds operations to the open frame and applies each at once; the commit thread
 * writes the sealed frame. Later, readers take messages out of the frame's bytes until it is
 * dropped from memory. Bytes move while the frame is open, so everything refers to them
 * by offset. */
#pragma once

#include "weir/base/buffer.h"

struct stream;

enum { FRAME_HEADER_SIZE = 32, FRAME_ALIGNMENT = 8 };

/* What one frame did to one stream: applied to what readers see when the frame is durable. */
struct touched {
    struct stream *stream; /* held */
    uint64_t tail;
    bool is_closed;
    bool is_gone;
};

struct frame {
    struct frame *next; /* the next newer one */
    uint64_t sequence;
    struct buffer bytes; /* header, operations, padding */
    struct touched *touched;
    size_t touched_count;
    size_t touched_capacity;
    size_t entry_count; /* messages that streams have in it */
    uint64_t write_us;  /* that writing and syncing it took */
};

struct frame *frame_new(uint64_t sequence);

/* Room for about as much as is in the other one, so that it is not found by doubling. */
void frame_expect(struct frame *frame, const struct frame *other);
void frame_free(struct frame *frame);
bool frame_is_empty(const struct frame *frame);

/* Pads and fills in the header except for the checksums. No operation may be added afterwards. */
void frame_seal(struct frame *frame);

/* Fills in the checksums, for the log file with this salt. The commit thread's part. */
void frame_sign(struct frame *frame, uint32_t salt);

/* Memory that the frame takes, with what streams keep about it; about. */
size_t frame_memory(const struct frame *frame);

struct frame_header {
    uint32_t body_len; /* without the header, with the padding */
    uint64_t sequence;
    uint32_t body_crc;
};

/* False when the 32 bytes at data are not a frame's header in a file with this salt. */
bool frame_header_parse(const char *data, uint32_t salt, struct frame_header *header);
bool frame_body_is_valid(const struct frame_header *header, const char *body, uint32_t salt);

/* A frame as it was read back from the log. */
struct frame *frame_of_log(const struct frame_header *header, const char *data);
