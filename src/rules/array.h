/* Growing arrays in an arena. */
#pragma once

#include "weir/base/arena.h"

/* The items, and item behind them, with room for the next power of two. */
static inline void *array_append(struct arena *arena, void *items, size_t count, size_t item_size,
                                 const void *item)
{
    char *grown = items;
    if ((count & (count - 1)) == 0) {
        grown = arena_alloc(arena, (count ? count * 2 : 1) * item_size);
        if (count)
            memcpy(grown, items, count * item_size);
    }
    memcpy(grown + count * item_size, item, item_size);
    return grown;
}
