/* struct arena: memory of one lifetime (a transaction, a request), freed all at once.
 *
 * Allocation cannot fail: out of memory aborts, as everything that an outsider can size is bounded
 * before it is allocated. Pointers stay valid until arena_clear() or arena_release().
 * One thread. */
#pragma once

#include "weir/base/slice.h"

struct arena_block;

struct arena {
    struct arena_block *block; /* newest first */
    char *next;
    char *end;
    size_t total; /* bytes held from the system */
};

#define ARENA_INIT ((struct arena){0})

/* size bytes, aligned for any type, not zeroed. */
void *arena_alloc(struct arena *arena, size_t size);

/* count * size bytes, zeroed. */
void *arena_calloc(struct arena *arena, size_t count, size_t size);

/* A copy of the bytes, with a NUL behind it that len does not count. */
struct slice arena_copy(struct arena *arena, struct slice bytes);
char *arena_strdup(struct arena *arena, const char *str);
char *arena_printf(struct arena *arena, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Bytes handed to callers and lost to alignment since the last clear; for memory bounds. */
size_t arena_used(const struct arena *arena);

/* Forgets every allocation; keeps one block, so that a steady load does not allocate. */
void arena_clear(struct arena *arena);
void arena_release(struct arena *arena);
