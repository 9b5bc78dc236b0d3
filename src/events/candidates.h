/* Rows that did not change themselves, with the subjects whose right to see them may have: each
 * pair once. In memory, in the order found; or, when there are too many, in the replica's scratch,
 * in the order of their keys. */
#pragma once

#include "weir/rules/ruleset.h"

struct candidate {
    const struct channel *channel;
    struct slice subject;
    bool is_in_a, is_in_b; /* certain to be visible there; else it has to be asked */
    struct candidate *next_of_row;
    struct candidate *next_in_bucket;
    const struct candidate_row *row;
    uint64_t hash;
};

struct candidate_row {
    const struct relation *relation;
    struct slice key;
    struct candidate *first, *last;
    struct candidate_row *next;
    struct candidate_row *next_in_bucket;
    uint64_t hash;
};

struct candidates {
    struct arena arena, scratch;
    struct buffer key, spill_key, spill_value;
    struct candidate_row *first, *last;
    struct candidate_row **row_buckets;
    struct candidate **buckets;
    size_t bucket_count, row_bucket_count;
    size_t count, row_count;
    size_t memory;           /* how much of it may be used */
    struct scratch *spilled; /* where they are when that was not enough; or NULL */
};

/* Adds the pair unless the target row is itself in changes, where its audience is
 * compared whole. */
void candidates_add(struct candidates *candidates, struct replica *replica,
                    const struct change_set *changes, const struct channel *channel,
                    struct row target, struct slice subject, bool in_b, bool is_certain);

/* By rows: *is_next_row tells where the candidates of another one begin. NULL at the end. */
struct candidate_walk {
    const struct candidates *candidates;
    const struct candidate *next;
    struct scratch_walk spilled;
    struct candidate current;
    struct candidate_row row;
    char row_key[ROW_KEY_MAX + 32];
};

void candidate_walk_begin(struct candidate_walk *walk, const struct candidates *candidates);
const struct candidate *candidate_walk_next(struct candidate_walk *walk, bool *is_next_row);
void candidate_walk_end(struct candidate_walk *walk);

void candidates_clear(struct candidates *candidates);
void candidates_release(struct candidates *candidates);
