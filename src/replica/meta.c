#include "replica_internal.h"

#include "weir/base/check.h"

#include <sys/random.h>

static const char format_version[] = "weir replica 5";

struct slice replica_meta(struct replica *replica, const char *name)
{
    MDB_val key = val_of(slice_from_str(name)), value;
    int code = mdb_get(replica->txn, replica->meta, &key, &value);
    check(code == 0 || code == MDB_NOTFOUND);
    return code ? SLICE_NONE : slice_of_val(value);
}

bool replica_set_meta(struct replica *replica, const char *name, struct slice bytes,
                      struct err *err)
{
    MDB_val key = val_of(slice_from_str(name)), value = val_of(bytes);
    int code = replica_make_room(replica, 1, bytes.len);
    if (code == 0)
        code = mdb_put(replica->txn, replica->meta, &key, &value, 0);
    replica->is_dirty = true;
    return code == 0 || replica_fail(replica, code, "cannot write", err);
}

bool replica_write_format(struct replica *replica, struct err *err)
{
    return replica_set_meta(replica, "format", slice_from_str(format_version), err) &&
           replica_set_meta(replica, "hash",
                            slice_of((const char *)&replica->hash, sizeof replica->hash), err);
}

bool replica_check_format(struct replica *replica, struct err *err)
{
    struct slice version = replica_meta(replica, "format");
    if (!version.data) {
        check(getrandom(&replica->hash, sizeof replica->hash, 0) ==
              (ssize_t)sizeof replica->hash);
        return replica_write_format(replica, err);
    }
    struct slice hash = replica_meta(replica, "hash");
    if (!slice_eq_str(version, format_version) || hash.len != sizeof replica->hash) {
        err_set(err, "the state folder %s has a format of another version of weir",
                replica->directory);
        return err_hint(err, "use that version, or let this one start with an empty folder");
    }
    memcpy(&replica->hash, hash.data, sizeof replica->hash);
    return true;
}

const struct hash_key *replica_hash_key(const struct replica *replica)
{
    return &replica->hash;
}
