#include "frame.h"

#include "weir/base/check.h"
#include "weir/base/hash.h"

#include <stdlib.h>

/* Header: magic 4, body length 4, sequence 8, reserved 8, CRC of the body 4, CRC of the
 * header 4. */
enum { AT_LENGTH = 4, AT_SEQUENCE = 8, AT_BODY_CRC = 24, AT_HEADER_CRC = 28 };
static const uint32_t magic = 0x4d524657; /* "WFRM" */

struct frame *frame_new(uint64_t sequence)
{
    struct frame *frame = calloc(1, sizeof *frame);
    check(frame != NULL);
    frame->sequence = sequence;
    memset(buffer_reserve(&frame->bytes, FRAME_HEADER_SIZE), 0, FRAME_HEADER_SIZE);
    frame->bytes.len = FRAME_HEADER_SIZE;
    return frame;
}

void frame_expect(struct frame *frame, const struct frame *other)
{
    enum { BYTES_MAX = 1 << 16, TOUCHED_MAX = 1 << 10 };
    size_t bytes = other->bytes.len < BYTES_MAX ? other->bytes.len : BYTES_MAX;
    size_t touched = other->touched_count < TOUCHED_MAX ? other->touched_count : TOUCHED_MAX;
    (void)buffer_reserve(&frame->bytes, bytes + bytes / 2);
    frame->touched_capacity = touched + touched / 2 + 1;
    frame->touched = malloc(frame->touched_capacity * sizeof *frame->touched);
    check(frame->touched != NULL);
}

void frame_free(struct frame *frame)
{
    buffer_release(&frame->bytes);
    free(frame->touched);
    free(frame);
}

bool frame_is_empty(const struct frame *frame)
{
    return frame->bytes.len == FRAME_HEADER_SIZE;
}

void frame_seal(struct frame *frame)
{
    while (frame->bytes.len % FRAME_ALIGNMENT)
        buffer_add_char(&frame->bytes, 0);
    size_t body_len = frame->bytes.len - FRAME_HEADER_SIZE;
    check(body_len <= UINT32_MAX);
    store_u32(frame->bytes.data, magic);
    store_u32(frame->bytes.data + AT_LENGTH, (uint32_t)body_len);
    store_u64(frame->bytes.data + AT_SEQUENCE, frame->sequence);
    /* The buffer grew by doubling, and the frame may stay in memory for long. */
    if (frame->bytes.capacity > frame->bytes.len + frame->bytes.len / 8) {
        char *shrunk = realloc(frame->bytes.data, frame->bytes.len);
        check(shrunk != NULL);
        frame->bytes.data = shrunk;
        frame->bytes.capacity = frame->bytes.len;
    }
}

void frame_sign(struct frame *frame, uint32_t salt)
{
    char *data = frame->bytes.data;
    store_u32(data + AT_BODY_CRC,
              crc32c(salt, data + FRAME_HEADER_SIZE, frame->bytes.len - FRAME_HEADER_SIZE));
    store_u32(data + AT_HEADER_CRC, crc32c(salt, data, AT_HEADER_CRC));
}

size_t frame_memory(const struct frame *frame)
{
    enum { ENTRY_BYTES = 32 }; /* one in a stream's list, with some of its spare room */
    return sizeof *frame + frame->bytes.capacity +
           frame->touched_capacity * sizeof *frame->touched + frame->entry_count * ENTRY_BYTES;
}

bool frame_header_parse(const char *data, uint32_t salt, struct frame_header *header)
{
    if (load_u32(data) != magic ||
        load_u32(data + AT_HEADER_CRC) != crc32c(salt, data, AT_HEADER_CRC))
        return false;
    header->body_len = load_u32(data + AT_LENGTH);
    header->sequence = load_u64(data + AT_SEQUENCE);
    header->body_crc = load_u32(data + AT_BODY_CRC);
    return header->body_len % FRAME_ALIGNMENT == 0;
}

bool frame_body_is_valid(const struct frame_header *header, const char *body, uint32_t salt)
{
    return crc32c(salt, body, header->body_len) == header->body_crc;
}

struct frame *frame_of_log(const struct frame_header *header, const char *data)
{
    struct frame *frame = frame_new(header->sequence);
    frame->bytes.len = 0;
    buffer_add(&frame->bytes, data, FRAME_HEADER_SIZE + (size_t)header->body_len);
    return frame;
}
