#include "catalog.h"

#include "catalog_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>

enum { FORMAT_VERSION = 2 };

static const char *const database_names[DATABASE_COUNT] = {
    [DATABASE_META] = "meta",         [DATABASE_PATHS] = "paths",
    [DATABASE_STREAMS] = "streams",   [DATABASE_CHUNKS] = "chunks",
    [DATABASE_EXPIRY] = "expiry",     [DATABASE_PRODUCERS] = "producers",
    [DATABASE_SETTINGS] = "settings",
};

_Noreturn static void die(const char *what, int code)
{
    struct err err;
    err_set(&err, "cannot read %s from the catalog: %s", what, mdb_strerror(code));
    err_hint(&err, "the disk is failing, or catalog.mdb was changed by another program");
    damage_stop(&err);
}

_Noreturn static void die_of_damage(const char *what, uint64_t id, uint64_t position)
{
    struct err err;
    err_set(&err, "catalog.mdb is damaged: %s of stream %" PRIu64 " at position %" PRIu64, what, id,
            position);
    err_hint(&err, "restore the data folder from a copy; or begin with an empty one, and an empty "
                   "--state for the bridge");
    damage_stop(&err);
}

bool catalog_fail(struct err *err, const char *what, int code)
{
    err_set(err, "cannot %s the catalog: %s", what, mdb_strerror(code));
    /* LMDB calls a write that was cut short by a full disk an I/O error. */
    if (code == ENOSPC || code == EIO)
        err_hint(err, "if the disk is full, make room on it; writing goes on by itself then");
    return false;
}

MDB_val catalog_value(const void *data, size_t len)
{
    return (MDB_val){.mv_size = len, .mv_data = (void *)(uintptr_t)data};
}

uint64_t catalog_name_number(const struct catalog *catalog, struct slice name)
{
    return hash64(&catalog->key, name);
}

struct hash128 catalog_path_hash(const struct catalog *catalog, struct slice path)
{
    return hash128(&catalog->key, path);
}

static MDB_txn *reading(struct catalog *catalog)
{
    if (catalog->is_reading)
        return catalog->reader;
    int code = catalog->reader ? mdb_txn_renew(catalog->reader)
                               : mdb_txn_begin(catalog->env, NULL, MDB_RDONLY, &catalog->reader);
    if (code)
        die("anything", code);
    catalog->is_reading = true;
    return catalog->reader;
}

void catalog_read_end(struct catalog *catalog)
{
    if (catalog->is_reading)
        mdb_txn_reset(catalog->reader);
    catalog->is_reading = false;
}

static bool get(struct catalog *catalog, enum database database, MDB_val key, struct slice *value)
{
    MDB_val found;
    int code = mdb_get(reading(catalog), catalog->databases[database], &key, &found);
    if (code == MDB_NOTFOUND)
        return false;
    if (code)
        die(database_names[database], code);
    *value = slice_of(found.mv_data, found.mv_size);
    return true;
}

static uint64_t get_number(struct catalog *catalog, const char *name)
{
    struct slice value;
    bool found = get(catalog, DATABASE_META, catalog_value(name, strlen(name)), &value);
    return found && value.len == 8 ? load_u64(value.data) : 0;
}

uint64_t catalog_sequence(struct catalog *catalog)
{
    return get_number(catalog, "sequence");
}

uint64_t catalog_last_id(struct catalog *catalog)
{
    return get_number(catalog, "last-id");
}

uint64_t catalog_stream_count(struct catalog *catalog)
{
    MDB_stat stat;
    int code = mdb_stat(reading(catalog), catalog->databases[DATABASE_STREAMS], &stat);
    if (code)
        die("streams", code);
    return stat.ms_entries;
}

bool catalog_find(struct catalog *catalog, struct slice path, uint64_t *id, struct slice *record)
{
    struct hash128 hash = catalog_path_hash(catalog, path);
    struct slice value;
    if (!get(catalog, DATABASE_PATHS, catalog_value(&hash, sizeof hash), &value))
        return false;
    check(value.len == 8);
    *id = load_u64(value.data);
    /* The key of the hash is secret, so two paths with one hash are chance, and that is nil. */
    check(catalog_stream(catalog, *id, record) && slice_eq(record_path(*record), path));
    return true;
}

bool catalog_stream(struct catalog *catalog, uint64_t id, struct slice *record)
{
    struct slice value;
    if (!get(catalog, DATABASE_STREAMS, catalog_value(&id, sizeof id), &value))
        return false;
    MDB_val checked = catalog_value(value.data, value.len);
    if (!catalog_record_of(id, &checked, record))
        die_of_damage("the record", id, 0);
    return true;
}

void catalog_pair_key(uint64_t high, uint64_t low, char out[PAIR_KEY_SIZE])
{
    store_u64(out, __builtin_bswap64(high));
    store_u64(out + 8, __builtin_bswap64(low));
}

uint64_t catalog_pair_high(const MDB_val *key)
{
    return __builtin_bswap64(load_u64(key->mv_data));
}

uint64_t catalog_pair_low(const MDB_val *key)
{
    return __builtin_bswap64(load_u64((const char *)key->mv_data + 8));
}

bool catalog_record_of(uint64_t id, const MDB_val *value, struct slice *record)
{
    struct slice key = slice_of((const char *)&id, sizeof id);
    return checked_read(0, key, slice_of(value->mv_data, value->mv_size), record) && record->len;
}

uint32_t catalog_chunk_crc(const MDB_val *key, const MDB_val *value)
{
    const char *data = value->mv_data;
    uint32_t crc = crc32c(crc32c(0, key->mv_data, key->mv_size), data, 4);
    return crc32c(crc, data + CHUNK_HEADER_SIZE, value->mv_size - CHUNK_HEADER_SIZE);
}

bool catalog_chunk_of(const MDB_val *key, const MDB_val *value, struct chunk *chunk)
{
    const char *data = value->mv_data;
    if (value->mv_size < CHUNK_HEADER_SIZE || load_u32(data + 4) != catalog_chunk_crc(key, value))
        return false;
    uint32_t count = load_u32(data);
    *chunk = (struct chunk){.start = catalog_pair_low(key),
                            .count = count,
                            .lens = data + CHUNK_HEADER_SIZE,
                            .bytes = data + CHUNK_HEADER_SIZE + (size_t)count * CHUNK_LEN_SIZE};
    return true;
}

static MDB_cursor *open_cursor(struct catalog *catalog, enum database database)
{
    MDB_cursor *cursor;
    int code = mdb_cursor_open(reading(catalog), catalog->databases[database], &cursor);
    if (code)
        die(database_names[database], code);
    return cursor;
}

/* The map is not read ahead, as most of what is looked for in it is small; so a chunk that is not
 * in the kernel's memory is asked for as a whole, rather than page by page as it is touched. */
static void read_ahead(const MDB_val *value)
{
    enum { PAGE = 4096 };
    if (value->mv_size <= PAGE)
        return;
    uintptr_t start = (uintptr_t)value->mv_data & ~(uintptr_t)(PAGE - 1);
    (void)madvise((void *)start, (uintptr_t)value->mv_data + value->mv_size - start, MADV_WILLNEED);
}

bool catalog_chunk(struct catalog *catalog, uint64_t id, uint64_t position, struct chunk *chunk)
{
    char wanted[PAIR_KEY_SIZE];
    catalog_pair_key(id, position, wanted);
    MDB_cursor *cursor = open_cursor(catalog, DATABASE_CHUNKS);
    MDB_val key = catalog_value(wanted, sizeof wanted), value;
    int code = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    bool is_exact = code == 0 && memcmp(key.mv_data, wanted, sizeof wanted) == 0;
    if (!is_exact && (code == 0 || code == MDB_NOTFOUND))
        code = mdb_cursor_get(cursor, &key, &value, code ? MDB_LAST : MDB_PREV);
    mdb_cursor_close(cursor);
    if (code && code != MDB_NOTFOUND)
        die("chunks", code);
    if (code || catalog_pair_high(&key) != id)
        return false;
    read_ahead(&value);
    if (!catalog_chunk_of(&key, &value, chunk))
        die_of_damage("messages", id, catalog_pair_low(&key));
    return true;
}

void catalog_expired(struct catalog *catalog, int64_t now_ms, size_t limit,
                     void (*visit)(void *context, uint64_t id), void *context)
{
    MDB_cursor *cursor = open_cursor(catalog, DATABASE_EXPIRY);
    MDB_val key, value;
    int code = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
    for (; code == 0 && limit && catalog_pair_high(&key) <= (uint64_t)now_ms; limit--) {
        visit(context, catalog_pair_low(&key));
        code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    if (code && code != MDB_NOTFOUND)
        die("expiry", code);
}

void catalog_producers(struct catalog *catalog,
                       void (*visit)(void *context, struct slice name,
                                     const struct store_progress *progress),
                       void *context)
{
    MDB_cursor *cursor = open_cursor(catalog, DATABASE_PRODUCERS);
    MDB_val key, value;
    int code;
    while ((code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        struct store_progress progress;
        check(value.mv_size == sizeof progress);
        memcpy(&progress, value.mv_data, sizeof progress);
        visit(context, slice_of(key.mv_data, key.mv_size), &progress);
    }
    mdb_cursor_close(cursor);
    if (code != MDB_NOTFOUND)
        die("producers", code);
}

static int try_environment(struct catalog *catalog, const char *path, size_t map_bytes)
{
    int code = mdb_env_create(&catalog->env);
    if (code == 0)
        code = mdb_env_set_maxdbs(catalog->env, DATABASE_COUNT);
    if (code == 0)
        code = mdb_env_set_mapsize(catalog->env, map_bytes);
    if (code == 0)
        code = mdb_env_open(catalog->env, path, MDB_NOSUBDIR | MDB_NOTLS | MDB_NORDAHEAD, 0600);
    if (code && catalog->env) {
        mdb_env_close(catalog->env);
        catalog->env = NULL;
    }
    return code;
}

void catalog_settings(struct catalog *catalog,
                      void (*visit)(void *context, struct slice key, struct slice value),
                      void *context)
{
    MDB_cursor *cursor = open_cursor(catalog, DATABASE_SETTINGS);
    MDB_val key, value;
    int code;
    while ((code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0)
        visit(context, slice_of(key.mv_data, key.mv_size), slice_of(value.mv_data, value.mv_size));
    mdb_cursor_close(cursor);
    if (code != MDB_NOTFOUND)
        die("settings", code);
}

uint64_t catalog_each_stream(struct catalog *catalog, uint64_t after, uint64_t limit,
                             void (*visit)(void *context, uint64_t id, struct slice record),
                             void *context)
{
    MDB_cursor *cursor = open_cursor(catalog, DATABASE_STREAMS);
    uint64_t id = after + 1;
    MDB_val key = catalog_value(&id, sizeof id), value;
    int code = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    for (uint64_t seen = 0; code == 0 && seen < limit; seen++) {
        struct slice record;
        id = load_u64(key.mv_data);
        if (!catalog_record_of(id, &value, &record))
            die_of_damage("the record", id, 0);
        visit(context, id, record);
        code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    if (code && code != MDB_NOTFOUND)
        die("streams", code);
    return code ? UINT64_MAX : id;
}

/* The map is address space, not disk: the file grows with what is in it. Where a terabyte of it is
 * not to be had, less has to do. */
static int open_environment(struct catalog *catalog, const char *path)
{
    size_t map_bytes = (size_t)1 << 40;
    int code = try_environment(catalog, path, map_bytes);
    while (code == ENOMEM && map_bytes > (size_t)1 << 34) {
        map_bytes /= 4;
        code = try_environment(catalog, path, map_bytes);
    }
    return code;
}

static int open_databases(struct catalog *catalog, MDB_txn *txn)
{
    int code = 0;
    for (int i = 0; i < DATABASE_COUNT && code == 0; i++) {
        unsigned flags = MDB_CREATE | (i == DATABASE_STREAMS ? (unsigned)MDB_INTEGERKEY : 0);
        code = mdb_dbi_open(txn, database_names[i], flags, &catalog->databases[i]);
    }
    return code;
}

/* Reads the format and the hash key, or makes them. */
static bool prepare_meta(struct catalog *catalog, MDB_txn *txn, struct err *err)
{
    MDB_dbi meta = catalog->databases[DATABASE_META];
    MDB_val format_key = catalog_value("format", 6), hash_key = catalog_value("hash-key", 8), value;
    uint64_t format = FORMAT_VERSION;
    int code = mdb_get(txn, meta, &format_key, &value);
    if (code == MDB_NOTFOUND) {
        check(getrandom(&catalog->key, sizeof catalog->key, 0) == (ssize_t)sizeof catalog->key);
        value = catalog_value(&format, sizeof format);
        code = mdb_put(txn, meta, &format_key, &value, 0);
        value = catalog_value(&catalog->key, sizeof catalog->key);
        if (code == 0)
            code = mdb_put(txn, meta, &hash_key, &value, 0);
        return code == 0 || catalog_fail(err, "prepare", code);
    }
    if (code)
        return catalog_fail(err, "read", code);
    if (value.mv_size != sizeof format || load_u64(value.mv_data) != FORMAT_VERSION) {
        err_set(err, "the data folder has a format that this version does not know");
        return err_hint(err, "start the version of weir that wrote it, or a newer one");
    }
    code = mdb_get(txn, meta, &hash_key, &value);
    if (code || value.mv_size != sizeof catalog->key)
        return catalog_fail(err, "read", code);
    memcpy(&catalog->key, value.mv_data, sizeof catalog->key);
    return true;
}

static bool prepare(struct catalog *catalog, struct err *err)
{
    MDB_txn *txn;
    int code = mdb_txn_begin(catalog->env, NULL, 0, &txn);
    if (code)
        return catalog_fail(err, "open", code);
    code = open_databases(catalog, txn);
    bool ok = code == 0 ? prepare_meta(catalog, txn, err) : catalog_fail(err, "open", code);
    if (!ok) {
        mdb_txn_abort(txn);
        return false;
    }
    code = mdb_txn_commit(txn);
    return code == 0 || catalog_fail(err, "prepare", code);
}

struct catalog *catalog_open(const char *folder, struct err *err)
{
    struct catalog *catalog = calloc(1, sizeof *catalog);
    char *path = NULL;
    check(catalog != NULL && asprintf(&path, "%s/catalog.mdb", folder) > 0);
    int code = open_environment(catalog, path);
    free(path);
    bool ok = code == 0 ? prepare(catalog, err) : catalog_fail(err, "open", code);
    if (ok)
        return catalog;
    catalog_close(catalog);
    return NULL;
}

void catalog_close(struct catalog *catalog)
{
    if (!catalog)
        return;
    if (catalog->reader)
        mdb_txn_abort(catalog->reader);
    if (catalog->env)
        mdb_env_close(catalog->env);
    free(catalog);
}
