#include "seen.h"

#include "weir/base/hash.h"

enum { FIRST_BUCKETS = 64, SEEN_BYTES_MAX = 16 << 20, SEEN_BYTES_KEPT = 1 << 20 };

struct seen_entry {
    struct seen_entry *next;
    uint64_t hash;
    struct slice key;
};

static void grow(struct seen *seen)
{
    size_t count = seen->bucket_count ? seen->bucket_count * 4 : FIRST_BUCKETS;
    struct seen_entry **buckets = arena_calloc(&seen->arena, count, sizeof *buckets);
    for (size_t i = 0; i < seen->bucket_count; i++) {
        for (struct seen_entry *each = seen->buckets[i], *next; each; each = next) {
            next = each->next;
            each->next = buckets[each->hash & (count - 1)];
            buckets[each->hash & (count - 1)] = each;
        }
    }
    seen->buckets = buckets;
    seen->bucket_count = count;
}

void seen_clear(struct seen *seen)
{
    if (seen->arena.total > SEEN_BYTES_KEPT)
        arena_release(&seen->arena);
    else
        arena_clear(&seen->arena);
    seen->buckets = NULL;
    seen->bucket_count = seen->count = 0;
}

void seen_release(struct seen *seen)
{
    arena_release(&seen->arena);
}

bool seen_before(struct seen *seen, struct slice key)
{
    uint64_t hash = hash64(hash_process_key(), key);
    if (seen->bucket_count) {
        struct seen_entry *each = seen->buckets[hash & (seen->bucket_count - 1)];
        for (; each; each = each->next) {
            if (each->hash == hash && slice_eq(each->key, key))
                return true;
        }
    }
    if (arena_used(&seen->arena) >= SEEN_BYTES_MAX)
        return false;
    if (seen->count >= seen->bucket_count)
        grow(seen);
    struct seen_entry *added = arena_alloc(&seen->arena, sizeof *added);
    struct seen_entry **bucket = &seen->buckets[hash & (seen->bucket_count - 1)];
    *added = (struct seen_entry){*bucket, hash, arena_copy(&seen->arena, key)};
    *bucket = added;
    seen->count++;
    return false;
}
