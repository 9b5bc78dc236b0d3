#include "table.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* The low bits choose the slot; a multiplication spreads ids, which count up. */
static size_t home_slot(const struct table *table, uint64_t hash)
{
    return (size_t)((hash * 0x9e3779b97f4a7c15ULL) >> 32) & (table->capacity - 1);
}

void table_fetch(const struct table *table, uint64_t hash)
{
    if (table->count)
        __builtin_prefetch(&table->slots[home_slot(table, hash)]);
}

struct stream *table_next(const struct table *table, uint64_t hash, size_t *cursor)
{
    if (table->count == 0)
        return NULL;
    for (;;) {
        size_t at = (home_slot(table, hash) + (*cursor)++) & (table->capacity - 1);
        const struct table_slot *slot = &table->slots[at];
        if (!slot->stream)
            return NULL;
        if (slot->hash == hash)
            return slot->stream;
    }
}

static void place(struct table *table, uint64_t hash, struct stream *stream)
{
    size_t at = home_slot(table, hash);
    while (table->slots[at].stream)
        at = (at + 1) & (table->capacity - 1);
    table->slots[at] = (struct table_slot){hash, stream};
}

/* Slots are all over a large table, so it is asked for in large pages, which take fewer entries of
 * the processor's own list of where pages are. */
static struct table_slot *new_slots(size_t count)
{
    enum { LARGE_PAGE = 2 << 20 };
    size_t bytes = count * sizeof(struct table_slot);
    if (bytes < LARGE_PAGE)
        return calloc(count, sizeof(struct table_slot));
    struct table_slot *slots = aligned_alloc(LARGE_PAGE, bytes);
    if (slots) {
        (void)madvise(slots, bytes, MADV_HUGEPAGE);
        memset(slots, 0, bytes);
    }
    return slots;
}

static void grow(struct table *table)
{
    struct table old = *table;
    table->capacity = old.capacity ? old.capacity * 2 : 64;
    table->slots = new_slots(table->capacity);
    check(table->slots != NULL);
    for (size_t i = 0; i < old.capacity; i++) {
        if (old.slots[i].stream)
            place(table, old.slots[i].hash, old.slots[i].stream);
    }
    free(old.slots);
}

void table_add(struct table *table, uint64_t hash, struct stream *stream)
{
    /* At most half full, so that a walk always ends at a free slot. */
    if (table->count * 2 >= table->capacity)
        grow(table);
    place(table, hash, stream);
    table->count++;
}

void table_remove(struct table *table, uint64_t hash, const struct stream *stream)
{
    size_t mask = table->capacity - 1, at = home_slot(table, hash);
    while (table->slots[at].stream != stream) {
        check(table->slots[at].stream != NULL);
        at = (at + 1) & mask;
    }
    table->count--;
    /* Whatever may live at or before the hole moves into it. */
    for (size_t next = (at + 1) & mask; table->slots[next].stream; next = (next + 1) & mask) {
        size_t home = home_slot(table, table->slots[next].hash);
        if (((next - home) & mask) >= ((next - at) & mask)) {
            table->slots[at] = table->slots[next];
            at = next;
        }
    }
    table->slots[at].stream = NULL;
}

void table_release(struct table *table)
{
    free(table->slots);
    *table = (struct table){0};
}
