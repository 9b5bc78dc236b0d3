/* Deleting expired streams that nobody asks for, so that their space comes back. Whoever asks for
 * one finds out by itself (store_find). The catalog's index may be behind what memory knows, as
 * uses are logged only now and then; memory decides. */
#include "internal.h"

#include "weir/base/clock.h"

enum { SWEEP_STREAMS = 500, SWEEP_MS = 1000, SWEEP_MORE_MS = 50 };

/* Whoever waits for data uses the stream all the time. */
bool store_is_expired(struct store *store, struct stream *stream, int64_t wall_ms)
{
    if (stream_deadline(stream) > wall_ms)
        return false;
    if (stream->has_ttl && stream->watchers)
        store_touch(store, stream);
    return stream_deadline(stream) <= wall_ms;
}

struct sweep {
    uint64_t ids[SWEEP_STREAMS];
    size_t count;
};

static void add_id(void *context, uint64_t id)
{
    struct sweep *sweep = context;
    sweep->ids[sweep->count++] = id;
}

void store_expire(struct store *store)
{
    uint64_t now_ms = clock_monotonic_ms();
    int64_t wall_ms = clock_wall_ms();
    struct sweep sweep = {.count = 0};
    if (now_ms < store->sweep_due_ms || store_readiness(store) != STORE_READY)
        return;
    catalog_expired(store->catalog, wall_ms, SWEEP_STREAMS, add_id, &sweep);
    bool has_deleted = false;
    for (size_t i = 0; i < sweep.count; i++) {
        struct stream *stream = store_stream(store, sweep.ids[i]);
        if (!stream || stream->is_soft_deleted || !store_is_expired(store, stream, wall_ms))
            continue;
        if (!store_delete(store, stream))
            break;
        has_deleted = true;
    }
    bool has_more = has_deleted && sweep.count == SWEEP_STREAMS;
    store->sweep_due_ms = now_ms + (has_more ? SWEEP_MORE_MS : SWEEP_MS);
}
