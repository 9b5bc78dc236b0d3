/* Rows that did not change themselves, with the subjects whose right to see them may have: each pair
 * once, in the order found. */
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
    struct buffer key;
    struct candidate_row *first, *last;
    struct candidate_row **row_buckets;
    struct candidate **buckets;
    size_t bucket_count, row_bucket_count;
    size_t count, row_count;
};

/* Adds the pair unless the target row is itself in changes, where its audience is compared whole. */
void candidates_add(struct candidates *candidates, struct replica *replica,
                    const struct change_set *changes, const struct channel *channel,
                    struct row target, struct slice subject, bool in_b, bool is_certain);
void candidates_clear(struct candidates *candidates);
void candidates_release(struct candidates *candidates);
