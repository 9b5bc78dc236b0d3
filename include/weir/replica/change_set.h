/* struct change_set: the net effect of one transaction on the replica.
 *
 * Several changes of one row are folded into one: the row as it was in A, and as it is in B. At
 * first all of it is in memory, beside the replica, which holds state A until change_set_apply(). A
 * change set that becomes too large is *spilled*: what was committed last is kept as A ("before"),
 * the changes go into the replica at once, and which rows changed is noted in the replica's
 * scratch. Readers see no difference: A and B by weir/replica/state.h, the entries by struct
 * change_walk. One thread. */
#pragma once

#include "weir/replica/replica.h"

struct change_entry {
    const struct relation *relation;
    struct slice key;   /* row key */
    struct row old_row; /* in A; ROW_NONE if it was not there */
    struct row new_row; /* in B; ROW_NONE if it is gone */
    uint64_t key_hash;
    struct change_entry *next_in_bucket;
    struct change_entry *next_of_relation;
};

/* A relation with entries; those in memory in the order of their first change. */
struct changed_relation {
    const struct relation *relation;
    struct change_entry *first, *last; /* not when spilled */
    size_t count;
    struct changed_relation *next;
    struct change_index *indexes;    /* made when first asked for */
    struct identity_map *identities; /* made when first asked for, and kept up */
};

struct change_set {
    struct arena arena;
    struct changed_relation *relations; /* in the order of their first change */
    struct changed_relation *last_relation;
    struct change_entry **buckets;
    size_t bucket_count;
    size_t entry_count;
    bool has_identities;          /* some relation has */
    struct replica *replica;      /* spilled: the one that holds the changes */
    bool is_applied;              /* spilled: they are to stay */
    struct change_entry loose[2]; /* spilled: those touched last, with their keys */
    struct buffer loose_keys[2];
    unsigned next_loose;
};

void change_set_init(struct change_set *set);

/* Keeps some memory. A spilled set that was not applied leaves the replica as it was before. */
void change_set_clear(struct change_set *set);
void change_set_release(struct change_set *set);

static inline bool change_set_is_spilled(const struct change_set *set)
{
    return set->replica != NULL;
}

/* Bytes in memory. */
size_t change_set_memory(const struct change_set *set);

/* Nothing may have been put into the replica since its last commit. From here on until it is
 * cleared, the replica's scratch and its "before" are the change set's. */
bool change_set_spill(struct change_set *set, struct replica *replica,
                      struct err *err) WEIR_MUST_CHECK;

/* The entry of a row, or NULL; not of a spilled set. */
struct change_entry *change_set_find(const struct change_set *set, const struct relation *relation,
                                     struct slice key);

/* Whether the row has an entry, and what it is. Rows and key are borrowed until the set, the
 * replica or the key changes. */
bool change_set_look(const struct change_set *set, const struct relation *relation,
                     struct slice key, struct change_entry *entry);

/* The entry of a row, made if needed: old_row is then read from the replica, and new_row is the
 * same. The key is copied. Of a spilled set only the last two stay, their rows until the
 * next put. */
struct change_entry *change_set_touch(struct change_set *set, struct replica *replica,
                                      const struct relation *relation, struct slice key);

/* Some columns and their JSON values, by which Postgres names a row that it does
 * not name by its primary key. */
struct row_identity {
    const uint16_t *columns;
    const struct slice *values;
    size_t count;
};

/* As change_set_touch(), for the row that has this identity in B; *entry is NULL where none has.
 * False when the replica fails. */
bool change_set_touch_identified(struct change_set *set, struct replica *replica,
                                 const struct relation *relation,
                                 const struct row_identity *identity, struct change_entry **entry,
                                 struct err *err) WEIR_MUST_CHECK;

/* Sets what the row is in B; the record is copied. ROW_NONE deletes. Fails only when spilled. */
bool change_set_put(struct change_set *set, struct change_entry *entry, struct row new_row,
                    struct err *err) WEIR_MUST_CHECK;

/* The entries of one relation, in an order that only depends on them. The set may not change. */
struct change_walk {
    const struct change_set *set;
    const struct changed_relation *changed;
    struct change_entry *next;
    struct scratch_walk noted;
    struct change_entry current;
};

void change_walk_begin(struct change_walk *walk, const struct change_set *set,
                       const struct changed_relation *changed);

/* NULL at the end. Rows are borrowed from the set or the replica; the entry until the next call. */
const struct change_entry *change_walk_next(struct change_walk *walk);
void change_walk_end(struct change_walk *walk);

/* Whether the transaction left the row as it was. */
bool change_entry_is_noop(const struct change_entry *entry);

const struct changed_relation *change_set_of(const struct change_set *set,
                                             const struct relation *relation);

/* Makes the replica state B. The replica still has to be committed. */
bool change_set_apply(struct change_set *set, struct replica *replica,
                      struct err *err) WEIR_MUST_CHECK;

/* For weir/replica/state.h: the entries whose new row has these components in these columns, or
 * this one among the elements of its array, as a chain that ends in NULL. Not of a spilled set. */
struct change_match {
    struct change_entry *entry;
    struct change_match *next;
};

const struct change_match *change_set_match(struct change_set *set, struct replica *replica,
                                            const struct relation *relation, enum index_kind kind,
                                            const uint16_t *columns, size_t column_count,
                                            struct slice components);
