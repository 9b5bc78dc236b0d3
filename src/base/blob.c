#include "weir/base/blob.h"

#include "weir/base/check.h"

#include <stdlib.h>

static atomic_size_t bytes_alive;

size_t blob_bytes(void)
{
    return atomic_load_explicit(&bytes_alive, memory_order_relaxed);
}

struct blob *blob_new(size_t len)
{
    check(len < SIZE_MAX / 2);
    struct blob *blob = malloc(sizeof *blob + len);
    check(blob != NULL);
    atomic_init(&blob->references, 1);
    atomic_fetch_add_explicit(&bytes_alive, len, memory_order_relaxed);
    blob->reserved = 0;
    blob->len = len;
    return blob;
}

struct blob *blob_copy(struct slice bytes)
{
    struct blob *blob = blob_new(bytes.len);
    if (bytes.len)
        memcpy(blob->data, bytes.data, bytes.len);
    return blob;
}

struct blob *blob_hold(struct blob *blob)
{
    unsigned before = atomic_fetch_add_explicit(&blob->references, 1, memory_order_relaxed);
    check(before > 0);
    return blob;
}

void blob_drop(struct blob *blob)
{
    if (!blob)
        return;
    unsigned before = atomic_fetch_sub_explicit(&blob->references, 1, memory_order_acq_rel);
    check(before > 0);
    if (before > 1)
        return;
    atomic_fetch_sub_explicit(&bytes_alive, blob->len, memory_order_relaxed);
    free(blob);
}
