/* struct buffer: bytes that grow at the end.
 *
 * Owns its memory; buffer_release() frees it. Allocation failure aborts. The bytes move when the
 * buffer grows, so a slice of it stays valid until the next write. One thread. */
#pragma once

#include "weir/base/slice.h"

struct buffer {
    char *data;
    size_t len;
    size_t capacity;
};

#define BUFFER_INIT ((struct buffer){0})

/* Room for extra more bytes behind len; returns where they go. The caller adds to len. */
char *buffer_reserve(struct buffer *buffer, size_t extra);

void buffer_add(struct buffer *buffer, const void *data, size_t len);
void buffer_add_slice(struct buffer *buffer, struct slice bytes);
void buffer_add_str(struct buffer *buffer, const char *str);
void buffer_add_char(struct buffer *buffer, char c);
void buffer_add_uint(struct buffer *buffer, uint64_t value); /* decimal */
void buffer_printf(struct buffer *buffer, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Little-endian fixed-width integers, as every file and wire format of Weir uses. */
void buffer_add_u16(struct buffer *buffer, uint16_t value);
void buffer_add_u32(struct buffer *buffer, uint32_t value);
void buffer_add_u64(struct buffer *buffer, uint64_t value);

/* A NUL behind the bytes, not counted by len; returns data. */
const char *buffer_str(struct buffer *buffer);

struct slice buffer_slice(const struct buffer *buffer);
void buffer_clear(struct buffer *buffer); /* keeps the memory up to 16 MB */
void buffer_release(struct buffer *buffer);

static inline uint16_t load_u16(const void *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline uint32_t load_u32(const void *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline uint64_t load_u64(const void *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline void store_u32(void *p, uint32_t v)
{
    memcpy(p, &v, sizeof v);
}

static inline void store_u64(void *p, uint64_t v)
{
    memcpy(p, &v, sizeof v);
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "formats are little-endian and read by memcpy");
