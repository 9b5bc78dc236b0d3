#include "candidates.h"

#include "weir/base/check.h"

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

static struct candidate *ensure_candidate(struct candidates *candidates, struct candidate_row *row,
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

/* In the scratch: storage id 8, big-endian, row key, 16 of channel and subject -> channel 8 (its
 * address: this does not outlive the process), 1 in A, 1 in B, subject. */
enum { STORAGE_ID_SIZE = 8, PAIR_HASH_SIZE = 16, AT_IN_A = 8, AT_IN_B = 9, AT_SUBJECT = 10 };

static void spill_one(struct candidates *candidates, const struct channel *channel,
                      struct slice row_key, struct slice subject, bool is_in_a, bool is_in_b)
{
    struct buffer *key = &candidates->spill_key, *value = &candidates->spill_value;
    buffer_clear(value);
    buffer_add_slice(value, channel->identity);
    buffer_add_char(value, 0);
    buffer_add_slice(value, subject);
    struct hash128 hash = hash128(hash_process_key(), buffer_slice(value));
    buffer_clear(key);
    buffer_add_u64(key, __builtin_bswap64(channel->relation->storage_id));
    buffer_add_slice(key, row_key);
    buffer_add(key, &hash, PAIR_HASH_SIZE);

    struct slice known = scratch_get(candidates->spilled, SCRATCH_CANDIDATES, buffer_slice(key));
    bool was_in_a = known.data && known.data[AT_IN_A], was_in_b = known.data && known.data[AT_IN_B];
    if (known.data && (was_in_a || !is_in_a) && (was_in_b || !is_in_b))
        return;
    buffer_clear(value);
    buffer_add_u64(value, (uint64_t)(uintptr_t)channel);
    buffer_add_char(value, was_in_a || is_in_a);
    buffer_add_char(value, was_in_b || is_in_b);
    buffer_add_slice(value, subject);
    scratch_put(candidates->spilled, SCRATCH_CANDIDATES, buffer_slice(key), buffer_slice(value));
}

static void spill(struct candidates *candidates, struct replica *replica)
{
    candidates->spilled = replica_scratch(replica);
    for (struct candidate_row *row = candidates->first; row; row = row->next) {
        for (struct candidate *each = row->first; each; each = each->next_of_row)
            spill_one(candidates, each->channel, row->key, each->subject, each->is_in_a,
                      each->is_in_b);
    }
    arena_release(&candidates->arena);
    candidates->first = candidates->last = NULL;
    candidates->row_buckets = NULL;
    candidates->buckets = NULL;
}

void candidates_add(struct candidates *candidates, struct replica *replica,
                    const struct change_set *changes, const struct channel *channel,
                    struct row target, struct slice subject, bool in_b, bool is_certain)
{
    const struct relation *relation = channel->relation;
    buffer_clear(&candidates->key);
    arena_clear(&candidates->scratch);
    key_of_row(&candidates->key, replica_hash_key(replica), relation, target, &candidates->scratch);
    struct slice key = buffer_slice(&candidates->key);
    struct change_entry ignored;
    if (change_set_look(changes, relation, key, &ignored))
        return;
    bool is_in_a = is_certain && !in_b, is_in_b = is_certain && in_b;
    if (!candidates->spilled && arena_used(&candidates->arena) > candidates->memory)
        spill(candidates, replica);
    if (candidates->spilled) {
        spill_one(candidates, channel, key, subject, is_in_a, is_in_b);
        return;
    }
    struct candidate_row *row = ensure_row(candidates, relation, key);
    struct candidate *candidate = ensure_candidate(candidates, row, channel, subject);
    candidate->is_in_a |= is_in_a;
    candidate->is_in_b |= is_in_b;
}

void candidate_walk_begin(struct candidate_walk *walk, const struct candidates *candidates)
{
    *walk = (struct candidate_walk){.candidates = candidates};
    if (candidates->spilled)
        scratch_walk_begin(&walk->spilled, candidates->spilled, SCRATCH_CANDIDATES, SLICE_NONE);
    else if (candidates->first)
        walk->next = candidates->first->first;
}

static bool next_spilled(struct candidate_walk *walk, bool *is_next_row)
{
    struct slice key, value;
    if (!scratch_walk_next(&walk->spilled, &key, &value))
        return false;
    uintptr_t address = (uintptr_t)load_u64(value.data);
    const struct channel *channel = (const struct channel *)address;
    struct slice row_key =
        slice_of(key.data + STORAGE_ID_SIZE, key.len - STORAGE_ID_SIZE - PAIR_HASH_SIZE);
    *is_next_row = walk->row.relation != channel->relation || !slice_eq(walk->row.key, row_key);
    if (*is_next_row) {
        check(row_key.len <= sizeof walk->row_key);
        memcpy(walk->row_key, row_key.data, row_key.len);
        walk->row = (struct candidate_row){.relation = channel->relation,
                                           .key = slice_of(walk->row_key, row_key.len)};
    }
    walk->current =
        (struct candidate){.channel = channel,
                           .subject = slice_of(value.data + AT_SUBJECT, value.len - AT_SUBJECT),
                           .is_in_a = value.data[AT_IN_A],
                           .is_in_b = value.data[AT_IN_B],
                           .row = &walk->row};
    return true;
}

const struct candidate *candidate_walk_next(struct candidate_walk *walk, bool *is_next_row)
{
    if (walk->candidates->spilled)
        return next_spilled(walk, is_next_row) ? &walk->current : NULL;
    const struct candidate *candidate = walk->next;
    if (!candidate)
        return NULL;
    *is_next_row = candidate->row->first == candidate;
    walk->next = candidate->next_of_row;
    if (!walk->next && candidate->row->next)
        walk->next = candidate->row->next->first;
    return candidate;
}

void candidate_walk_end(struct candidate_walk *walk)
{
    scratch_walk_end(&walk->spilled);
}

void candidates_clear(struct candidates *candidates)
{
    struct candidates kept = {.arena = candidates->arena,
                              .scratch = candidates->scratch,
                              .key = candidates->key,
                              .spill_key = candidates->spill_key,
                              .spill_value = candidates->spill_value,
                              .memory = candidates->memory};
    arena_clear(&kept.arena);
    if (candidates->spilled)
        scratch_empty(candidates->spilled, SCRATCH_CANDIDATES);
    *candidates = kept;
}

void candidates_release(struct candidates *candidates)
{
    arena_release(&candidates->arena);
    arena_release(&candidates->scratch);
    buffer_release(&candidates->key);
    buffer_release(&candidates->spill_key);
    buffer_release(&candidates->spill_value);
}
