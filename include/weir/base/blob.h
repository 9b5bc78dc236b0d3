/* struct blob: immutable bytes shared by counting references.
 *
 * Made once, never changed, freed by the last blob_drop(). The count is atomic, so a blob may be
 * held by several threads; its bytes are read-only after blob_new() returns to its maker and the
 * maker has filled them. */
#pragma once

#include "weir/base/slice.h"

#include <stdatomic.h>

struct blob {
    atomic_uint references;
    uint32_t reserved;
    size_t len;
    char data[];
};

/* A blob of len bytes, not filled, with one reference. Aborts when memory is out. */
struct blob *blob_new(size_t len);
struct blob *blob_copy(struct slice bytes);
struct blob *blob_hold(struct blob *blob); /* returns blob */
void blob_drop(struct blob *blob);         /* NULL is allowed */

/* Bytes in all blobs that are alive. Any thread. */
size_t blob_bytes(void);

static inline struct slice blob_slice(const struct blob *blob)
{
    return slice_of(blob->data, blob->len);
}
