/* Flags of the operations in a frame, and adding one to the open frame. */
#pragma once

#include "internal.h"
#include "weir/base/reader.h"

enum {
    CREATE_HAS_TTL = 1,
    CREATE_HAS_EXPIRES_AT = 2,
    CREATE_IS_CLOSED = 4,
    CREATE_IS_FORK = 8,
};

enum {
    APPEND_CLOSES = 1,
    APPEND_HAS_PRODUCER = 2,
    APPEND_HAS_SEQ = 4,
};

static inline void operation_begin(struct buffer *out, enum operation operation)
{
    buffer_add_char(out, (char)operation);
}

static inline void add_short(struct buffer *out, struct slice bytes)
{
    check(bytes.len <= UINT16_MAX);
    buffer_add_u16(out, (uint16_t)bytes.len);
    buffer_add_slice(out, bytes);
}
