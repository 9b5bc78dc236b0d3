/* struct state: the rows as they were before a transaction, or as they are after it.
 *
 * A is the replica; B is the replica seen through a change set that has not been applied. Where the
 * change set is spilled, B is the replica and A what it was before. Both can be read at any time
 * while a difference is worked out, which is what makes every delivery the difference between two
 * committed states. One thread; nothing may be put meanwhile. */
#pragma once

#include "weir/replica/change_set.h"

struct state {
    struct replica *replica;
    struct change_set *changes; /* to be laid over it; NULL: none */
    bool is_before;             /* the replica as it was before */
};

struct state state_before(struct replica *replica, const struct change_set *changes);
struct state state_after(struct replica *replica, struct change_set *changes);

/* How a step of a plan reaches rows of a relation. */
enum access_kind {
    ACCESS_ALL,       /* every row */
    ACCESS_KEY,       /* the whole primary key is given: at most one row */
    ACCESS_KEY_RANGE, /* the first columns of the primary key are given */
    ACCESS_INDEX,     /* the columns of an index, or the first of them, are given; or an element */
};

struct access {
    enum access_kind kind;
    const struct relation *relation;
    const struct replica_index *index;   /* ACCESS_INDEX */
    uint16_t columns[INDEX_COLUMNS_MAX]; /* in the order of the components */
    size_t column_count;
};

/* Reading in a loop: state_read_begin, state_read_next until false, state_read_end. */
struct state_read {
    const struct state *state;
    const struct access *access;
    struct replica_range range;
    bool in_replica;
    struct row single; /* ACCESS_KEY: the row in the replica */
    const struct change_match *match;
    const struct change_entry *entry;
};

/* components: the key components of access->columns, in order; borrowed until the end. */
void state_read_begin(struct state_read *read, const struct state *state,
                      const struct access *access, struct slice components);
bool state_read_next(struct state_read *read, struct row *row);
void state_read_end(struct state_read *read);

/* One row by its row key, or ROW_NONE. */
struct row state_get(const struct state *state, const struct relation *relation, struct slice key);
