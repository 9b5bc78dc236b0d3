/* struct seen: a set of byte strings, to do something once for each. Bounded: what no longer fits
 * counts as new each time, so it is for saving work only. */
#pragma once

#include "weir/base/arena.h"

struct seen_entry;

struct seen {
    struct arena arena;
    struct seen_entry **buckets;
    size_t bucket_count, count;
};

void seen_clear(struct seen *seen);
void seen_release(struct seen *seen);

/* Whether it is surely in the set; adds it if not. */
bool seen_before(struct seen *seen, struct slice key);
