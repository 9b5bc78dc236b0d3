#include "replica_internal.h"

#include "weir/base/check.h"

static struct slice row_key_of(struct replica *replica, const struct relation *relation,
                               struct slice key)
{
    buffer_clear(&replica->full_key);
    buffer_add_u64(&replica->full_key, __builtin_bswap64(relation->storage_id));
    buffer_add_slice(&replica->full_key, key);
    return buffer_slice(&replica->full_key);
}

/* What bears the checksum of its key, in which the relation's shape is, was made by row_build() for
 * it: its form need not be looked at. */
struct row replica_row_of(const struct replica *replica, const struct relation *relation,
                          MDB_val full_key, MDB_val value)
{
    struct row row;
    if (!replica_unseal(TREE_ROWS, full_key, value, &row.record))
        replica_stop_damaged(replica, &(struct replica_owner){relation, NULL}, value.mv_data,
                             "a row");
    return row;
}

static void prove_absent(struct replica *replica, bool of_before, const struct relation *relation,
                         struct slice full_key)
{
    MDB_val entry, value;
    struct replica_owner owner = {relation, NULL};
    MDB_cursor *cursor = replica_take_cursor(replica, of_before, TREE_ROWS);
    /* No key begins with another. */
    if (replica_seek(replica, cursor, &owner, full_key, &entry, &value) == 0 &&
        slice_starts_with(slice_of_val(entry), full_key))
        replica_stop_damaged(replica, &owner, entry.mv_data, "the key of a row");
    replica_give_cursor(replica, of_before, TREE_ROWS, cursor);
}

struct row replica_get_in(struct replica *replica, bool of_before, const struct relation *relation,
                          struct slice key)
{
    struct slice wanted = row_key_of(replica, relation, key);
    MDB_val full_key = val_of(wanted), value;
    MDB_txn *txn = of_before ? replica->before : replica->txn;
    int code = mdb_get(txn, replica->trees[TREE_ROWS], &full_key, &value);
    if (code == 0)
        return replica_row_of(replica, relation, full_key, value);
    if (code != MDB_NOTFOUND)
        replica_stop_failed(replica, &(struct replica_owner){relation, NULL}, code);
    prove_absent(replica, of_before, relation, wanted);
    return ROW_NONE;
}

struct row replica_get(struct replica *replica, const struct relation *relation, struct slice key)
{
    return replica_get_in(replica, false, relation, key);
}

struct row replica_get_before(struct replica *replica, const struct relation *relation,
                              struct slice key)
{
    return replica_get_in(replica, true, relation, key);
}

bool replica_put(struct replica *replica, const struct relation *relation, struct slice key,
                 struct row old_row, struct row new_row, struct err *err)
{
    replica->is_dirty = true;
    /* Indexes first: the old row's bytes may lie in the page that the put below rewrites, and the
     * index keys are copied out before anything is written to their own tree. */
    int code = replica_make_room(replica, 1, new_row.record.len + CHECKED_CRC_SIZE);
    if (code == 0)
        code = replica_put_indexes(replica, relation, key, old_row, new_row);
    if (code == 0) {
        struct slice full_key = row_key_of(replica, relation, key);
        MDB_val deleted = val_of(full_key);
        if (row_exists(new_row)) {
            unsigned flags = row_exists(old_row) ? 0 : MDB_NOOVERWRITE;
            code = replica_put_sealed(replica, TREE_ROWS, full_key, new_row.record, flags);
            check(code != MDB_KEYEXIST);
        } else {
            code = mdb_del(replica->txn, replica->trees[TREE_ROWS], &deleted, NULL);
            check(code != MDB_NOTFOUND);
        }
    }
    return code == 0 || replica_fail(replica, code, "cannot write", err);
}
