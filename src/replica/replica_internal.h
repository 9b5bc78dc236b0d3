/* What the parts of the replica share: replica.c opens the folder and commits, meta.c has the named
 * values, rows.c the rows, index.c the indexes of them, and range.c reads ranges of both. Inside
 * src/replica only. */
#pragma once

#include "room.h"

#include "weir/replica/replica.h"

enum { ROW_PREFIX_SIZE = 8, INDEX_PREFIX_SIZE = 4, CURSOR_POOL_MAX = 64 };

/* Idle cursors of a transaction. */
struct cursor_pool {
    MDB_cursor *idle[CURSOR_POOL_MAX];
    size_t count;
};

struct replica {
    MDB_env *env;
    MDB_txn *txn;
    MDB_txn *before; /* reads what was last committed; NULL: not kept */
    MDB_dbi meta, rows, index;
    int lock_fd;
    int data_fd;
    bool is_dirty;
    bool is_full;
    bool has_no_space;
    struct map_room room;
    uint64_t size, size_least, size_limit;
    struct hash_key hash;
    struct replica_index **indexes;
    size_t index_count, committed_index_count;
    struct cursor_pool cursors[2][2]; /* [is of before][is of index] */
    struct scratch *scratch;
    struct buffer full_key;
    struct arena arena;
    char directory[512];
};

static inline MDB_val val_of(struct slice bytes)
{
    return (MDB_val){bytes.len, (void *)(uintptr_t)bytes.data};
}

static inline struct slice slice_of_val(MDB_val val)
{
    return slice_of(val.mv_data, val.mv_size);
}

/* replica.c. What LMDB says, with what to do about it; false. */
bool replica_fail(struct replica *replica, int code, const char *what, struct err *err);

/* Disk space for changes in so many trees, and for a value. 0, or an errno. */
int replica_make_room(struct replica *replica, size_t trees, size_t value_len);

/* meta.c. The format and the hash key of a folder; written where it is new. */
bool replica_write_format(struct replica *replica, struct err *err) WEIR_MUST_CHECK;
bool replica_check_format(struct replica *replica, struct err *err) WEIR_MUST_CHECK;

/* rows.c. LMDB has no checksums: a damaged page must not become a read beyond it. */
struct row replica_row_of(const struct relation *relation, MDB_val value);

/* As it is in a transaction: the replica's own, or "before". */
struct row replica_get_in(struct replica *replica, MDB_txn *txn, const struct relation *relation,
                          struct slice key);

/* index.c. The definitions are a meta value. */
bool replica_load_indexes(struct replica *replica, struct err *err) WEIR_MUST_CHECK;
void replica_forget_indexes(struct replica *replica);

/* Brings every index of the relation from the old row to the new one; either may be ROW_NONE. 0, or
 * what LMDB says. */
int replica_put_indexes(struct replica *replica, const struct relation *relation, struct slice key,
                        struct row old_row, struct row new_row);
