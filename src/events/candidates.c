#include "candidates.h"

enum { FIRST_BUCKETS = 64 };

static void grow_rows(struct candidates *candidates)
{
    size_t count = candidates->row_bucket_count ? candidates->row_bucket_count * 4 : FIRST_BUCKETS;
    candidates->row_buckets =
        arena_calloc(&candidates->arena, count, sizeof *candidates->row_buckets);
    candidates->row_bucket_count = count;
    for (struct candidate_row *row = candidates->first; row; row = row->next) {
        struct candidate_row **bucket = &candidates->row_buckets[row->hash & (count - 1)];
        row->next_in_bucket = *bucket;
        *bucket = row;
    }
}

static void grow(struct candidates *candidates)
{
    size_t count = candidates->bucket_count ? candidates->bucket_count * 4 : FIRST_BUCKETS;
    candidates->buckets = arena_calloc(&candidates->arena, count, sizeof *candidates->buckets);
    candidates->bucket_count = count;
    for (struct candidate_row *row = candidates->first; row; row = row->next) {
        for (struct candidate *each = row->first; each; each = each->next_of_row) {
            struct candidate **bucket = &candidates->buckets[each->hash & (count - 1)];
            each->next_in_bucket = *bucket;
            *bucket = each;
        }
    }
}

static struct candidate_row *ensure_row(struct candidates *candidates,
                                        const struct relation *relation, struct slice key)
{
    uint64_t hash = hash64(hash_process_key(), key) ^ relation->oid;
    if (candidates->row_count >= candidates->row_bucket_count)
        grow_rows(candidates);
    struct candidate_row **bucket =
        &candidates->row_buckets[hash & (candidates->row_bucket_count - 1)];
    for (struct candidate_row *row = *bucket; row; row = row->next_in_bucket) {
        if (row->hash == hash && row->relation == relation && slice_eq(row->key, key))
            return row;
    }
    struct candidate_row *row = arena_calloc(&candidates->arena, 1, sizeof *row);
    row->relation = relation;
    row->key = arena_copy(&candidates->arena, key);
    row->hash = hash;
    row->next_in_bucket = *bucket;
    *bucket = row;
    if (candidates->last)
        candidates->last->next = row;
    else
        candidates->first = row;
    candidates->last = row;
    candidates->row_count++;
    return row;
}

static struct candidate *ensure_candidate(struct candidates *candidates,
                                          struct candidate_row *row,
                                          const struct channel *channel, struct slice subject)
{
    uint64_t hash = hash64(hash_process_key(), subject) * 31 + row->hash * 0x9e3779b97f4a7c15ULL;
    if (candidates->count >= candidates->bucket_count)
        grow(candidates);
    struct candidate **bucket = &candidates->buckets[hash & (candidates->bucket_count - 1)];
    for (struct candidate *each = *bucket; each; each = each->next_in_bucket) {
        if (each->hash == hash && each->row == row && slice_eq(each->subject, subject) &&
            slice_eq(each->channel->identity, channel->identity))
            return each;
    }
    struct candidate *added = arena_calloc(&candidates->arena, 1, sizeof *added);
    added->channel = channel;
    added->subject = arena_copy(&candidates->arena, subject);
    added->row = row;
    added->hash = hash;
    added->next_in_bucket = *bucket;
    *bucket = added;
    if (row->last)
        row->last->next_of_row = added;
    else
        row->first = added;
    row->last = added;
    candidates->count++;
    return added;
}

void candidates_add(struct candidates *candidates, struct replica *replica,
                    const struct change_set *changes, const struct channel *channel,
                    struct row target, struct slice subject, bool in_b, bool is_certain)
{
    const struct relation *relation = channel->relation;
    buffer_clear(&candidates->key);
    arena_clear(&candidates->scratch);
    key_of_row(&candidates->key, replica_hash_key(replica), relation, target,
               &candidates->scratch);
    struct slice key = buffer_slice(&candidates->key);
    if (change_set_find(changes, relation, key))
        return;
    struct candidate_row *row = ensure_row(candidates, relation, key);
    struct candidate *candidate = ensure_candidate(candidates, row, channel, subject);
    if (is_certain && in_b)
        candidate->is_in_b = true;
    else if (is_certain)
        candidate->is_in_a = true;
}

void candidates_clear(struct candidates *candidates)
{
    struct arena arena = candidates->arena, scratch = candidates->scratch;
    struct buffer key = candidates->key;
    arena_clear(&arena);
    *candidates = (struct candidates){.arena = arena, .scratch = scratch, .key = key};
}

void candidates_release(struct candidates *candidates)
{
    arena_release(&candidates->arena);
    arena_release(&candidates->scratch);
    buffer_release(&candidates->key);
}
