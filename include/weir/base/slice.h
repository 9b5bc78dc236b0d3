/* struct slice: borrowed bytes, not terminated, possibly with NUL inside.
 *
 * A slice owns nothing. Whoever hands one out says until when its bytes stay. The empty slice may
 * have a NULL pointer. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const char *data;
    size_t len;
};

#define SLICE(literal) ((struct slice){(literal), sizeof(literal) - 1})
#define SLICE_NONE     ((struct slice){NULL, 0})

static inline struct slice slice_of(const char *data, size_t len)
{
    return (struct slice){data, len};
}

/* str may be NULL, which gives the empty slice. */
static inline struct slice slice_from_str(const char *str)
{
    return (struct slice){str, str ? strlen(str) : 0};
}

static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline bool slice_eq_str(struct slice a, const char *str)
{
    return slice_eq(a, slice_from_str(str));
}

static inline bool slice_starts_with(struct slice text, struct slice prefix)
{
    return text.len >= prefix.len &&
           (prefix.len == 0 || memcmp(text.data, prefix.data, prefix.len) == 0);
}

/* What follows a prefix that the text has. */
static inline struct slice slice_after(struct slice text, struct slice prefix)
{
    return slice_of(text.data + prefix.len, text.len - prefix.len);
}

/* Bytewise order; a prefix comes first. */
static inline int slice_cmp(struct slice a, struct slice b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int order = n ? memcmp(a.data, b.data, n) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

/* "%.*s" in a format takes SLICE_ARG(slice). */
#define SLICE_ARG(s) (int)(s).len, (s).data ? (s).data : ""
