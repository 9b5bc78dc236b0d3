/* Writing a checkpoint into the catalog: one LMDB transaction, by the checkpoint thread. */
#include "catalog_internal.h"

#include "weir/base/fault.h"

#include <stdlib.h>

enum {
    CHUNK_TARGET = 64 * 1024,    /* a chunk is closed when it has so many bytes */
    CHUNK_MERGE_MAX = 16 * 1024, /* a smaller last chunk is written anew, with what follows */
};

struct writer {
    struct catalog *catalog;
    const struct checkpoint_job *job;
    MDB_txn *txn;
    /* What lies beside what was found last, they find without a search. */
    MDB_cursor *streams, *chunks;
    struct buffer lens, bytes; /* of the chunk being put together */
    int code;                  /* of the first call that failed; the rest does nothing */
};

static MDB_dbi database(const struct writer *writer, enum database which)
{
    return writer->catalog->databases[which];
}

static void put(struct writer *writer, enum database which, MDB_val key, MDB_val value)
{
    if (writer->code == 0)
        writer->code = mdb_put(writer->txn, database(writer, which), &key, &value, 0);
}

/* Deleting what is not there is fine. */
static void del(struct writer *writer, enum database which, MDB_val key)
{
    if (writer->code)
        return;
    int code = mdb_del(writer->txn, database(writer, which), &key, NULL);
    writer->code = code == MDB_NOTFOUND ? 0 : code;
}

/* The record before this checkpoint, where the cursor then is; empty when there is none. */
static struct slice old_record(struct writer *writer, uint64_t id)
{
    MDB_val key = catalog_value(&id, sizeof id), value;
    if (writer->code)
        return SLICE_NONE;
    int code = mdb_cursor_get(writer->streams, &key, &value, MDB_SET_KEY);
    struct slice record;
    if (code == 0 && catalog_record_of(id, &value, &record))
        return record;
    if (code != MDB_NOTFOUND)
        writer->code = code ? code : MDB_CORRUPTED;
    return SLICE_NONE;
}

static void set_expiry(struct writer *writer, uint64_t id, int64_t old_ms, int64_t new_ms)
{
    char key[PAIR_KEY_SIZE];
    if (old_ms == new_ms)
        return;
    if (old_ms != INT64_MAX) {
        catalog_pair_key((uint64_t)old_ms, id, key);
        del(writer, DATABASE_EXPIRY, catalog_value(key, sizeof key));
    }
    if (new_ms != INT64_MAX) {
        catalog_pair_key((uint64_t)new_ms, id, key);
        put(writer, DATABASE_EXPIRY, catalog_value(key, sizeof key), catalog_value("", 0));
    }
}

static void delete_chunks(struct writer *writer, uint64_t id)
{
    char first[PAIR_KEY_SIZE];
    catalog_pair_key(id, 0, first);
    MDB_val key = catalog_value(first, sizeof first), value;
    int code =
        writer->code ? writer->code : mdb_cursor_get(writer->chunks, &key, &value, MDB_SET_RANGE);
    while (code == 0 && catalog_pair_high(&key) == id) {
        code = mdb_cursor_del(writer->chunks, 0);
        /* After a deletion, "next" is what moved into its place. */
        if (code == 0)
            code = mdb_cursor_get(writer->chunks, &key, &value, MDB_NEXT);
    }
    if (code != MDB_NOTFOUND)
        writer->code = code;
}

static void delete_path(struct writer *writer, struct slice path, uint64_t id)
{
    struct hash128 hash = catalog_path_hash(writer->catalog, path);
    MDB_val key = catalog_value(&hash, sizeof hash), value;
    if (writer->code)
        return;
    int code = mdb_get(writer->txn, database(writer, DATABASE_PATHS), &key, &value);
    if (code == 0 && load_u64(value.mv_data) == id)
        del(writer, DATABASE_PATHS, key);
    else if (code && code != MDB_NOTFOUND)
        writer->code = code;
}

static void delete_stream(struct writer *writer, uint64_t id)
{
    struct slice record = old_record(writer, id);
    if (!record.len)
        return;
    int64_t deadline = record_deadline(record);
    delete_path(writer, record_path(record), id);
    set_expiry(writer, id, deadline, INT64_MAX);
    delete_chunks(writer, id);
    if (writer->code == 0)
        writer->code = mdb_cursor_del(writer->streams, 0);
}

static void put_chunk(struct writer *writer, uint64_t id, uint64_t start)
{
    char name[PAIR_KEY_SIZE];
    size_t lens_len = writer->lens.len;
    catalog_pair_key(id, start, name);
    MDB_val key = catalog_value(name, sizeof name);
    MDB_val value = {.mv_size = CHUNK_HEADER_SIZE + lens_len + writer->bytes.len};
    if (writer->code == 0)
        writer->code = mdb_cursor_put(writer->chunks, &key, &value, MDB_RESERVE);
    if (writer->code)
        return;
    char *to = value.mv_data;
    store_u32(to, (uint32_t)(lens_len / CHUNK_LEN_SIZE));
    memcpy(to + CHUNK_HEADER_SIZE, writer->lens.data, lens_len);
    memcpy(to + CHUNK_HEADER_SIZE + lens_len, writer->bytes.data, writer->bytes.len);
    store_u32(to + 4, catalog_chunk_crc(&key, &value));
    buffer_clear(&writer->lens);
    buffer_clear(&writer->bytes);
}

/* Begins with the last chunk's content when that is small, so that a stream that gets a little at a
 * time does not become a heap of tiny chunks. Returns where the new chunk starts. */
static uint64_t begin_chunk(struct writer *writer, uint64_t id, uint64_t start)
{
    char behind[PAIR_KEY_SIZE];
    catalog_pair_key(id, UINT64_MAX, behind);
    MDB_val key = catalog_value(behind, sizeof behind), value;
    int code = mdb_cursor_get(writer->chunks, &key, &value, MDB_SET_RANGE);
    if (code == 0 || code == MDB_NOTFOUND)
        code = mdb_cursor_get(writer->chunks, &key, &value, code ? MDB_LAST : MDB_PREV);
    if (code == MDB_NOTFOUND)
        return start;
    if (code) {
        writer->code = code;
        return start;
    }
    if (catalog_pair_high(&key) != id || value.mv_size > CHUNK_MERGE_MAX)
        return start;
    struct chunk chunk;
    if (!catalog_chunk_of(&key, &value, &chunk)) {
        writer->code = MDB_CORRUPTED;
        return start;
    }
    size_t lens_len = (size_t)chunk.count * CHUNK_LEN_SIZE;
    buffer_add(&writer->lens, chunk.lens, lens_len);
    buffer_add(&writer->bytes, chunk.bytes, value.mv_size - CHUNK_HEADER_SIZE - lens_len);
    check(chunk.start + writer->bytes.len == start);
    return chunk.start;
}

static void put_entries(struct writer *writer, const struct checkpoint_stream *stream)
{
    if (stream->entry_count == 0 || writer->code)
        return;
    const struct entry *entry = &writer->job->entries[stream->first_entry];
    const struct entry *end = entry + stream->entry_count;
    uint64_t start = entry->position;
    if (stream->has_stored)
        start = begin_chunk(writer, stream->id, start);
    for (; entry < end; entry++) {
        if (writer->bytes.len >= CHUNK_TARGET) {
            put_chunk(writer, stream->id, start);
            start = entry->position;
        }
        buffer_add_u32(&writer->lens, entry->len | (entry->ends_append ? CHUNK_END : 0));
        buffer_add(&writer->bytes, entry->frame->bytes.data + entry->offset, entry->len);
    }
    put_chunk(writer, stream->id, start);
}

static void put_record(struct writer *writer, uint64_t id, struct slice record)
{
    MDB_val key = catalog_value(&id, sizeof id), value = {.mv_size = record.len + CHECKED_CRC_SIZE};
    if (writer->code == 0)
        writer->code = mdb_cursor_put(writer->streams, &key, &value, MDB_RESERVE);
    if (writer->code)
        return;
    checked_write(value.mv_data, 0, slice_of((const char *)&id, sizeof id), record);
}

static void put_stream(struct writer *writer, const struct checkpoint_stream *stream)
{
    struct slice record =
        slice_of(writer->job->records.data + stream->record_at, stream->record_len);
    struct slice old = old_record(writer, stream->id);
    int64_t old_deadline = old.len ? record_deadline(old) : INT64_MAX;
    if (!old.len) {
        struct hash128 hash = catalog_path_hash(writer->catalog, record_path(record));
        put(writer, DATABASE_PATHS, catalog_value(&hash, sizeof hash),
            catalog_value(&stream->id, sizeof stream->id));
    }
    set_expiry(writer, stream->id, old_deadline, record_deadline(record));
    put_record(writer, stream->id, record);
    put_entries(writer, stream);
}

static void put_number(struct writer *writer, const char *name, uint64_t number)
{
    put(writer, DATABASE_META, catalog_value(name, strlen(name)),
        catalog_value(&number, sizeof number));
}

static void put_setting(struct writer *writer, const struct checkpoint_setting *setting)
{
    const char *records = writer->job->records.data;
    MDB_val key = catalog_value(records + setting->key_at, setting->key_len);
    if (setting->value_len)
        put(writer, DATABASE_SETTINGS, key,
            catalog_value(records + setting->value_at, setting->value_len));
    else
        del(writer, DATABASE_SETTINGS, key);
}

struct place {
    uint64_t id;
    size_t at; /* in the job's streams */
};

static int compare_places(const void *a, const void *b)
{
    const struct place *left = a, *right = b;
    return (left->id > right->id) - (left->id < right->id);
}

/* In that order they lie here and there in the job and in the frames. */
static void fetch_ahead(const struct writer *writer, const struct place *place, size_t left)
{
    enum { STREAMS = 24, CONTENT = 16, BYTES = 8 };
    const struct checkpoint_job *job = writer->job;
    if (left > STREAMS)
        __builtin_prefetch(&job->streams[place[STREAMS].at]);
    if (left > CONTENT) {
        const struct checkpoint_stream *stream = &job->streams[place[CONTENT].at];
        __builtin_prefetch(job->records.data + stream->record_at);
        __builtin_prefetch(job->records.data + stream->record_at + stream->record_len - 1);
        __builtin_prefetch(&job->entries[stream->first_entry]);
    }
    const struct checkpoint_stream *stream = left > BYTES ? &job->streams[place[BYTES].at] : NULL;
    if (stream && stream->entry_count) {
        const struct entry *entry = &job->entries[stream->first_entry];
        __builtin_prefetch(entry->frame->bytes.data + entry->offset);
    }
}

/* Those that are not deleted, in the order of the catalog's keys and not of their changes: what
 * lies on one page is then written one after the other, while it is in the processor's cache. */
static void put_streams(struct writer *writer, size_t first)
{
    const struct checkpoint_stream *streams = writer->job->streams;
    size_t count = writer->job->stream_count - first;
    struct place *places = malloc((count + 1) * sizeof *places);
    check(places != NULL);
    for (size_t i = 0; i < count; i++)
        places[i] = (struct place){streams[first + i].id, first + i};
    qsort(places, count, sizeof *places, compare_places);
    for (size_t i = 0; i < count && writer->code == 0; i++) {
        fetch_ahead(writer, places + i, count - i);
        check(streams[places[i].at].record_len > 0);
        put_stream(writer, &streams[places[i].at]);
    }
    free(places);
}

/* Deleted streams come first in the job: another stream may have taken over the path of one. */
static void write_job(struct writer *writer)
{
    const struct checkpoint_job *job = writer->job;
    size_t deleted = 0;
    for (; deleted < job->stream_count && !job->streams[deleted].record_len; deleted++)
        delete_stream(writer, job->streams[deleted].id);
    put_streams(writer, deleted);
    for (size_t i = 0; i < job->producer_count; i++) {
        const struct checkpoint_producer *producer = &job->producers[i];
        put(writer, DATABASE_PRODUCERS, catalog_value(producer->name.data, producer->name.len),
            catalog_value(&producer->progress, sizeof producer->progress));
    }
    for (size_t i = 0; i < job->setting_count; i++)
        put_setting(writer, &job->settings[i]);
    put_number(writer, "sequence", job->sequence);
    put_number(writer, "last-id", job->last_id);
}

static MDB_cursor *open_cursor(struct writer *writer, enum database which)
{
    MDB_cursor *cursor = NULL;
    if (writer->code == 0)
        writer->code = mdb_cursor_open(writer->txn, database(writer, which), &cursor);
    return cursor;
}

bool catalog_write(struct catalog *catalog, const struct checkpoint_job *job, struct err *err)
{
    struct writer writer = {.catalog = catalog, .job = job};
    fault_step(FAULT_CHECKPOINT_BEGIN);
    catalog_give_back(catalog);
    writer.code = mdb_txn_begin(catalog->env, NULL, 0, &writer.txn);
    if (writer.code)
        return catalog_fail(err, "write to", writer.code);
    writer.streams = open_cursor(&writer, DATABASE_STREAMS);
    writer.chunks = open_cursor(&writer, DATABASE_CHUNKS);
    if (writer.code == 0)
        write_job(&writer);
    if (writer.streams)
        mdb_cursor_close(writer.streams);
    if (writer.chunks)
        mdb_cursor_close(writer.chunks);
    buffer_release(&writer.lens);
    buffer_release(&writer.bytes);
    if (writer.code == 0 && fault_fails(FAULT_CHECKPOINT_COMMIT))
        writer.code = errno;
    if (writer.code == 0)
        writer.code = mdb_txn_commit(writer.txn);
    else
        mdb_txn_abort(writer.txn);
    fault_step(FAULT_CHECKPOINT_COMMITTED);
    return writer.code == 0 || catalog_fail(err, "write to", writer.code);
}
