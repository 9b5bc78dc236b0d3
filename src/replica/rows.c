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

struct row replica_row_of(const struct relation *relation, MDB_val value)
{
    check(row_is_valid(relation, slice_of_val(value)));
    return (struct row){slice_of_val(value)};
}

struct row replica_get_in(struct replica *replica, MDB_txn *txn, const struct relation *relation,
                          struct slice key)
{
    MDB_val full_key = val_of(row_key_of(replica, relation, key)), value;
    int code = mdb_get(txn, replica->rows, &full_key, &value);
    check(code == 0 || code == MDB_NOTFOUND);
    return code ? ROW_NONE : replica_row_of(relation, value);
}

struct row replica_get(struct replica *replica, const struct relation *relation, struct slice key)
{
    return replica_get_in(replica, replica->txn, relation, key);
}

struct row replica_get_before(struct replica *replica, const struct relation *relation,
                              struct slice key)
{
    return replica_get_in(replica, replica->before, relation, key);
}

bool replica_put(struct replica *replica, const struct relation *relation, struct slice key,
                 struct row old_row, struct row new_row, struct err *err)
{
    replica->is_dirty = true;
    /* Indexes first: the old row's bytes may lie in the page that the put below rewrites, and the
     * index keys are copied out before anything is written to their own tree. */
    int code = replica_make_room(replica, 1 + 2 * replica->index_count, new_row.record.len);
    if (code == 0)
        code = replica_put_indexes(replica, relation, key, old_row, new_row);
    if (code == 0) {
        MDB_val full_key = val_of(row_key_of(replica, relation, key));
        if (row_exists(new_row)) {
            MDB_val value = val_of(new_row.record);
            unsigned flags = row_exists(old_row) ? 0 : MDB_NOOVERWRITE;
            code = mdb_put(replica->txn, replica->rows, &full_key, &value, flags);
            check(code != MDB_KEYEXIST);
        } else {
            code = mdb_del(replica->txn, replica->rows, &full_key, NULL);
            check(code != MDB_NOTFOUND);
        }
    }
    return code == 0 || replica_fail(replica, code, "cannot write", err);
}
