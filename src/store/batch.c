/* The batch append, all or nothing, and its producers. docs/protocol-extensions.md has the format
 * and what each answer means. */
#include "operation.h"

#include "weir/base/clock.h"
#include "weir/base/fault.h"
#include "weir/base/hash.h"
#include "weir/base/json.h"
#include "weir/base/path.h"

#include <stdlib.h>

struct checkpoint_producer *store_find_producer(const struct store *store, struct slice name)
{
    for (size_t i = 0; i < store->producer_count; i++) {
        if (slice_eq(store->producers[i].name, name))
            return &store->producers[i];
    }
    return NULL;
}

struct checkpoint_producer *store_add_producer(struct store *store, struct slice name)
{
    store->producers =
        realloc(store->producers, (store->producer_count + 1) * sizeof *store->producers);
    char *copy = malloc(name.len + 1);
    check(store->producers != NULL && copy != NULL);
    memcpy(copy, name.data, name.len);
    struct checkpoint_producer *producer = &store->producers[store->producer_count++];
    *producer = (struct checkpoint_producer){.name = slice_of(copy, name.len)};
    return producer;
}

uint64_t store_writer(const struct store *store, struct slice producer)
{
    uint64_t number = catalog_name_number(store->catalog, producer);
    return number == WRITER_NONE || number == WRITER_SEVERAL ? 1 : number;
}

bool store_producer(const struct store *store, struct slice name, struct store_progress *progress)
{
    const struct checkpoint_producer *producer = store_find_producer(store, name);
    if (producer)
        *progress = producer->progress;
    return producer != NULL;
}

enum claim_result store_claim(struct store *store, struct slice name,
                              struct store_progress *progress)
{
    const struct checkpoint_producer *producer = store_find_producer(store, name);
    if (!producer && store->producer_count >= STORE_PRODUCERS_MAX)
        return CLAIM_TOO_MANY;
    if (!store_reserve(store, name.len + 64))
        return CLAIM_NO_ROOM;
    size_t from = store->open->bytes.len;
    operation_begin(&store->open->bytes, OPERATION_CLAIM);
    add_short(&store->open->bytes, name);
    buffer_add_u64(&store->open->bytes, producer ? producer->progress.epoch + 1 : 1);
    store_apply(store, from);
    fault_step(FAULT_CLAIM_DECIDED);
    check(store_producer(store, name, progress));
    return CLAIM_OK;
}

/* The setting that holds a producer's source. */
static struct slice source_key(struct store *store, struct slice name)
{
    char *key = arena_alloc(&store->scratch, sizeof "source/" + name.len);
    memcpy(key, "source/", 7);
    memcpy(key + 7, name.data, name.len);
    return slice_of(key, 7 + name.len);
}

struct slice store_source(struct store *store, struct slice name)
{
    struct slice source = store_setting(store, source_key(store, name));
    arena_clear(&store->scratch);
    return source;
}

/* Progress is that of an empty batch that begins the new history. */
static void encode_restart(struct store *store, const struct checkpoint_producer *producer)
{
    struct buffer *out = &store->open->bytes;
    operation_begin(out, OPERATION_BATCH);
    buffer_add_u64(out, (uint64_t)clock_wall_ms());
    add_short(out, producer->name);
    buffer_add_u64(out, producer->progress.epoch);
    buffer_add_u64(out, 0);
    buffer_add_u64(out, 0);
    buffer_add_u32(out, 0);
    buffer_add_u32(out, 0);
}

enum claim_result store_set_source(struct store *store, struct slice name, uint64_t epoch,
                                   struct slice source, bool restarts,
                                   struct store_progress *progress)
{
    const struct checkpoint_producer *producer = store_find_producer(store, name);
    *progress = producer ? producer->progress : (struct store_progress){0};
    if (!producer || producer->progress.epoch != epoch)
        return CLAIM_FENCED;
    /* Both operations come to be in one frame. */
    if (!store_ensure(store, 2 * name.len + source.len + 256))
        return CLAIM_NO_ROOM;
    size_t from = store->open->bytes.len;
    if (restarts)
        encode_restart(store, producer);
    operation_begin(&store->open->bytes, OPERATION_SET);
    add_short(&store->open->bytes, source_key(store, name));
    buffer_add_u32(&store->open->bytes, (uint32_t)source.len);
    buffer_add_slice(&store->open->bytes, source);
    store_apply(store, from);
    arena_clear(&store->scratch);
    *progress = store_find_producer(store, name)->progress;
    return CLAIM_OK;
}

struct batch_stream {
    struct slice path;
    uint64_t hash;
    uint64_t id; /* 0: skipped */
};

/* A request body, taken apart; slices of it. */
struct parsed_batch {
    struct store_progress before, after;
    struct slice producer;
    struct slice payloads; /* the section behind its count */
    uint32_t payload_count;
    struct batch_stream *streams;
    uint32_t stream_count;
    struct slice appends; /* the section behind its count */
    uint32_t append_count;
    size_t event_count;
};

static const char *parse_head(struct reader *reader, struct parsed_batch *batch)
{
    struct slice magic = read_bytes(reader, 8);
    uint32_t checksum = read_u32(reader);
    if (reader->failed || !slice_eq_str(magic, "WEIRBAT1"))
        return "the body does not begin as a batch";
    if (crc32c(0, reader->at, reader_left(reader)) != checksum)
        return "the checksum of the batch is wrong";
    batch->before.epoch = batch->after.epoch = read_u64(reader);
    batch->before.lsn = read_u64(reader);
    batch->before.step = read_u64(reader);
    batch->after.lsn = read_u64(reader);
    batch->after.step = read_u64(reader);
    batch->producer = read_bytes(reader, read_u16(reader));
    return reader->failed ? "the batch ends too early" : NULL;
}

static const char *parse_payloads(struct reader *reader, struct parsed_batch *batch)
{
    batch->payload_count = read_u32(reader);
    const char *start = reader->at;
    for (uint32_t i = 0; i < batch->payload_count && !reader->failed; i++) {
        struct slice payload = read_bytes(reader, read_u32(reader));
        if (!reader->failed && !json_is_valid(payload))
            return "a payload of the batch is not one JSON value";
    }
    batch->payloads = slice_of(start, (size_t)(reader->at - start));
    return reader->failed ? "the batch ends too early" : NULL;
}

static const char *parse_streams(struct store *store, struct reader *reader,
                                 struct parsed_batch *batch)
{
    batch->stream_count = read_u32(reader);
    if (reader->failed || batch->stream_count > reader_left(reader) / 2)
        return "the batch ends too early";
    batch->streams =
        arena_calloc(&store->scratch, batch->stream_count + (size_t)1, sizeof *batch->streams);
    for (uint32_t i = 0; i < batch->stream_count; i++) {
        struct slice path = read_bytes(reader, read_u16(reader));
        if (reader->failed)
            return "the batch ends too early";
        if (!path_is_for_batches(path))
            return "a stream path of the batch is not in canonical form";
        batch->streams[i].path = path;
        batch->streams[i].hash = store_path_hash(path);
    }
    return NULL;
}

static const char *parse_appends(struct reader *reader, struct parsed_batch *batch)
{
    batch->append_count = read_u32(reader);
    const char *start = reader->at;
    for (uint32_t i = 0; i < batch->append_count && !reader->failed; i++) {
        uint32_t stream = read_u32(reader), count = read_u32(reader);
        struct slice indexes = read_bytes(reader, (size_t)count * 4);
        if (reader->failed)
            break;
        if (stream >= batch->stream_count || count == 0)
            return "an append of the batch names no stream or no payload";
        for (uint32_t j = 0; j < count; j++) {
            if (load_u32(indexes.data + (size_t)j * 4) >= batch->payload_count)
                return "an append of the batch names a payload that is not there";
        }
        batch->event_count += count;
    }
    batch->appends = slice_of(start, (size_t)(reader->at - start));
    if (reader->failed)
        return "the batch ends too early";
    return reader_left(reader) ? "there are bytes behind the batch" : NULL;
}

static int progress_cmp(const struct store_progress *a, const struct store_progress *b)
{
    if (a->lsn != b->lsn)
        return a->lsn < b->lsn ? -1 : 1;
    return (a->step > b->step) - (a->step < b->step);
}

static enum batch_result check_progress(const struct store *store, const struct parsed_batch *batch,
                                        struct store_progress *stored)
{
    *stored = (struct store_progress){0};
    if (!store_producer(store, batch->producer, stored))
        return BATCH_UNKNOWN;
    if (batch->after.epoch != stored->epoch)
        return BATCH_FENCED;
    if (progress_cmp(stored, &batch->after) >= 0)
        return BATCH_DUPLICATE;
    return progress_cmp(stored, &batch->before) == 0 ? BATCH_OK : BATCH_GAP;
}

static void skip(struct store *store, struct slice path, const char *reason)
{
    store->skipped = realloc(store->skipped, (store->skipped_count + 1) * sizeof *store->skipped);
    check(store->skipped != NULL);
    store->skipped[store->skipped_count++] = (struct batch_skip){path, reason};
}

static uint64_t create_for_batch(struct store *store, struct slice path)
{
    struct create_request request = {.path = path, .content_type = SLICE("application/json")};
    struct stream *stream;
    /* Room for everything has been reserved, so that the batch stays all or nothing. */
    check(store_create_unclear(store, &request, &stream) == CREATE_NEW);
    return stream->id;
}

static void resolve_streams(struct store *store, struct parsed_batch *batch)
{
    for (uint32_t i = 0; i < batch->stream_count; i++) {
        struct batch_stream *wanted = &batch->streams[i];
        struct stream *stream;
        if (i + FETCH_SLOT < batch->stream_count)
            table_fetch(&store->by_path, wanted[FETCH_SLOT].hash);
        if (i + FETCH_STREAM < batch->stream_count)
            store_fetch_stream(&store->by_path, wanted[FETCH_STREAM].hash);
        enum find_result found = store_find_hashed(store, wanted->path, wanted->hash, &stream);
        if (found == FIND_MISSING)
            wanted->id = create_for_batch(store, wanted->path);
        else if (found == FIND_SOFT_DELETED)
            skip(store, wanted->path, "deleted");
        else if (stream->is_closed)
            skip(store, wanted->path, "closed");
        else if (!stream->is_json)
            skip(store, wanted->path, "not application/json");
        else
            wanted->id = stream->id;
    }
}

/* All or nothing, so before the first is made. */
static bool may_add_streams(struct store *store, const struct parsed_batch *batch)
{
    uint64_t missing = 0;
    struct stream *stream;
    if (store_may_add(store, batch->stream_count))
        return true;
    for (uint32_t i = 0; i < batch->stream_count; i++)
        missing += store_find(store, batch->streams[i].path, &stream) == FIND_MISSING;
    return store_may_add(store, missing);
}

static void encode_batch(struct store *store, struct parsed_batch *batch, size_t *event_count)
{
    struct buffer *out = &store->open->bytes;
    operation_begin(out, OPERATION_BATCH);
    buffer_add_u64(out, (uint64_t)clock_wall_ms());
    add_short(out, batch->producer);
    buffer_add_u64(out, batch->after.epoch);
    buffer_add_u64(out, batch->after.lsn);
    buffer_add_u64(out, batch->after.step);
    buffer_add_u32(out, batch->payload_count);
    buffer_add_slice(out, batch->payloads);
    size_t at_count = out->len;
    uint32_t kept = 0;
    buffer_add_u32(out, 0);
    struct reader reader = reader_of(batch->appends);
    for (uint32_t i = 0; i < batch->append_count; i++) {
        uint64_t id = batch->streams[read_u32(&reader)].id;
        uint32_t count = read_u32(&reader);
        struct slice indexes = read_bytes(&reader, (size_t)count * 4);
        if (!id)
            continue;
        buffer_add_u64(out, id);
        buffer_add_u32(out, count);
        buffer_add_slice(out, indexes);
        *event_count += count;
        kept++;
    }
    store_u32(out->data + at_count, kept);
}

/* An upper bound of what the operations of a batch take, creations included. */
static size_t batch_room(const struct parsed_batch *batch, size_t body_len)
{
    return body_len * 2 + (size_t)batch->stream_count * 320 + (size_t)batch->append_count * 16 +
           512;
}

static enum batch_result write_batch(struct store *store, struct parsed_batch *batch,
                                     size_t body_len, struct batch_answer *answer)
{
    if (!store_reserve(store, batch_room(batch, body_len)))
        return BATCH_NO_ROOM;
    if (!may_add_streams(store, batch))
        return BATCH_TOO_MANY;
    resolve_streams(store, batch);
    size_t from = store->open->bytes.len;
    encode_batch(store, batch, &answer->event_count);
    store_apply(store, from);
    fault_step(FAULT_BATCH_DECIDED);
    answer->progress = batch->after;
    return BATCH_OK;
}

static enum batch_result run_batch(struct store *store, struct slice body,
                                   struct batch_answer *answer)
{
    struct parsed_batch batch = {0};
    struct reader reader = reader_of(body);
    answer->malformed = parse_head(&reader, &batch);
    if (!answer->malformed && progress_cmp(&batch.before, &batch.after) >= 0)
        answer->malformed = "the batch does not move progress";
    if (answer->malformed)
        return BATCH_MALFORMED;
    enum batch_result result = check_progress(store, &batch, &answer->progress);
    if (result != BATCH_OK)
        return result;
    answer->malformed = parse_payloads(&reader, &batch);
    if (!answer->malformed)
        answer->malformed = parse_streams(store, &reader, &batch);
    if (!answer->malformed)
        answer->malformed = parse_appends(&reader, &batch);
    if (answer->malformed)
        return BATCH_MALFORMED;
    return write_batch(store, &batch, body.len, answer);
}

enum batch_result store_batch(struct store *store, struct slice body, struct batch_answer *answer)
{
    *answer = (struct batch_answer){0};
    store->skipped_count = 0;
    enum batch_result result = run_batch(store, body, answer);
    arena_clear(&store->scratch);
    answer->skipped = store->skipped;
    answer->skipped_count = store->skipped_count;
    return result;
}
