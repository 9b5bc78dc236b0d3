#include "weir/base/arena.h"

#include "weir/base/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct arena_block {
    struct arena_block *older;
    size_t size; /* of data */
    _Alignas(max_align_t) char data[];
};

enum { ARENA_FIRST_BLOCK = 8 * 1024, ARENA_LARGEST_STEP = 1024 * 1024 };

static void arena_grow(struct arena *arena, size_t size)
{
    size_t step = arena->block ? arena->block->size * 2 : ARENA_FIRST_BLOCK;
    if (step > ARENA_LARGEST_STEP)
        step = ARENA_LARGEST_STEP;
    if (step < size)
        step = size;
    struct arena_block *block = malloc(sizeof *block + step);
    check(block != NULL);
    block->older = arena->block;
    block->size = step;
    arena->block = block;
    arena->next = block->data;
    arena->end = block->data + step;
    arena->total += step;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    size_t align = _Alignof(max_align_t);
    check(size < SIZE_MAX / 2);
    size = size ? (size + align - 1) & ~(align - 1) : align;
    if ((size_t)(arena->end - arena->next) < size)
        arena_grow(arena, size);
    void *result = arena->next;
    arena->next += size;
    return result;
}

void *arena_calloc(struct arena *arena, size_t count, size_t size)
{
    check(size == 0 || count < SIZE_MAX / 2 / size);
    void *result = arena_alloc(arena, count * size);
    memset(result, 0, count * size);
    return result;
}

struct slice arena_copy(struct arena *arena, struct slice bytes)
{
    char *copy = arena_alloc(arena, bytes.len + 1);
    if (bytes.len)
        memcpy(copy, bytes.data, bytes.len);
    copy[bytes.len] = '\0';
    return slice_of(copy, bytes.len);
}

char *arena_strdup(struct arena *arena, const char *str)
{
    size_t size = strlen(str) + 1;
    return memcpy(arena_alloc(arena, size), str, size);
}

char *arena_printf(struct arena *arena, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    check(len >= 0);
    char *text = arena_alloc(arena, (size_t)len + 1);
    va_start(args, fmt);
    vsnprintf(text, (size_t)len + 1, fmt, args);
    va_end(args);
    return text;
}

size_t arena_used(const struct arena *arena)
{
    return arena->total - (size_t)(arena->end - arena->next);
}

void arena_clear(struct arena *arena)
{
    struct arena_block *block = arena->block;
    if (!block)
        return;
    /* The newest block is the largest step so far; a block made for one huge value is not kept. */
    while (block->older) {
        struct arena_block *older = block->older;
        if (block->size > ARENA_LARGEST_STEP || older->size > block->size) {
            free(block);
            block = older;
        } else {
            block->older = older->older;
            free(older);
        }
    }
    if (block->size > ARENA_LARGEST_STEP) {
        free(block);
        *arena = ARENA_INIT;
        return;
    }
    arena->block = block;
    arena->next = block->data;
    arena->end = block->data + block->size;
    arena->total = block->size;
}

void arena_release(struct arena *arena)
{
    for (struct arena_block *block = arena->block; block;) {
        struct arena_block *older = block->older;
        free(block);
        block = older;
    }
    *arena = ARENA_INIT;
}
