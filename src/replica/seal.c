/* The checksums of the replica's records, and what is made of one that is wrong.
 *
 * LMDB has none. A record's own checksum, which is over its key too, tells what is damaged among
 * that which is read; but a key that is damaged may also lead a search past what it looks for, and
 * then the absence of a row would be believed. So what is not found has to be proven: a search in a
 * tree in which one key is wrong ends beside that key, or with neighbours in the wrong order. */
#include "replica_internal.h"

#include "weir/base/check.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Larger records are on pages of their own, which a look at a neighbour is not worth. */
enum { NEIGHBOUR_MAX = 2000 };

int replica_put_sealed(struct replica *replica, enum replica_tree tree, struct slice key,
                       struct slice record, unsigned flags)
{
    MDB_val k = val_of(key), room = {.mv_size = record.len + CHECKED_CRC_SIZE};
    int code = mdb_put(replica->txn, replica->trees[tree], &k, &room, flags | MDB_RESERVE);
    if (code == 0)
        checked_write(room.mv_data, 1 + tree, key, record);
    return code;
}

/* Where in the file it is that the pointer points to. */
static bool find_in_file(const void *pointer, unsigned long *offset)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[1024];
    bool is_found = false;
    while (maps && !is_found && fgets(line, sizeof line, maps)) {
        unsigned long begin, end, at = (unsigned long)pointer;
        is_found = sscanf(line, "%lx-%lx %*s %lx", &begin, &end, offset) == 3 && at >= begin &&
                   at < end && strstr(line, "replica.mdb");
        if (is_found)
            *offset += at - begin;
    }
    if (maps)
        fclose(maps);
    return is_found;
}

/* No key: that would be a row's value. */
_Noreturn void replica_stop_damaged(const struct replica *replica,
                                    const struct replica_owner *owner, const void *at,
                                    const char *what)
{
    struct err err;
    unsigned long offset;
    char place[64] = "";
    if (at && find_in_file(at, &offset))
        snprintf(place, sizeof place, " at byte %lu", offset);
    if (owner)
        err_set(&err, "%s/replica.mdb is damaged%s: %s of the table %.*s.%.*s", replica->directory,
                place, what, SLICE_ARG(owner->relation->schema), SLICE_ARG(owner->relation->name));
    else
        err_set(&err, "%s/replica.mdb is damaged%s: %s", replica->directory, place, what);
    replica_hint_damage(replica, &err);
    damage_stop(&err);
}

_Noreturn void replica_stop_failed(const struct replica *replica, const struct replica_owner *owner,
                                   int code)
{
    char what[256];
    /* A question that cannot be asked, as without a transaction: our mistake, and no reason to have
     * the folder removed. */
    check(code != MDB_BAD_TXN && code != EINVAL);
    snprintf(what, sizeof what, "%s: %s", mdb_strerror(code),
             owner && owner->index ? "the index entries"
             : owner               ? "the rows"
                                   : "the named values");
    replica_stop_damaged(replica, owner, NULL, what);
}

void replica_check_neighbour(const struct replica *replica, const struct replica_owner *owner,
                             MDB_val entry, MDB_val value)
{
    struct slice record;
    enum replica_tree tree = owner->index ? TREE_INDEX : TREE_ROWS;
    if (value.mv_size <= NEIGHBOUR_MAX && !replica_unseal(tree, entry, value, &record))
        replica_stop_damaged(replica, owner, entry.mv_data,
                             owner->index ? "a key beside the index entries"
                                          : "a key beside the rows");
}

static void check_order(const struct replica *replica, const struct replica_owner *owner,
                        MDB_val entry, bool is_right)
{
    if (!is_right)
        replica_stop_damaged(replica, owner, entry.mv_data,
                             owner->index ? "the order of the index entries"
                                          : "the order of the rows");
}

int replica_seek(struct replica *replica, MDB_cursor *cursor, const struct replica_owner *owner,
                 struct slice wanted, MDB_val *entry, MDB_val *value)
{
    MDB_val before, ignored;
    *entry = val_of(wanted);
    int code = mdb_cursor_get(cursor, entry, value, MDB_SET_RANGE);
    bool is_found = code == 0;
    if (is_found) {
        check_order(replica, owner, *entry, slice_cmp(slice_of_val(*entry), wanted) >= 0);
        if (!slice_starts_with(slice_of_val(*entry), wanted))
            replica_check_neighbour(replica, owner, *entry, *value);
    }
    if (is_found || code == MDB_NOTFOUND)
        code = mdb_cursor_get(cursor, &before, &ignored, is_found ? MDB_PREV : MDB_LAST);
    bool is_first = code == MDB_NOTFOUND;
    if (code == 0) {
        check_order(replica, owner, before, slice_cmp(slice_of_val(before), wanted) < 0);
        replica_check_neighbour(replica, owner, before, ignored);
    }
    if (is_found && (code == 0 || is_first)) {
        *entry = val_of(wanted);
        code = mdb_cursor_get(cursor, entry, value, is_first ? MDB_SET_RANGE : MDB_NEXT);
    }
    if (code != 0 && code != MDB_NOTFOUND)
        replica_stop_failed(replica, owner, code);
    return is_found ? 0 : MDB_NOTFOUND;
}
