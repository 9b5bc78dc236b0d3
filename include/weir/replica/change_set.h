/* struct change_set: the net effect of one transaction on the replica, before it is applied.
 *
 * The replica holds state A, the change set what leads to state B. Several changes of one row are
 * folded into one: the row as it was in A, and as it is in B. Everything a change set holds lives
 * in its arena until change_set_clear(). One thread.
 *
 * Not bounded: as large as the transaction. */
#pragma once

#include "weir/replica/replica.h"

struct change_entry {
    const struct relation *relation;
    struct slice key;    /* row key */
    struct row old_row;  /* in A; ROW_NONE if it was not there */
    struct row new_row;  /* in B; ROW_NONE if it is gone */
    uint64_t key_hash;
    struct change_entry *next_in_bucket;
    struct change_entry *next_of_relation;
};

/* The entries of one relation, in the order of their first change. */
struct changed_relation {
    const struct relation *relation;
    struct change_entry *first, *last;
    size_t count;
    struct changed_relation *next;
    struct change_index *indexes; /* made when first asked for */
};

struct change_set {
    struct arena arena;
    struct changed_relation *relations; /* in the order of their first change */
    struct changed_relation *last_relation;
    struct change_entry **buckets;
    size_t bucket_count;
    size_t entry_count;
};

void change_set_init(struct change_set *set);
void change_set_clear(struct change_set *set); /* keeps some memory */
void change_set_release(struct change_set *set);

/* The entry of a row, or NULL. */
struct change_entry *change_set_find(const struct change_set *set, const struct relation *relation,
                                     struct slice key);

/* The entry of a row, made if needed: old_row is then read from the replica and copied, and new_row
 * is the same. The key is copied. */
struct change_entry *change_set_touch(struct change_set *set, struct replica *replica,
                                      const struct relation *relation, struct slice key);

/* Sets what the row is in B; the record is copied. ROW_NONE deletes. */
void change_set_put(struct change_set *set, struct change_entry *entry, struct row new_row);

/* Whether the transaction left the row as it was. */
bool change_entry_is_noop(const struct change_entry *entry);

const struct changed_relation *change_set_of(const struct change_set *set,
                                             const struct relation *relation);

/* Makes the replica state B. */
bool change_set_apply(const struct change_set *set, struct replica *replica, struct err *err)
    WEIR_MUST_CHECK;

/* For weir/replica/state.h: the entries whose new row has these components in these columns, as a
 * chain that ends in NULL. */
struct change_match {
    struct change_entry *entry;
    struct change_match *next;
};

const struct change_match *change_set_match(struct change_set *set, struct replica *replica,
                                            const struct relation *relation,
                                            const uint16_t *columns, size_t column_count,
                                            struct slice components);
