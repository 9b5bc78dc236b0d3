/* Operations: how one is applied to memory. Encoding is next to each decision (create.c, append.c,
 * batch.c); docs/formats.md has the bytes. A frame whose checksum is right and whose content is not
 * was written by a faulty program, so that is a bug and not an error. */
#include "operation.h"

#include "weir/base/hash.h"

#include <stdlib.h>

static struct slice read_short(struct reader *reader)
{
    return read_bytes(reader, read_u16(reader));
}

/* The stream that an operation names: it exists, as the log says so. */
static struct stream *named_stream(struct store *store, struct reader *reader)
{
    struct stream *stream = store_stream(store, read_u64(reader));
    check(!reader->failed && stream != NULL);
    store_copy_first(store, stream);
    return stream;
}

/* The stream that a fork reads from. */
static struct stream *source_of(struct store *store, const struct stream *fork)
{
    struct stream *source = store_stream(store, fork->fork.source_id);
    check(source != NULL);
    store_copy_first(store, source);
    return source;
}

static void apply_create(struct store *store, struct reader *reader)
{
    uint64_t id = read_u64(reader);
    uint8_t flags = read_u8(reader);
    struct slice path = read_short(reader), content_type = read_short(reader);
    check(!reader->failed && id > store->last_id);
    store->last_id = id;
    struct stream *stream = stream_new(id, path, hash64(hash_process_key(), path), content_type);
    stream->created_ms = stream->used_ms = stream->logged_use_ms = (int64_t)read_u64(reader);
    stream->has_ttl = flags & CREATE_HAS_TTL;
    stream->has_expires_at = flags & CREATE_HAS_EXPIRES_AT;
    stream->is_closed = flags & CREATE_IS_CLOSED;
    stream->ttl_s = read_u64(reader);
    stream->expires_at_ms = (int64_t)read_u64(reader);
    if (flags & CREATE_IS_FORK) {
        stream->fork.source_id = read_u64(reader);
        stream->fork.position = read_u64(reader);
        stream->fork.offset = read_u64(reader);
        stream->fork.sub_offset = read_u64(reader);
        stream->tail = stream->durable_tail = stream->stored_tail = stream->fork.position;
        struct stream *source = source_of(store, stream);
        stream->writer = WRITER_SEVERAL;
        source->fork_count++;
        store_note_touched(store, source);
    }
    stream->created_ticket = store->open->sequence;
    store->stream_count++;
    store_add_stream(store, stream);
    store_note_touched(store, stream);
}

static void add_message(struct store *store, struct stream *stream, size_t offset, uint32_t len,
                        bool ends_append)
{
    check(len <= INT32_MAX);
    stream_add_entry(stream, (struct entry){.frame = store->open,
                                            .position = stream->tail,
                                            .offset = (uint32_t)offset,
                                            .len = len & INT32_MAX,
                                            .ends_append = ends_append});
    store->open->entry_count++;
    stream->tail += len;
}

static size_t offset_in_frame(const struct store *store, const char *at)
{
    return (size_t)(at - store->open->bytes.data);
}

static void apply_producer(struct stream *stream, struct reader *reader, bool closes)
{
    struct slice name = read_short(reader);
    uint64_t epoch = read_u64(reader), seq = read_u64(reader);
    struct producer *producer = stream_find_producer(stream, name);
    if (!producer)
        producer = stream_add_producer(stream, name);
    producer->epoch = epoch;
    producer->seq = seq;
    producer->has_closed = closes;
}

static void note_use(struct stream *stream, int64_t now_ms)
{
    if (now_ms > stream->used_ms)
        stream->used_ms = now_ms;
    if (now_ms > stream->logged_use_ms)
        stream->logged_use_ms = now_ms;
}

static void note_writer(struct stream *stream, uint64_t writer)
{
    if (stream->tail == 0 && stream->writer == WRITER_NONE)
        stream->writer = writer;
    else if (stream->writer != writer)
        stream->writer = WRITER_SEVERAL;
}

static void apply_append(struct store *store, struct reader *reader)
{
    struct stream *stream = named_stream(store, reader);
    uint8_t flags = read_u8(reader);
    note_use(stream, (int64_t)read_u64(reader));
    if (flags & APPEND_HAS_PRODUCER)
        apply_producer(stream, reader, flags & APPEND_CLOSES);
    if (flags & APPEND_HAS_SEQ)
        stream_set_seq(stream, read_short(reader));
    uint32_t count = read_u32(reader);
    struct slice lens = read_bytes(reader, (size_t)count * 4);
    check(!reader->failed);
    if (count)
        note_writer(stream, WRITER_SEVERAL);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t len = load_u32(lens.data + (size_t)i * 4);
        struct slice bytes = read_bytes(reader, len);
        check(!reader->failed);
        add_message(store, stream, offset_in_frame(store, bytes.data), len, i + 1 == count);
    }
    if (flags & APPEND_CLOSES)
        stream->is_closed = true;
    store->counters.appends++;
    store->counters.messages += count;
    store_note_touched(store, stream);
}

/* A stream with forks stays for them; without, it goes, and lets go of its own source. */
static void delete_stream(struct store *store, struct stream *stream)
{
    while (stream) {
        if (stream->fork_count) {
            stream->is_soft_deleted = true;
            store_note_touched(store, stream);
            return;
        }
        stream->is_gone = true;
        store->stream_count--;
        store_note_touched(store, stream);
        if (!stream->fork.source_id)
            return;
        struct stream *source = source_of(store, stream);
        check(source->fork_count > 0);
        source->fork_count--;
        store_note_touched(store, source);
        stream = source->is_soft_deleted ? source : NULL;
    }
}

/* Steps over one append of a batch. Returns the id of its stream; behind the last one,
 * any number. */
static uint64_t pass_append(struct reader *reader)
{
    uint64_t id = read_u64(reader);
    read_bytes(reader, (size_t)read_u32(reader) * 4);
    return id;
}

/* Payloads once, then appends that refer to them. */
static void apply_batch_appends(struct store *store, struct reader *reader,
                                const struct slice *payloads, uint64_t writer, int64_t now_ms)
{
    uint32_t append_count = read_u32(reader);
    struct reader slots = *reader, streams = *reader;
    for (int i = 0; i < FETCH_SLOT; i++)
        table_fetch(&store->by_id, pass_append(&slots));
    for (int i = 0; i < FETCH_STREAM; i++)
        store_fetch_stream(&store->by_id, pass_append(&streams));
    for (uint32_t i = 0; i < append_count; i++) {
        table_fetch(&store->by_id, pass_append(&slots));
        store_fetch_stream(&store->by_id, pass_append(&streams));
        struct stream *stream = named_stream(store, reader);
        uint32_t count = read_u32(reader);
        struct slice indexes = read_bytes(reader, (size_t)count * 4);
        check(!reader->failed);
        note_writer(stream, writer);
        for (uint32_t j = 0; j < count; j++) {
            struct slice payload = payloads[load_u32(indexes.data + (size_t)j * 4)];
            add_message(store, stream, offset_in_frame(store, payload.data), (uint32_t)payload.len,
                        j + 1 == count);
        }
        note_use(stream, now_ms);
        store->counters.messages += count;
        store_note_touched(store, stream);
    }
    store->counters.appends += append_count;
}

static void apply_batch(struct store *store, struct reader *reader)
{
    int64_t now_ms = (int64_t)read_u64(reader);
    struct slice name = read_short(reader);
    struct store_progress progress;
    progress.epoch = read_u64(reader);
    progress.lsn = read_u64(reader);
    progress.step = read_u64(reader);
    uint32_t payload_count = read_u32(reader);
    check(!reader->failed && (size_t)payload_count * 4 <= reader_left(reader));
    struct slice *payloads = arena_alloc(&store->scratch, (payload_count + 1) * sizeof *payloads);
    for (uint32_t i = 0; i < payload_count; i++)
        payloads[i] = read_bytes(reader, read_u32(reader));
    apply_batch_appends(store, reader, payloads, store_writer(store, name), now_ms);
    check(!reader->failed);
    struct checkpoint_producer *producer = store_find_producer(store, name);
    check(producer != NULL);
    producer->progress = progress;
}

static void apply_claim(struct store *store, struct reader *reader)
{
    struct slice name = read_short(reader);
    uint64_t epoch = read_u64(reader);
    check(!reader->failed);
    struct checkpoint_producer *producer = store_find_producer(store, name);
    if (!producer)
        producer = store_add_producer(store, name);
    producer->progress.epoch = epoch;
}

static void apply_set(struct store *store, struct reader *reader)
{
    struct slice key = read_short(reader);
    struct slice value = read_bytes(reader, read_u32(reader));
    check(!reader->failed);
    store_remember(store, key, value, true);
}

static void apply_use(struct store *store, struct reader *reader)
{
    struct stream *stream = named_stream(store, reader);
    note_use(stream, (int64_t)read_u64(reader));
    store_note_touched(store, stream);
}

void store_apply(struct store *store, size_t from)
{
    struct slice bytes = buffer_slice(&store->open->bytes);
    struct reader reader = reader_of(slice_of(bytes.data + from, bytes.len - from));
    while (reader_left(&reader)) {
        switch ((enum operation)read_u8(&reader)) {
        case OPERATION_END:
            return;
        case OPERATION_CREATE:
            apply_create(store, &reader);
            break;
        case OPERATION_APPEND:
            apply_append(store, &reader);
            break;
        case OPERATION_DELETE:
            delete_stream(store, named_stream(store, &reader));
            break;
        case OPERATION_USE:
            apply_use(store, &reader);
            break;
        case OPERATION_BATCH:
            apply_batch(store, &reader);
            break;
        case OPERATION_CLAIM:
            apply_claim(store, &reader);
            break;
        case OPERATION_SET:
            apply_set(store, &reader);
            break;
        default:
            check(false); /* not an operation */
        }
        check(!reader.failed);
    }
}
