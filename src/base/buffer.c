#include "weir/base/buffer.h"

#include "weir/base/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { DOUBLED_MAX = 4 << 20, KEPT_MAX = 16 << 20 };

/* Large ones grow by an eighth: the system moves their pages instead of copying them, and what a
 * value of many megabytes does not need stays free. */
static size_t grown(size_t capacity)
{
    if (!capacity)
        return 256;
    return capacity < DOUBLED_MAX ? capacity * 2 : capacity + capacity / 8;
}

char *buffer_reserve(struct buffer *buffer, size_t extra)
{
    check(extra < SIZE_MAX / 4 && buffer->len < SIZE_MAX / 4);
    size_t needed = buffer->len + extra;
    if (needed > buffer->capacity) {
        size_t capacity = grown(buffer->capacity);
        if (capacity < needed)
            capacity = needed;
        buffer->data = realloc(buffer->data, capacity);
        check(buffer->data != NULL);
        buffer->capacity = capacity;
    }
    return buffer->data + buffer->len;
}

void buffer_add(struct buffer *buffer, const void *data, size_t len)
{
    if (len == 0)
        return;
    memcpy(buffer_reserve(buffer, len), data, len);
    buffer->len += len;
}

void buffer_add_slice(struct buffer *buffer, struct slice bytes)
{
    buffer_add(buffer, bytes.data, bytes.len);
}

void buffer_add_str(struct buffer *buffer, const char *str)
{
    buffer_add(buffer, str, strlen(str));
}

void buffer_add_char(struct buffer *buffer, char c)
{
    *buffer_reserve(buffer, 1) = c;
    buffer->len++;
}

void buffer_add_uint(struct buffer *buffer, uint64_t value)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    buffer_add(buffer, digits + at, sizeof digits - at);
}

void buffer_printf(struct buffer *buffer, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    check(len >= 0);
    char *to = buffer_reserve(buffer, (size_t)len + 1);
    va_start(args, fmt);
    vsnprintf(to, (size_t)len + 1, fmt, args);
    va_end(args);
    buffer->len += (size_t)len;
}

void buffer_add_u16(struct buffer *buffer, uint16_t value)
{
    buffer_add(buffer, &value, sizeof value);
}

void buffer_add_u32(struct buffer *buffer, uint32_t value)
{
    buffer_add(buffer, &value, sizeof value);
}

void buffer_add_u64(struct buffer *buffer, uint64_t value)
{
    buffer_add(buffer, &value, sizeof value);
}

const char *buffer_str(struct buffer *buffer)
{
    *buffer_reserve(buffer, 1) = '\0';
    return buffer->data;
}

struct slice buffer_slice(const struct buffer *buffer)
{
    return slice_of(buffer->data, buffer->len);
}

void buffer_clear(struct buffer *buffer)
{
    if (buffer->capacity > KEPT_MAX)
        buffer_release(buffer);
    buffer->len = 0;
}

void buffer_release(struct buffer *buffer)
{
    free(buffer->data);
    *buffer = BUFFER_INIT;
}
