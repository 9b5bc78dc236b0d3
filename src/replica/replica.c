#include "weir/replica/replica.h"

#include "room.h"

#include "weir/base/check.h"
#include "weir/base/fault.h"
#include "weir/base/file.h"
#include "weir/replica/elements.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* The file is as long as its map, most of it a hole. A map much larger than what is in it would be
 * a trap for those who copy the folder, so it starts small and doubles. */
static const uint64_t first_size = 256u << 20;

enum {
    ROW_PREFIX_SIZE = 8,
    INDEX_PREFIX_SIZE = 4,
    CURSOR_POOL_MAX = 64,
    INDEX_RECORD_SIZE = 4 + 8 + 2 + 2 + 2 * INDEX_COLUMNS_MAX,
};

static const char format_version[] = "weir replica 5";

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

static bool fail(struct replica *replica, int code, const char *what, struct err *err)
{
    replica->is_full |= code == MDB_MAP_FULL && replica->size < replica->size_limit;
    replica->has_no_space |= code == ENOSPC;
    err_set(err, "replica %s: %s: %s", replica->directory, what, mdb_strerror(code));
    if (code == MDB_MAP_FULL)
        return err_hint(err, "the replica has reached --replica-limit; restart with a larger one");
    if (code == ENOSPC)
        return err_hint(err, "make room on the disk of %s", replica->directory);
    if (code == MDB_INVALID || code == MDB_CORRUPTED || code == MDB_PAGE_NOTFOUND ||
        code == MDB_VERSION_MISMATCH)
        return err_hint(err, "replica.mdb is damaged, or not weir's: start over with an empty --state "
                             "folder, another --slot and new streams");
    return false;
}

static MDB_val val_of(struct slice bytes)
{
    return (MDB_val){bytes.len, (void *)(uintptr_t)bytes.data};
}

static struct slice slice_of_val(MDB_val val)
{
    return slice_of(val.mv_data, val.mv_size);
}

static int make_room(struct replica *replica, size_t trees, size_t value_len)
{
    const MDB_dbi tables[] = {replica->meta, replica->rows, replica->index};
    return map_room_take(&replica->room, replica->txn, tables, 3, trees, value_len);
}

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
    int code = make_room(replica, 1, bytes.len);
    if (code == 0)
        code = mdb_put(replica->txn, replica->meta, &key, &value, 0);
    replica->is_dirty = true;
    return code == 0 || fail(replica, code, "cannot write", err);
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
    replica->cursors[false][false].count = replica->cursors[false][true].count = 0;
    map_room_begin(&replica->room, replica->env);
    return code == 0 || fail(replica, code, "cannot begin", err);
}

static bool open_databases(struct replica *replica, struct err *err)
{
    int code = mdb_dbi_open(replica->txn, "meta", MDB_CREATE, &replica->meta);
    if (code == 0)
        code = mdb_dbi_open(replica->txn, "rows", MDB_CREATE, &replica->rows);
    if (code == 0)
        code = mdb_dbi_open(replica->txn, "index", MDB_CREATE, &replica->index);
    return code == 0 || fail(replica, code, "cannot open", err);
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
        /* LMDB has unmapped the file and not forgotten where it was: closing would unmap again what is
         * there by now, and that is somebody else's. So it is left as it is. */
        static MDB_env *left_alone __attribute__((used)); /* reachable: no leak to a sanitizer */
        left_alone = replica->env;
        replica->env = NULL;
        return fail(replica, code, "cannot change its size", err);
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
    mdb_env_set_maxdbs(replica->env, 4);
    /* Our own lock keeps other processes out, and one thread does everything. */
    unsigned flags = MDB_NOSUBDIR | MDB_NOLOCK | MDB_WRITEMAP | MDB_NORDAHEAD;
    code = mdb_env_open(replica->env, path, flags, 0600);
    if (code != 0)
        return fail(replica, code, "cannot open", err);
    mdb_env_get_fd(replica->env, &replica->data_fd);
    /* What a process that was killed has committed may be in the page cache only, and its position is
     * about to be confirmed. */
    code = mdb_env_sync(replica->env, 1);
    if (code != 0)
        return fail(replica, code, "cannot sync", err);
    if (!sync_names(replica, err))
        return false;
    return fit_size(replica, err) && begin(replica, err) && open_databases(replica, err);
}

static bool check_format(struct replica *replica, struct err *err)
{
    struct slice version = replica_meta(replica, "format");
    if (!version.data) {
        check(getrandom(&replica->hash, sizeof replica->hash, 0) ==
              (ssize_t)sizeof replica->hash);
        return replica_set_meta(replica, "format", slice_from_str(format_version), err) &&
               replica_set_meta(replica, "hash",
                                slice_of((const char *)&replica->hash, sizeof replica->hash), err);
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

/* A read transaction leaves its cursors to whoever opened them. */
static void forget_before(struct replica *replica)
{
    for (int is_index = 0; is_index < 2; is_index++) {
        struct cursor_pool *pool = &replica->cursors[true][is_index];
        while (pool->count)
            mdb_cursor_close(pool->idle[--pool->count]);
    }
    if (replica->before)
        mdb_txn_abort(replica->before);
    replica->before = NULL;
}

static void add_index(struct replica *replica, const struct replica_index *index)
{
    struct replica_index *copy = malloc(sizeof *copy);
    replica->indexes = realloc(replica->indexes,
                               (replica->index_count + 1) * sizeof *replica->indexes);
    check(copy && replica->indexes);
    *copy = *index;
    replica->indexes[replica->index_count++] = copy;
}

static void forget_indexes(struct replica *replica)
{
    for (size_t i = 0; i < replica->index_count; i++)
        free(replica->indexes[i]);
    free(replica->indexes);
    replica->indexes = NULL;
    replica->index_count = 0;
}

/* The definitions are one meta value, a fixed-size record each. */
static bool load_indexes(struct replica *replica, struct err *err)
{
    struct slice all = replica_meta(replica, "indexes");
    if (all.len % INDEX_RECORD_SIZE != 0)
        return err_set(err, "replica %s: the index definitions are damaged", replica->directory);
    for (size_t at = 0; at < all.len; at += INDEX_RECORD_SIZE) {
        struct replica_index index = {.id = load_u32(all.data + at),
                                      .storage_id = load_u64(all.data + at + 4),
                                      .kind = (enum index_kind)load_u16(all.data + at + 12),
                                      .column_count = load_u16(all.data + at + 14)};
        if (index.kind > INDEX_OF_ELEMENTS || index.column_count > INDEX_COLUMNS_MAX)
            return err_set(err, "replica %s: the index definitions are damaged",
                           replica->directory);
        memcpy(index.columns, all.data + at + 16, sizeof index.columns);
        add_index(replica, &index);
    }
    replica->committed_index_count = replica->index_count;
    return true;
}

static bool save_indexes(struct replica *replica, struct err *err)
{
    struct buffer all = BUFFER_INIT;
    for (size_t i = 0; i < replica->index_count; i++) {
        const struct replica_index *index = replica->indexes[i];
        buffer_add_u32(&all, index->id);
        buffer_add_u64(&all, index->storage_id);
        buffer_add_u16(&all, (uint16_t)index->kind);
        buffer_add_u16(&all, index->column_count);
        buffer_add(&all, index->columns, sizeof index->columns);
    }
    bool ok = replica_set_meta(replica, "indexes", buffer_slice(&all), err);
    buffer_release(&all);
    return ok;
}

struct replica *replica_open(const struct replica_settings *settings, struct err *err)
{
    struct replica *replica = calloc(1, sizeof *replica);
    check(replica != NULL);
    replica->lock_fd = -1;
    snprintf(replica->directory, sizeof replica->directory, "%s", settings->directory);
    replica->scratch = scratch_new(settings->directory, settings->size_limit);
    if (lock_directory(replica, err) && open_environment(replica, settings, err) &&
        check_format(replica, err) && load_indexes(replica, err))
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
    forget_indexes(replica);
    buffer_release(&replica->full_key);
    arena_release(&replica->arena);
    free(replica);
}

bool replica_commit(struct replica *replica, struct err *err)
{
    forget_before(replica);
    if (fault_fails(FAULT_REPLICA_COMMIT))
        return fail(replica, errno, "cannot commit", err);
    int code = mdb_txn_commit(replica->txn);
    replica->txn = NULL;
    if (code != 0)
        return fail(replica, code, "cannot commit", err);
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
    return code == 0 || fail(replica, code, "cannot read", err);
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
    return !replica->txn;
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
    int code = mdb_drop(replica->txn, replica->rows, 0);
    if (code == 0)
        code = mdb_drop(replica->txn, replica->index, 0);
    if (code == 0)
        code = mdb_drop(replica->txn, replica->meta, 0);
    if (code != 0)
        return fail(replica, code, "cannot wipe", err);
    forget_indexes(replica);
    replica->committed_index_count = 0;
    return replica_set_meta(replica, "format", slice_from_str(format_version), err) &&
           replica_set_meta(replica, "hash",
                            slice_of((const char *)&replica->hash, sizeof replica->hash), err);
}

const struct hash_key *replica_hash_key(const struct replica *replica)
{
    return &replica->hash;
}

static struct slice row_key_of(struct replica *replica, const struct relation *relation,
                               struct slice key)
{
    buffer_clear(&replica->full_key);
    buffer_add_u64(&replica->full_key, __builtin_bswap64(relation->storage_id));
    buffer_add_slice(&replica->full_key, key);
    return buffer_slice(&replica->full_key);
}

/* LMDB has no checksums: a damaged page must not become a read beyond it. */
static struct row row_of_val(const struct relation *relation, MDB_val value)
{
    check(row_is_valid(relation, slice_of_val(value)));
    return (struct row){slice_of_val(value)};
}

static struct row get(struct replica *replica, MDB_txn *txn, const struct relation *relation,
                      struct slice key)
{
    MDB_val full_key = val_of(row_key_of(replica, relation, key)), value;
    int code = mdb_get(txn, replica->rows, &full_key, &value);
    check(code == 0 || code == MDB_NOTFOUND);
    return code ? ROW_NONE : row_of_val(relation, value);
}

struct row replica_get(struct replica *replica, const struct relation *relation, struct slice key)
{
    return get(replica, replica->txn, relation, key);
}

struct row replica_get_before(struct replica *replica, const struct relation *relation,
                              struct slice key)
{
    return get(replica, replica->before, relation, key);
}

static void index_key_of(struct replica *replica, const struct replica_index *index,
                         const struct relation *relation, struct slice key, struct row row,
                         struct buffer *out)
{
    buffer_clear(out);
    buffer_add_u32(out, __builtin_bswap32(index->id));
    for (size_t i = 0; i < index->column_count; i++) {
        uint16_t column = index->columns[i];
        key_add_value(out, &replica->hash, relation->columns[column].type,
                      row_column(relation, row, column), &replica->arena);
    }
    buffer_add_slice(out, key);
    arena_clear(&replica->arena);
}

static bool index_columns_differ(const struct replica_index *index,
                                 const struct relation *relation, struct row a, struct row b)
{
    for (size_t i = 0; i < index->column_count; i++) {
        if (!slice_eq(row_column(relation, a, index->columns[i]),
                      row_column(relation, b, index->columns[i])))
            return true;
    }
    return false;
}

static int index_delete(struct replica *replica, const struct replica_index *index,
                        const struct relation *relation, struct slice key, struct row row)
{
    index_key_of(replica, index, relation, key, row, &replica->full_key);
    MDB_val entry = val_of(buffer_slice(&replica->full_key));
    int code = mdb_del(replica->txn, replica->index, &entry, NULL);
    check(code != MDB_NOTFOUND); /* every stored row is in every index of its relation */
    return code;
}

static int index_insert(struct replica *replica, const struct replica_index *index,
                        const struct relation *relation, struct slice key, struct row row)
{
    index_key_of(replica, index, relation, key, row, &replica->full_key);
    MDB_val entry = val_of(buffer_slice(&replica->full_key)), nothing = {0, NULL};
    return mdb_put(replica->txn, replica->index, &entry, &nothing, 0);
}

static int put_element(struct replica *replica, const struct replica_index *index,
                       struct slice key, struct slice element, bool is_new)
{
    struct buffer *full_key = &replica->full_key;
    buffer_clear(full_key);
    buffer_add_u32(full_key, __builtin_bswap32(index->id));
    buffer_add_slice(full_key, element);
    buffer_add_slice(full_key, key);
    MDB_val entry = val_of(buffer_slice(full_key)), nothing = {0, NULL};
    if (is_new)
        return mdb_put(replica->txn, replica->index, &entry, &nothing, 0);
    int code = mdb_del(replica->txn, replica->index, &entry, NULL);
    check(code != MDB_NOTFOUND);
    return code;
}

static struct element_set elements_of(struct replica *replica, const struct replica_index *index,
                                      const struct relation *relation, struct row row)
{
    uint16_t column = index->columns[0];
    if (!row_exists(row))
        return (struct element_set){NULL, 0};
    return element_set_of(&replica->hash, relation->columns[column].type,
                          row_column(relation, row, column), &replica->arena);
}

/* An array may be long, so only what one has and the other has not is written. */
static int put_elements(struct replica *replica, const struct replica_index *index,
                        const struct relation *relation, struct slice key, struct row old_row,
                        struct row new_row)
{
    struct element_set old = elements_of(replica, index, relation, old_row);
    struct element_set new = elements_of(replica, index, relation, new_row);
    int code = 0;
    for (size_t i = 0, j = 0; code == 0 && (i < old.count || j < new.count);) {
        int order = i == old.count ? 1 : j == new.count ? -1 : slice_cmp(old.items[i], new.items[j]);
        if (order < 0)
            code = put_element(replica, index, key, old.items[i], false);
        else if (order > 0)
            code = put_element(replica, index, key, new.items[j], true);
        i += order <= 0;
        j += order >= 0;
    }
    arena_clear(&replica->arena);
    return code;
}

static int put_index(struct replica *replica, const struct replica_index *index,
                     const struct relation *relation, struct slice key, struct row old_row,
                     struct row new_row)
{
    if (index->kind == INDEX_OF_ELEMENTS)
        return put_elements(replica, index, relation, key, old_row, new_row);
    int code = 0;
    if (row_exists(old_row))
        code = index_delete(replica, index, relation, key, old_row);
    if (code == 0 && row_exists(new_row))
        code = index_insert(replica, index, relation, key, new_row);
    return code;
}

static int put_indexes(struct replica *replica, const struct relation *relation, struct slice key,
                       struct row old_row, struct row new_row)
{
    for (size_t i = 0; i < replica->index_count; i++) {
        const struct replica_index *index = replica->indexes[i];
        if (index->storage_id != relation->storage_id)
            continue;
        bool both = row_exists(old_row) && row_exists(new_row);
        if (both && !index_columns_differ(index, relation, old_row, new_row))
            continue;
        int code = put_index(replica, index, relation, key, old_row, new_row);
        if (code)
            return code;
    }
    return 0;
}

bool replica_put(struct replica *replica, const struct relation *relation, struct slice key,
                 struct row old_row, struct row new_row, struct err *err)
{
    replica->is_dirty = true;
    /* Indexes first: the old row's bytes may lie in the page that the put below rewrites, and the
     * index keys are copied out before anything is written to their own tree. */
    int code = make_room(replica, 1 + 2 * replica->index_count, new_row.record.len);
    if (code == 0)
        code = put_indexes(replica, relation, key, old_row, new_row);
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
    return code == 0 || fail(replica, code, "cannot write", err);
}

static bool fill_index(struct replica *replica, const struct relation *relation,
                       const struct replica_index *index, struct err *err)
{
    struct replica_range range;
    struct slice key;
    struct row row;
    int code = 0;
    replica_range_begin(&range, replica, relation, NULL, SLICE_NONE);
    while (code == 0 && replica_range_next(&range, &key, &row))
        code = put_index(replica, index, relation, key, ROW_NONE, row);
    replica_range_end(&range);
    return code == 0 || fail(replica, code, "cannot build an index", err);
}

const struct replica_index *replica_ensure_index(struct replica *replica,
                                                 const struct relation *relation,
                                                 enum index_kind kind, const uint16_t *columns,
                                                 size_t column_count, struct err *err)
{
    check(column_count > 0 && column_count <= INDEX_COLUMNS_MAX);
    uint32_t next_id = 1;
    for (size_t i = 0; i < replica->index_count; i++) {
        const struct replica_index *index = replica->indexes[i];
        if (index->id >= next_id)
            next_id = index->id + 1;
        /* An index that starts with the columns serves as well. */
        if (index->storage_id == relation->storage_id && index->kind == kind &&
            index->column_count >= column_count &&
            memcmp(index->columns, columns, column_count * sizeof *columns) == 0)
            return index;
    }
    struct replica_index index = {.id = next_id,
                                  .storage_id = relation->storage_id,
                                  .kind = kind,
                                  .column_count = (uint16_t)column_count};
    memcpy(index.columns, columns, column_count * sizeof *columns);
    add_index(replica, &index);
    const struct replica_index *added = replica->indexes[replica->index_count - 1];
    return fill_index(replica, relation, added, err) && save_indexes(replica, err) ? added : NULL;
}

bool replica_forget_indexes_except(struct replica *replica, const struct relation_set *relations,
                                   struct err *err)
{
    size_t kept = 0;
    for (size_t i = 0; i < replica->index_count; i++) {
        struct replica_index *index = replica->indexes[i];
        bool is_used = false;
        for (size_t j = 0; j < relations->count; j++)
            is_used = is_used || relations->relations[j]->storage_id == index->storage_id;
        if (is_used)
            replica->indexes[kept++] = index;
        else
            free(index);
    }
    if (kept == replica->index_count)
        return true;
    replica->index_count = kept;
    if (replica->committed_index_count > kept)
        replica->committed_index_count = kept;
    return save_indexes(replica, err);
}

static MDB_cursor *take_cursor(struct replica *replica, bool of_before, bool is_index)
{
    struct cursor_pool *pool = &replica->cursors[of_before][is_index];
    if (pool->count)
        return pool->idle[--pool->count];
    MDB_cursor *cursor;
    int code = mdb_cursor_open(of_before ? replica->before : replica->txn,
                               is_index ? replica->index : replica->rows, &cursor);
    check(code == 0);
    return cursor;
}

static void begin_range(struct replica_range *range, struct replica *replica, bool of_before,
                        const struct relation *relation, const struct replica_index *index,
                        struct slice prefix)
{
    range->replica = replica;
    range->relation = relation;
    range->index = index;
    range->of_before = of_before;
    range->cursor = take_cursor(replica, of_before, index != NULL);
    range->is_started = false;
    uint64_t storage_id = __builtin_bswap64(relation->storage_id);
    uint32_t index_id = index ? __builtin_bswap32(index->id) : 0;
    range->prefix_len = index ? INDEX_PREFIX_SIZE : ROW_PREFIX_SIZE;
    memcpy(range->prefix, index ? (const void *)&index_id : (const void *)&storage_id,
           range->prefix_len);
    check(range->prefix_len + prefix.len <= sizeof range->prefix);
    if (prefix.len)
        memcpy(range->prefix + range->prefix_len, prefix.data, prefix.len);
    range->prefix_len += prefix.len;
}

void replica_range_begin(struct replica_range *range, struct replica *replica,
                         const struct relation *relation, const struct replica_index *index,
                         struct slice prefix)
{
    begin_range(range, replica, false, relation, index, prefix);
}

void replica_range_begin_before(struct replica_range *range, struct replica *replica,
                                const struct relation *relation,
                                const struct replica_index *index, struct slice prefix)
{
    begin_range(range, replica, true, relation, index, prefix);
}

/* An index entry ends in the row key, behind its column_count components. */
static struct slice row_key_in_entry(const struct replica_index *index, struct slice entry)
{
    const char *at = entry.data + INDEX_PREFIX_SIZE, *end = entry.data + entry.len;
    for (size_t i = 0; i < index->column_count; i++) {
        for (;; at++) {
            at = memchr(at, '\0', (size_t)(end - at));
            check(at && at + 1 < end);
            char mark = at[1];
            at++;
            if (mark == (char)0xff)
                continue;
            at += mark == 2 ? 17 : 1;
            break;
        }
    }
    check(at <= end);
    return slice_of(at, (size_t)(end - at));
}

bool replica_range_next(struct replica_range *range, struct slice *key, struct row *row)
{
    MDB_val entry = {range->prefix_len, range->prefix}, value;
    int code = mdb_cursor_get(range->cursor, &entry, &value,
                              range->is_started ? MDB_NEXT : MDB_SET_RANGE);
    range->is_started = true;
    check(code == 0 || code == MDB_NOTFOUND);
    if (code != 0 || entry.mv_size < range->prefix_len ||
        memcmp(entry.mv_data, range->prefix, range->prefix_len) != 0)
        return false;
    if (!range->index) {
        *key = slice_of((const char *)entry.mv_data + ROW_PREFIX_SIZE,
                        entry.mv_size - ROW_PREFIX_SIZE);
        *row = row_of_val(range->relation, value);
        return true;
    }
    *key = row_key_in_entry(range->index, slice_of_val(entry));
    struct replica *replica = range->replica;
    *row = get(replica, range->of_before ? replica->before : replica->txn, range->relation, *key);
    check(row_exists(*row));
    return true;
}

void replica_range_end(struct replica_range *range)
{
    struct cursor_pool *pool = &range->replica->cursors[range->of_before][range->index != NULL];
    if (pool->count < CURSOR_POOL_MAX)
        pool->idle[pool->count++] = range->cursor;
    else
        mdb_cursor_close(range->cursor);
    range->cursor = NULL;
}
