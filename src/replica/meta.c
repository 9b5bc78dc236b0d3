#include "replica_internal.h"

#include "weir/base/check.h"

#include <sys/random.h>

static const char format_version[] = "weir replica 7";

/* The same, but that its programs knew no "rule language": one of them that came back would not
 * heed it. */
static const char former_version[] = "weir replica 6";

/* Not sealed, so that other versions understand it. */
static bool is_format(MDB_val key)
{
    return slice_eq_str(slice_of_val(key), "format");
}

struct slice replica_meta(struct replica *replica, const char *name)
{
    MDB_val key = val_of(slice_from_str(name)), value;
    struct slice record;
    int code = mdb_get(replica->txn, replica->trees[TREE_META], &key, &value);
    if (code == MDB_NOTFOUND)
        return SLICE_NONE;
    if (code != 0)
        replica_stop_failed(replica, NULL, code);
    if (is_format(key))
        return slice_of_val(value);
    if (!replica_unseal(TREE_META, key, value, &record))
        replica_stop_damaged(replica, NULL, value.mv_data, "one of the values of \"meta\"");
    return record;
}

bool replica_set_meta(struct replica *replica, const char *name, struct slice bytes,
                      struct err *err)
{
    int code = replica_make_room(replica, 1, bytes.len + CHECKED_CRC_SIZE);
    if (code == 0)
        code = replica_put_sealed(replica, TREE_META, slice_from_str(name), bytes, 0);
    replica->is_dirty = true;
    return code == 0 || replica_fail(replica, code, "cannot write", err);
}

bool replica_write_format(struct replica *replica, struct err *err)
{
    MDB_val key = val_of(SLICE("format")), value = val_of(slice_from_str(format_version));
    int code = replica_make_room(replica, 1, value.mv_size);
    if (code == 0)
        code = mdb_put(replica->txn, replica->trees[TREE_META], &key, &value, 0);
    if (code != 0)
        return replica_fail(replica, code, "cannot write", err);
    return replica_set_meta(replica, "hash",
                            slice_of((const char *)&replica->hash, sizeof replica->hash), err);
}

static bool refuse_damage(const struct replica *replica, const char *what, struct err *err)
{
    err_set(err, "%s/replica.mdb is damaged: %s", replica->directory, what);
    return replica_hint_damage(replica, err);
}

/* All of them, as one whose name is damaged would be missed by nobody. There are a dozen. */
static bool check_values(struct replica *replica, struct err *err)
{
    MDB_cursor *cursor = replica_take_cursor(replica, false, TREE_META);
    MDB_val key, value;
    MDB_stat stat;
    struct slice record;
    size_t count = 0;
    int code = mdb_stat(replica->txn, replica->trees[TREE_META], &stat);
    bool ok = code == 0;
    while (ok && (code = mdb_cursor_get(cursor, &key, &value, count ? MDB_NEXT : MDB_FIRST)) == 0) {
        ok = is_format(key) || replica_unseal(TREE_META, key, value, &record);
        count++;
    }
    replica_give_cursor(replica, false, TREE_META, cursor);
    if (code == 0 || (code == MDB_NOTFOUND && count == stat.ms_entries))
        return ok || refuse_damage(replica, "one of the values of \"meta\"", err);
    return refuse_damage(
        replica, code == MDB_NOTFOUND ? "a value of \"meta\" is missing" : mdb_strerror(code), err);
}

static bool is_new(struct replica *replica)
{
    MDB_val key, value;
    MDB_cursor *cursor = replica_take_cursor(replica, false, TREE_META);
    int code = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
    replica_give_cursor(replica, false, TREE_META, cursor);
    return code == MDB_NOTFOUND;
}

bool replica_check_format(struct replica *replica, struct err *err)
{
    if (is_new(replica)) {
        check(getrandom(&replica->hash, sizeof replica->hash, 0) == (ssize_t)sizeof replica->hash);
        return replica_write_format(replica, err);
    }
    struct slice format = replica_meta(replica, "format");
    bool is_former = slice_eq_str(format, former_version);
    if (!is_former && !slice_eq_str(format, format_version)) {
        err_set(err, "the state folder %s has a format of another version of weir",
                replica->directory);
        return err_hint(err,
                        "rm -r '%s' # and start again, or use that version; everything is read "
                        "anew, and what differs is appended to the streams; with a stream "
                        "server other than weir serve, also take another --slot and new streams "
                        "(docs/recovery.md)",
                        replica->directory);
    }
    if (!check_values(replica, err))
        return false;
    struct slice hash = replica_meta(replica, "hash");
    if (hash.len != sizeof replica->hash)
        return refuse_damage(replica, "it has no hash key", err);
    memcpy(&replica->hash, hash.data, sizeof replica->hash);
    return !is_former || replica_write_format(replica, err);
}

const struct hash_key *replica_hash_key(const struct replica *replica)
{
    return &replica->hash;
}
