#include "replica_internal.h"

#include "weir/base/check.h"
#include "weir/base/fault.h"
#include "weir/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* The file is as long as its map, most of it a hole. A map much larger than what is in it would be
 * a trap for those who copy the folder, so it starts small and doubles. */
static const uint64_t first_size = 256u << 20;

/* What is lost with the folder, Postgres and the streams have. */
bool replica_hint_damage(const struct replica *replica, struct err *err)
{
    return err_hint(err,
                    "rm -r '%s' # and start again: everything is read anew, and what differs is "
                    "appended to the streams; with a stream server other than weir serve, also "
                    "take another --slot and new streams (docs/recovery.md)",
                    replica->directory);
}

bool replica_fail(struct replica *replica, int code, const char *what, struct err *err)
{
    replica->is_full |= code == MDB_MAP_FULL && replica->size < replica->size_limit;
    replica->has_no_space |= code == ENOSPC;
    /* That there is no room is known before LMDB is asked. */
    replica->is_broken |= code != ENOSPC;
    err_set(err, "replica %s: %s: %s", replica->directory, what, mdb_strerror(code));
    if (code == MDB_MAP_FULL)
        return err_hint(err, "the replica has reached --replica-limit; restart with a larger one");
    if (code == ENOSPC)
        return err_hint(err, "make room on the disk of %s", replica->directory);
    if (code == MDB_INVALID || code == MDB_CORRUPTED || code == MDB_PAGE_NOTFOUND ||
        code == MDB_VERSION_MISMATCH)
        return replica_hint_damage(replica, err);
    return false;
}

int replica_make_room(struct replica *replica, size_t trees, size_t value_len)
{
    return map_room_take(&replica->room, replica->txn, replica->trees, TREE_COUNT, trees,
                         value_len);
}

static bool lock_directory(struct replica *replica, struct err *err)
{
    if (mkdir(replica->directory, 0700) != 0 && errno != EEXIST)
        return err_set_errno(err, errno, "cannot create the state folder %s", replica->directory);
    char path[600];
    snprintf(path, sizeof path, "%s/lock", replica->directory);
    replica->lock_fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    if (replica->lock_fd < 0)
        return err_set_errno(err, errno, "cannot open %s", path);
    if (flock(replica->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        err_set(err, "the state folder %s is in use by another bridge", replica->directory);
        return err_hint(err, "stop the other one, or give this one a --state of its own");
    }
    return true;
}

static bool begin(struct replica *replica, struct err *err)
{
    int code = mdb_txn_begin(replica->env, NULL, 0, &replica->txn);
    /* A write transaction closes its cursors when it ends. */
    for (int tree = 0; tree < TREE_COUNT; tree++)
        replica->cursors[false][tree].count = 0;
    map_room_begin(&replica->room, replica->env);
    return code == 0 || replica_fail(replica, code, "cannot begin", err);
}

static bool open_databases(struct replica *replica, struct err *err)
{
    static const char *const names[TREE_COUNT] = {
        [TREE_META] = "meta", [TREE_ROWS] = "rows", [TREE_INDEX] = "index"};
    int code = 0;
    for (int tree = 0; code == 0 && tree < TREE_COUNT; tree++) {
        unsigned flags = 0;
        code = mdb_dbi_open(replica->txn, names[tree], MDB_CREATE, &replica->trees[tree]);
        if (code == 0)
            code = mdb_dbi_flags(replica->txn, replica->trees[tree], &flags);
        if (code == 0 && flags != 0) /* another order, or several values under a key */
            code = MDB_CORRUPTED;
    }
    return code == 0 || replica_fail(replica, code, "cannot open", err);
}

static uint64_t used_bytes(const struct replica *replica)
{
    MDB_envinfo info;
    MDB_stat stat;
    mdb_env_info(replica->env, &info);
    mdb_env_stat(replica->env, &stat);
    return ((uint64_t)info.me_last_pgno + 1) * stat.ms_psize;
}

static bool resize(struct replica *replica, uint64_t size, struct err *err)
{
    if (size > replica->size_limit)
        size = replica->size_limit;
    if (size == replica->size)
        return true;
    int code = mdb_env_set_mapsize(replica->env, size);
    if (code != 0) {
        /* LMDB has unmapped the file and not forgotten where it was: closing would unmap again what
         * is there by now, and that is somebody else's. So it is left as it is. */
        static MDB_env *left_alone __attribute__((used)); /* reachable: no leak to a sanitizer */
        left_alone = replica->env;
        (void)left_alone; /* or clang takes it for one that nobody reads */
        replica->env = NULL;
        return replica_fail(replica, code, "cannot change its size", err);
    }
    replica->size = size;
    return true;
}

/* Between two transactions: keeps as much room free as is used, and what was opened with. */
static bool fit_size(struct replica *replica, struct err *err)
{
    uint64_t size = replica->size_least;
    while (size < replica->size_limit && used_bytes(replica) > size / 2)
        size *= 2;
    return resize(replica, size, err);
}

/* The folder may be new, and so may be what is in it. */
static bool sync_names(const struct replica *replica, struct err *err)
{
    char above[600];
    snprintf(above, sizeof above, "%s/..", replica->directory);
    return folder_sync(replica->directory, err) && folder_sync(above, err);
}

/* LMDB has found its pages to be what they cannot be. */
static void stop_at_assertion(MDB_env *env, const char *message)
{
    replica_stop_damaged(mdb_env_get_userctx(env), NULL, NULL, message);
}

static bool open_environment(struct replica *replica, const struct replica_settings *settings,
                             struct err *err)
{
    char path[600];
    snprintf(path, sizeof path, "%s/replica.mdb", replica->directory);
    int code = mdb_env_create(&replica->env);
    check(code == 0);
    replica->size_limit = settings->size_limit;
    replica->size_least = settings->size_least > first_size ? settings->size_least : first_size;
    if (replica->size_least > replica->size_limit)
        replica->size_least = replica->size_limit;
    replica->size = replica->size_least;
    mdb_env_set_mapsize(replica->env, replica->size);
    mdb_env_set_maxdbs(replica->env, TREE_COUNT);
    mdb_env_set_userctx(replica->env, replica);
    mdb_env_set_assert(replica->env, stop_at_assertion);
    /* Our own lock keeps other processes out, and one thread does everything. */
    unsigned flags = MDB_NOSUBDIR | MDB_NOLOCK | MDB_WRITEMAP | MDB_NORDAHEAD;
    code = mdb_env_open(replica->env, path, flags, 0600);
    if (code != 0)
        return replica_fail(replica, code, "cannot open", err);
    mdb_env_get_fd(replica->env, &replica->data_fd);
    /* What a process that was killed has committed may be in the page cache only, and its position
     * is about to be confirmed. */
    code = mdb_env_sync(replica->env, 1);
    if (code != 0)
        return replica_fail(replica, code, "cannot sync", err);
    if (!sync_names(replica, err))
        return false;
    return fit_size(replica, err) && begin(replica, err) && open_databases(replica, err);
}

/* A read transaction leaves its cursors to whoever opened them. */
static void forget_before(struct replica *replica)
{
    for (int tree = 0; tree < TREE_COUNT; tree++) {
        struct cursor_pool *pool = &replica->cursors[true][tree];
        while (pool->count)
            mdb_cursor_close(pool->idle[--pool->count]);
    }
    if (replica->before)
        mdb_txn_abort(replica->before);
    replica->before = NULL;
}

struct replica *replica_open(const struct replica_settings *settings, struct err *err)
{
    struct replica *replica = calloc(1, sizeof *replica);
    check(replica != NULL);
    replica->lock_fd = -1;
    snprintf(replica->directory, sizeof replica->directory, "%s", settings->directory);
    replica->scratch = scratch_new(settings->directory, settings->size_limit);
    if (lock_directory(replica, err) && open_environment(replica, settings, err) &&
        replica_check_format(replica, err) && replica_load_indexes(replica, err))
        return replica;
    replica_close(replica);
    return NULL;
}

bool replica_is_in_use(const char *directory)
{
    char path[600];
    snprintf(path, sizeof path, "%s/lock", directory);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool is_locked = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    if (fd >= 0)
        close(fd);
    return is_locked;
}

void replica_close(struct replica *replica)
{
    if (!replica)
        return;
    forget_before(replica);
    if (replica->txn)
        mdb_txn_abort(replica->txn);
    scratch_free(replica->scratch);
    if (replica->env)
        mdb_env_close(replica->env);
    if (replica->lock_fd >= 0)
        close(replica->lock_fd);
    replica_forget_indexes(replica);
    buffer_release(&replica->full_key);
    arena_release(&replica->arena);
    free(replica);
}

bool replica_commit(struct replica *replica, struct err *err)
{
    forget_before(replica);
    int code = fault_fails(FAULT_REPLICA_COMMIT) ? errno : 0;
    if (code != 0)
        mdb_txn_abort(replica->txn); /* as a commit that fails does */
    else
        code = mdb_txn_commit(replica->txn);
    replica->txn = NULL;
    if (code != 0)
        return replica_fail(replica, code, "cannot commit", err);
    fault_step(FAULT_REPLICA_COMMITTED);
    replica->is_dirty = false;
    replica->committed_index_count = replica->index_count;
    return fit_size(replica, err) && begin(replica, err);
}

/* LMDB never overwrites what was committed last, so that it can be read beside the transaction that
 * changes it. How much that will be is not known, and the map cannot grow meanwhile. */
bool replica_keep_before(struct replica *replica, struct err *err)
{
    check(!replica->is_dirty && !replica->before);
    mdb_txn_abort(replica->txn);
    replica->txn = NULL;
    if (!resize(replica, replica->size_limit, err) || !begin(replica, err))
        return false;
    int code = mdb_txn_begin(replica->env, NULL, MDB_RDONLY, &replica->before);
    return code == 0 || replica_fail(replica, code, "cannot read", err);
}

void replica_forget_before(struct replica *replica)
{
    forget_before(replica);
}

void replica_roll_back(struct replica *replica)
{
    struct err err;
    forget_before(replica);
    if (!replica->txn)
        return; /* a commit has failed, and all there is to do is to close it */
    mdb_txn_abort(replica->txn);
    replica->txn = NULL;
    while (replica->index_count > replica->committed_index_count)
        free(replica->indexes[--replica->index_count]);
    replica->is_dirty = false;
    replica->is_broken = false;
    check(fit_size(replica, &err) && begin(replica, &err));
}

struct scratch *replica_scratch(const struct replica *replica)
{
    return replica->scratch;
}

bool replica_is_full(const struct replica *replica)
{
    return replica->is_full;
}

bool replica_has_failed(const struct replica *replica)
{
    return !replica->txn || replica->is_broken;
}

bool replica_has_no_space(const struct replica *replica)
{
    return replica->has_no_space || scratch_has_no_space(replica->scratch);
}

uint64_t replica_size(const struct replica *replica)
{
    return replica->size;
}

void replica_flush_ahead(struct replica *replica)
{
    sync_file_range(replica->data_fd, 0, 0, SYNC_FILE_RANGE_WRITE);
}

bool replica_is_dirty(const struct replica *replica)
{
    return replica->is_dirty;
}

bool replica_wipe(struct replica *replica, struct err *err)
{
    int code = 0;
    for (int tree = 0; code == 0 && tree < TREE_COUNT; tree++)
        code = mdb_drop(replica->txn, replica->trees[tree], 0);
    if (code != 0)
        return replica_fail(replica, code, "cannot wipe", err);
    replica_forget_indexes(replica);
    replica->committed_index_count = 0;
    return replica_write_format(replica, err);
}
