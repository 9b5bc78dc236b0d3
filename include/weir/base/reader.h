/* struct reader: bounded reading of a binary format from a slice.
 *
 * A read past the end returns zeros and sets failed, once and for all; the caller checks failed
 * when it is done. For bytes from a file or the network: nothing here trusts a length. */
#pragma once

#include "weir/base/slice.h"

struct reader {
    const char *at;
    const char *end;
    bool failed;
};

struct reader reader_of(struct slice bytes);
uint8_t read_u8(struct reader *reader);
uint16_t read_u16(struct reader *reader);
uint32_t read_u32(struct reader *reader);
uint64_t read_u64(struct reader *reader);

/* len bytes of the source, borrowed from it. */
struct slice read_bytes(struct reader *reader, size_t len);

static inline size_t reader_left(const struct reader *reader)
{
    return (size_t)(reader->end - reader->at);
}
