/* The streams in memory: finding, loading, and letting go of unused ones. */
#include "internal.h"

#include "weir/base/clock.h"
#include "weir/base/hash.h"

#include <stdlib.h>

static struct stream *in_memory(const struct store *store, uint64_t id)
{
    size_t cursor = 0;
    /* An operation is decided on by path and applied by id. */
    if (store->latest && store->latest->id == id)
        return store->latest;
    return table_next(&store->by_id, id, &cursor);
}

static struct stream *in_memory_by_path(const struct store *store, struct slice path, uint64_t hash)
{
    size_t cursor = 0;
    struct stream *stream;
    while ((stream = table_next(&store->by_path, hash, &cursor))) {
        if (slice_eq(stream_path(stream), path))
            return stream;
    }
    return NULL;
}

uint64_t store_path_hash(struct slice path)
{
    return hash64(hash_process_key(), path);
}

void store_fetch_stream(const struct table *table, uint64_t hash)
{
    size_t cursor = 0;
    const struct stream *stream = table_next(table, hash, &cursor);
    if (stream)
        stream_fetch(stream);
}

static void unlist(struct store *store, struct stream *stream)
{
    if (!stream->is_listed)
        return;
    *(stream->older ? &stream->older->newer : &store->oldest_idle) = stream->newer;
    *(stream->newer ? &stream->newer->older : &store->newest_idle) = stream->older;
    stream->older = stream->newer = NULL;
    stream->is_listed = false;
    store->idle_count--;
}

static void forget(struct store *store, struct stream *stream)
{
    unlist(store, stream);
    if (in_memory_by_path(store, stream_path(stream), stream->path_hash) == stream)
        table_remove(&store->by_path, stream->path_hash, stream);
    table_remove(&store->by_id, stream->id, stream);
    if (store->latest == stream)
        store->latest = NULL;
    stream_free(stream);
}

/* A stream that somebody holds since it was listed leaves the list only; it comes back when it is
 * dropped. */
static void evict_oldest(struct store *store)
{
    struct stream *stream = store->oldest_idle;
    unlist(store, stream);
    if (stream->references == 0)
        forget(store, stream);
}

/* Unused streams stay for a while, as the next request often asks for one of them. */
static void list_idle(struct store *store, struct stream *stream)
{
    unlist(store, stream);
    stream->older = store->newest_idle;
    *(store->newest_idle ? &store->newest_idle->newer : &store->oldest_idle) = stream;
    store->newest_idle = stream;
    stream->is_listed = true;
    if (++store->idle_count > store->settings.idle_streams)
        evict_oldest(store);
}

void store_drop(struct store *store, struct stream *stream)
{
    stream_check(stream);
    check(stream->references > 0);
    if (--stream->references)
        return;
    if (stream->is_gone)
        forget(store, stream);
    else
        list_idle(store, stream);
}

/* A stream takes over the path of a deleted one, which stays known by its id alone. */
void store_add_stream(struct store *store, struct stream *stream)
{
    struct stream *before = in_memory_by_path(store, stream_path(stream), stream->path_hash);
    if (before) {
        check(before->is_gone);
        table_remove(&store->by_path, before->path_hash, before);
    }
    table_add(&store->by_path, stream->path_hash, stream);
    table_add(&store->by_id, stream->id, stream);
}

bool store_may_add(const struct store *store, uint64_t count)
{
    uint64_t most = store->settings.streams_max;
    return !most || (count <= most && store->stream_count <= most - count);
}

static struct stream *load(struct store *store, uint64_t id, struct slice record)
{
    struct stream *stream = stream_decode(id, record);
    check(stream != NULL);
    store_add_stream(store, stream);
    /* Listed at once, so that the caller may use it without holding it. */
    list_idle(store, stream);
    return stream;
}

struct stream *store_stream(struct store *store, uint64_t id)
{
    struct stream *stream = in_memory(store, id);
    struct slice record;
    if (!stream && catalog_stream(store->catalog, id, &record))
        stream = load(store, id, record);
    return stream && !stream->is_gone ? stream : NULL;
}

void store_mark_dirty(struct store *store, struct stream *stream)
{
    if (stream->is_dirty)
        return;
    if (store->dirty_count == store->dirty_capacity) {
        store->dirty_capacity = store->dirty_capacity ? store->dirty_capacity * 2 : 256;
        store->dirty = realloc(store->dirty, store->dirty_capacity * sizeof(struct stream *));
        check(store->dirty != NULL);
    }
    stream->is_dirty = true;
    unlist(store, stream);
    stream_hold(stream);
    store->dirty[store->dirty_count++] = stream;
}

static void add_touched(struct frame *frame, struct stream *stream)
{
    if (frame->touched_count == frame->touched_capacity) {
        frame->touched_capacity = frame->touched_capacity ? frame->touched_capacity * 2 : 2;
        frame->touched = realloc(frame->touched, frame->touched_capacity * sizeof *frame->touched);
        check(frame->touched != NULL);
    }
    stream->touched_sequence = frame->sequence;
    stream->touched_index = frame->touched_count;
    stream_hold(stream);
    frame->touched[frame->touched_count++].stream = stream;
}

void store_note_touched(struct store *store, struct stream *stream)
{
    struct frame *frame = store->open;
    store_mark_dirty(store, stream);
    if (stream->touched_sequence != frame->sequence)
        add_touched(frame, stream);
    struct touched *touched = &frame->touched[stream->touched_index];
    touched->tail = stream->tail;
    touched->is_closed = stream->is_closed;
    touched->is_gone = stream->is_gone || stream->is_soft_deleted;
    stream->ticket = frame->sequence;
}

void store_release_streams(struct store *store)
{
    while (store->oldest_idle)
        forget(store, store->oldest_idle);
    check(store->by_id.count == 0 && store->by_path.count == 0);
    table_release(&store->by_path);
    table_release(&store->by_id);
}

void store_observe(struct store *store, bool is_on)
{
    check(!is_on || store->settings.on_append);
    store->is_observed = is_on;
}

struct walk {
    struct store *store;
    void (*visit)(void *context, const struct stream *stream);
    void *context;
};

static void visit_record(void *context, uint64_t id, struct slice record)
{
    const struct walk *walk = context;
    if (in_memory(walk->store, id))
        return;
    struct stream *stream = stream_decode(id, record);
    check(stream != NULL);
    if (!stream->is_soft_deleted)
        walk->visit(walk->context, stream);
    stream_free(stream);
}

/* Those that are in memory, and then those that are only in the catalog. */
static uint64_t walk_streams(struct store *store, uint64_t after, uint64_t limit,
                             void (*visit)(void *context, const struct stream *stream),
                             void *context)
{
    struct walk walk = {store, visit, context};
    uint64_t last = catalog_each_stream(store->catalog, after, limit, visit_record, &walk);
    for (size_t i = 0; i < store->by_id.capacity; i++) {
        const struct stream *stream = store->by_id.slots[i].stream;
        if (stream && !stream_is_gone(stream) && stream->id > after && stream->id <= last)
            visit(context, stream);
    }
    return last;
}

struct path_walk {
    void (*visit)(void *context, struct slice path, uint64_t tail);
    void *context;
};

static void visit_path(void *context, const struct stream *stream)
{
    const struct path_walk *walk = context;
    walk->visit(walk->context, stream_path(stream), stream->tail);
}

void store_each_stream(struct store *store,
                       void (*visit)(void *context, struct slice path, uint64_t tail),
                       void *context)
{
    struct path_walk walk = {visit, context};
    walk_streams(store, 0, UINT64_MAX, visit_path, &walk);
}

struct written_walk {
    uint64_t writer;
    void (*visit)(void *context, struct slice path, bool is_own);
    void *context;
};

static void visit_written(void *context, const struct stream *stream)
{
    const struct written_walk *walk = context;
    bool is_own = stream->writer == walk->writer;
    if (stream->tail == 0 || stream->is_closed || !stream->is_json)
        return;
    if (is_own || stream->writer == WRITER_SEVERAL || stream->writer == WRITER_NONE)
        walk->visit(walk->context, stream_path(stream), is_own);
}

uint64_t store_streams_of(struct store *store, struct slice producer, uint64_t after,
                          uint64_t limit,
                          void (*visit)(void *context, struct slice path, bool is_own),
                          void *context)
{
    struct written_walk walk = {store_writer(store, producer), visit, context};
    return walk_streams(store, after, limit, visit_written, &walk);
}

static struct stream *find_any(struct store *store, struct slice path, uint64_t hash)
{
    uint64_t id;
    struct slice record;
    struct stream *stream = in_memory_by_path(store, path, hash);
    /* What was deleted since the checkpoint is in memory, so the catalog does not bring it back. */
    if (!stream && catalog_find(store->catalog, path, &id, &record))
        stream = load(store, id, record);
    return stream && !stream->is_gone ? stream : NULL;
}

uint64_t store_path_ticket(const struct store *store, struct slice path)
{
    const struct stream *stream = in_memory_by_path(store, path, store_path_hash(path));
    return stream ? stream->ticket : 0;
}

enum find_result store_find(struct store *store, struct slice path, struct stream **found)
{
    return store_find_hashed(store, path, store_path_hash(path), found);
}

enum find_result store_find_hashed(struct store *store, struct slice path, uint64_t hash,
                                   struct stream **found)
{
    struct stream *stream = find_any(store, path, hash);
    if (!stream)
        return FIND_MISSING;
    if (stream->is_listed)
        list_idle(store, stream);
    *found = store->latest = stream;
    if (stream->is_soft_deleted)
        return FIND_SOFT_DELETED;
    /* Without room for the deletion the stream is gone all the same, for whoever asks. */
    if (stream_deadline(stream) != INT64_MAX && store_is_expired(store, stream, clock_wall_ms())) {
        bool is_kept = store_delete(store, stream) && stream->is_soft_deleted;
        return is_kept ? FIND_SOFT_DELETED : FIND_MISSING;
    }
    return FIND_OK;
}
