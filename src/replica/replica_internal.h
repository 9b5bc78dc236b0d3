/* What the parts of the replica share: replica.c opens the folder and commits, meta.c has the named
 * values, rows.c the rows, index.c the indexes of them, range.c reads ranges of both, and seal.c
 * has the records' checksums. Inside src/replica only. */
#pragma once

#include "room.h"

#include "weir/base/checked.h"
#include "weir/replica/replica.h"

enum { ROW_PREFIX_SIZE = 8, INDEX_PREFIX_SIZE = 4, CURSOR_POOL_MAX = 64 };

/* The trees in the file; a record's checksum begins with its tree's number. */
enum replica_tree { TREE_META, TREE_ROWS, TREE_INDEX, TREE_COUNT };

/* Idle cursors of a transaction. */
struct cursor_pool {
    MDB_cursor *idle[CURSOR_POOL_MAX];
    size_t count;
};

struct replica {
    MDB_env *env;
    MDB_txn *txn;
    MDB_txn *before; /* reads what was last committed; NULL: not kept */
    MDB_dbi trees[TREE_COUNT];
    int lock_fd;
    int data_fd;
    bool is_dirty;
    bool is_full;
    bool has_no_space;
    bool is_broken; /* LMDB may refuse what is left of the transaction */
    struct map_room room;
    uint64_t size, size_least, size_limit;
    struct hash_key hash;
    struct replica_index **indexes;
    size_t index_count, committed_index_count;
    struct cursor_pool cursors[2][TREE_COUNT]; /* [is of before][] */
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

/* What to do about a damaged file, as a hint; false. */
bool replica_hint_damage(const struct replica *replica, struct err *err);

/* range.c. A cursor for a while. */
MDB_cursor *replica_take_cursor(struct replica *replica, bool of_before, enum replica_tree tree);
void replica_give_cursor(struct replica *replica, bool of_before, enum replica_tree tree,
                         MDB_cursor *cursor);

/* seal.c. As mdb_put(), with a checksum behind the record. */
int replica_put_sealed(struct replica *replica, enum replica_tree tree, struct slice key,
                       struct slice record, unsigned flags);

/* What is stored without its checksum; false: it is damaged. */
WEIR_MUST_CHECK static inline bool replica_unseal(enum replica_tree tree, MDB_val key,
                                                  MDB_val stored, struct slice *record)
{
    return checked_read(1 + tree, slice_of_val(key), slice_of_val(stored), record);
}

/* Whose an entry is, for the words when it turns out to be damaged. */
struct replica_owner {
    const struct relation *relation;
    const struct replica_index *index; /* NULL: of the rows */
};

/* Ends the process. at: in the mapped file, or NULL. */
_Noreturn void replica_stop_damaged(const struct replica *replica,
                                    const struct replica_owner *owner, const void *at,
                                    const char *what);

/* The same where LMDB itself cannot read; owner NULL: of the named values. */
_Noreturn void replica_stop_failed(const struct replica *replica, const struct replica_owner *owner,
                                   int code);

/* The first entry at or behind `wanted`, proven to be that. 0 or MDB_NOTFOUND. The entry itself is
 * still to be unsealed where it begins with `wanted`. */
int replica_seek(struct replica *replica, MDB_cursor *cursor, const struct replica_owner *owner,
                 struct slice wanted, MDB_val *entry, MDB_val *value);

/* Ends the process where a range's end is not what was written. */
void replica_check_neighbour(const struct replica *replica, const struct replica_owner *owner,
                             MDB_val entry, MDB_val value);

/* meta.c. The format and the hash key of a folder; written where it is new. */
bool replica_write_format(struct replica *replica, struct err *err) WEIR_MUST_CHECK;
bool replica_check_format(struct replica *replica, struct err *err) WEIR_MUST_CHECK;

/* rows.c. What is stored under a full key. */
struct row replica_row_of(const struct replica *replica, const struct relation *relation,
                          MDB_val full_key, MDB_val value);

/* As it is, or as it was before. */
struct row replica_get_in(struct replica *replica, bool of_before, const struct relation *relation,
                          struct slice key);

/* index.c. The definitions are a meta value. */
bool replica_load_indexes(struct replica *replica, struct err *err) WEIR_MUST_CHECK;
void replica_forget_indexes(struct replica *replica);

/* Brings every index of the relation from the old row to the new one; either may be ROW_NONE. 0, or
 * what LMDB says. */
int replica_put_indexes(struct replica *replica, const struct relation *relation, struct slice key,
                        struct row old_row, struct row new_row);
