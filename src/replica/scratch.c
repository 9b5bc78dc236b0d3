#include "weir/replica/scratch.h"

#include "room.h"

#include "weir/base/check.h"
#include "weir/base/fault.h"
#include "weir/base/file.h"

#include <errno.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct scratch {
    char directory[512], path[600];
    uint64_t size_limit;
    MDB_env *env; /* NULL: nothing was put yet */
    MDB_txn *txn;
    MDB_dbi tables[SCRATCH_TABLES];
    struct map_room room;
    bool has_failed, has_no_space;
    struct err err;
};

static const char *const table_names[SCRATCH_TABLES] = {
    "notes", "changed", "candidates", "events", "deliveries", "paths", "held"};

struct scratch *scratch_new(const char *directory, uint64_t size_limit)
{
    struct scratch *scratch = calloc(1, sizeof *scratch);
    check(scratch != NULL);
    snprintf(scratch->directory, sizeof scratch->directory, "%s", directory);
    snprintf(scratch->path, sizeof scratch->path, "%s/scratch.mdb", directory);
    scratch->size_limit = size_limit;
    return scratch;
}

static void close_file(struct scratch *scratch)
{
    if (scratch->txn)
        mdb_txn_abort(scratch->txn);
    if (scratch->env)
        mdb_env_close(scratch->env);
    scratch->txn = NULL;
    scratch->env = NULL;
    scratch->room.reserved = 0;
}

void scratch_free(struct scratch *scratch)
{
    if (!scratch)
        return;
    close_file(scratch);
    free(scratch);
}

void scratch_clear(struct scratch *scratch)
{
    if (!scratch->env && !scratch->has_failed)
        return;
    close_file(scratch);
    unlink(scratch->path);
    scratch->has_failed = false;
}

static bool fail(struct scratch *scratch, int code, const char *what)
{
    if (scratch->has_failed)
        return false;
    scratch->has_failed = true;
    scratch->has_no_space = code == ENOSPC;
    err_set(&scratch->err, "%s: %s: %s", scratch->path, what, mdb_strerror(code));
    if (code == MDB_MAP_FULL)
        err_hint(&scratch->err, "a transaction needs more room than --replica-limit gives");
    if (code == ENOSPC)
        err_hint(&scratch->err, "make room on this disk");
    return false;
}

static bool begin(struct scratch *scratch)
{
    int code = mdb_txn_begin(scratch->env, NULL, 0, &scratch->txn);
    map_room_begin(&scratch->room, scratch->env);
    return code == 0 || fail(scratch, code, "cannot begin");
}

/* As long as its limit, and a hole but for what is in it: it does not live for long. */
static bool open_file(struct scratch *scratch, unsigned create)
{
    int code = mdb_env_create(&scratch->env);
    check(code == 0);
    mdb_env_set_mapsize(scratch->env, scratch->size_limit);
    mdb_env_set_maxdbs(scratch->env, SCRATCH_TABLES);
    unsigned flags = MDB_NOSUBDIR | MDB_NOLOCK | MDB_WRITEMAP | MDB_NOSYNC | MDB_NORDAHEAD;
    code = mdb_env_open(scratch->env, scratch->path, flags, 0600);
    if (code != 0)
        return fail(scratch, code, "cannot open");
    if (!begin(scratch))
        return false;
    for (int i = 0; i < SCRATCH_TABLES; i++) {
        /* Spools of older versions have no such table. */
        unsigned flags_of_table = i == SCRATCH_HELD ? MDB_CREATE : create;
        code = mdb_dbi_open(scratch->txn, table_names[i], flags_of_table, &scratch->tables[i]);
        if (code != 0)
            return fail(scratch, code, "cannot open a table");
    }
    return true;
}

static bool is_ready(struct scratch *scratch)
{
    if (scratch->has_failed)
        return false;
    if (scratch->env)
        return true;
    unlink(scratch->path); /* what a crash has left */
    return open_file(scratch, MDB_CREATE);
}

bool scratch_reopen(struct scratch *scratch, struct err *err)
{
    if (!scratch->env && !scratch->has_failed)
        open_file(scratch, 0);
    return scratch_is_sound(scratch, err);
}

static MDB_val val_of(struct slice bytes)
{
    return (MDB_val){bytes.len, (void *)(uintptr_t)bytes.data};
}

static bool put(struct scratch *scratch, enum scratch_table table, struct slice key,
                struct slice value, unsigned flags)
{
    check(key.len > 0 && key.len <= SCRATCH_KEY_MAX);
    if (!is_ready(scratch))
        return false;
    MDB_val k = val_of(key), v = val_of(value);
    int code =
        map_room_take(&scratch->room, scratch->txn, scratch->tables, SCRATCH_TABLES, 1, value.len);
    if (code == 0)
        code = mdb_put(scratch->txn, scratch->tables[table], &k, &v, flags);
    if (code != 0 && code != MDB_KEYEXIST)
        fail(scratch, code, "cannot write");
    return code == 0;
}

void scratch_put(struct scratch *scratch, enum scratch_table table, struct slice key,
                 struct slice value)
{
    put(scratch, table, key, value, 0);
}

bool scratch_put_new(struct scratch *scratch, enum scratch_table table, struct slice key,
                     struct slice value)
{
    return put(scratch, table, key, value, MDB_NOOVERWRITE);
}

void scratch_remove(struct scratch *scratch, enum scratch_table table, struct slice key)
{
    MDB_val k = val_of(key);
    if (!scratch->env || scratch->has_failed)
        return;
    int code = mdb_del(scratch->txn, scratch->tables[table], &k, NULL);
    if (code != 0 && code != MDB_NOTFOUND)
        fail(scratch, code, "cannot remove");
}

void scratch_empty(struct scratch *scratch, enum scratch_table table)
{
    if (!scratch->env || scratch->has_failed)
        return;
    int code = mdb_drop(scratch->txn, scratch->tables[table], 0);
    if (code != 0)
        fail(scratch, code, "cannot empty a table");
}

struct slice scratch_get(struct scratch *scratch, enum scratch_table table, struct slice key)
{
    MDB_val k = val_of(key), v;
    if (!scratch->env || scratch->has_failed)
        return SLICE_NONE;
    int code = mdb_get(scratch->txn, scratch->tables[table], &k, &v);
    check(code == 0 || code == MDB_NOTFOUND);
    return code ? SLICE_NONE : slice_of(v.mv_data, v.mv_size);
}

bool scratch_has_no_space(const struct scratch *scratch)
{
    return scratch->has_no_space;
}

bool scratch_is_sound(const struct scratch *scratch, struct err *err)
{
    if (scratch->has_failed)
        *err = scratch->err;
    return !scratch->has_failed;
}

bool scratch_sync(struct scratch *scratch, struct err *err)
{
    if (!is_ready(scratch))
        return scratch_is_sound(scratch, err);
    int code = mdb_txn_commit(scratch->txn);
    scratch->txn = NULL;
    if (code == 0 && fault_fails(FAULT_SPOOL_SYNC))
        code = errno;
    if (code == 0)
        code = mdb_env_sync(scratch->env, 1);
    fault_step(FAULT_SPOOL_SYNCED);
    if (code != 0)
        fail(scratch, code, "cannot sync");
    else if (!folder_sync(scratch->directory, &scratch->err))
        scratch->has_failed = true;
    else
        begin(scratch);
    return scratch_is_sound(scratch, err);
}

void scratch_walk_begin(struct scratch_walk *walk, struct scratch *scratch,
                        enum scratch_table table, struct slice prefix)
{
    *walk = (struct scratch_walk){.prefix_len = prefix.len};
    check(prefix.len <= sizeof walk->prefix);
    if (prefix.len)
        memcpy(walk->prefix, prefix.data, prefix.len);
    if (!scratch->env || scratch->has_failed)
        return;
    MDB_cursor *cursor;
    int code = mdb_cursor_open(scratch->txn, scratch->tables[table], &cursor);
    check(code == 0);
    walk->cursor = cursor;
}

bool scratch_walk_next(struct scratch_walk *walk, struct slice *key, struct slice *value)
{
    if (!walk->cursor)
        return false;
    MDB_val k = {walk->prefix_len, walk->prefix}, v;
    MDB_cursor_op first = walk->prefix_len ? MDB_SET_RANGE : MDB_FIRST;
    int code = mdb_cursor_get(walk->cursor, &k, &v, walk->is_started ? MDB_NEXT : first);
    walk->is_started = true;
    check(code == 0 || code == MDB_NOTFOUND);
    if (code != 0 || k.mv_size < walk->prefix_len ||
        memcmp(k.mv_data, walk->prefix, walk->prefix_len) != 0)
        return false;
    *key = slice_of(k.mv_data, k.mv_size);
    *value = slice_of(v.mv_data, v.mv_size);
    return true;
}

void scratch_walk_end(struct scratch_walk *walk)
{
    if (walk->cursor)
        mdb_cursor_close(walk->cursor);
    walk->cursor = NULL;
}
