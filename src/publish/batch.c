#include "batch_internal.h"

#include "weir/base/hash.h"
#include "weir/base/reader.h"

#include <stdlib.h>

enum { TABLE_AT_FIRST = 256 };

struct batch *batch_new(void)
{
    struct batch *batch = calloc(1, sizeof *batch);
    check(batch != NULL);
    batch->table = calloc(TABLE_AT_FIRST, sizeof *batch->table);
    check(batch->table != NULL);
    batch->table_mask = TABLE_AT_FIRST - 1;
    batch_clear(batch);
    return batch;
}

void batch_free(struct batch *batch)
{
    if (!batch)
        return;
    buffer_release(&batch->body);
    buffer_release(&batch->paths);
    buffer_release(&batch->appends);
    buffer_release(&batch->waiting_paths);
    free(batch->streams);
    free(batch->table);
    free(batch->open);
    free(batch->touched);
    free(batch->marks);
    free(batch);
}

static void begin_transaction(struct batch *batch)
{
    batch->touched_count = 0;
    batch->open_count = 0;
    batch->waiting_count = 0;
    buffer_clear(&batch->waiting_paths);
    batch->open_payload_at = batch->payload_end;
    batch->open_payload = batch->payload_count;
    batch->open_stream = batch->stream_count;
    batch->open_path_at = batch->paths.len;
}

void batch_clear(struct batch *batch)
{
    /* Only the slots in use: the table may have grown for a batch of very many streams. */
    for (uint32_t i = 0; i < batch->stream_count; i++)
        batch->table[batch->streams[i].slot].index = 0;
    buffer_clear(&batch->body);
    buffer_reserve(&batch->body, GAP);
    batch->body.len = GAP;
    batch->payload_end = GAP;
    batch->payload_count = 0;
    buffer_clear(&batch->paths);
    batch->stream_count = 0;
    buffer_clear(&batch->appends);
    batch->append_count = 0;
    batch->reference_count = 0;
    batch->mark_count = 0;
    begin_transaction(batch);
}

/* Room for one more item in an array that doubles. */
static void *grow(void *items, size_t count, size_t *capacity, size_t item_size)
{
    if (count < *capacity)
        return items;
    *capacity = *capacity ? *capacity * 2 : 64;
    items = realloc(items, *capacity * item_size);
    check(items != NULL);
    return items;
}

uint32_t batch_add_payload(struct batch *batch, struct slice payload)
{
    check(payload.len <= UINT32_MAX && batch->payload_count < UINT32_MAX);
    batch->body.len = batch->payload_end;
    buffer_add_u32(&batch->body, (uint32_t)payload.len);
    buffer_add_slice(&batch->body, payload);
    batch->payload_end = batch->body.len;
    return batch->payload_count++;
}

static void occupy(struct batch *batch, uint32_t slot, uint32_t stream)
{
    batch->table[slot] =
        (struct stream_slot){stream + 1, (uint32_t)(batch->streams[stream].hash >> 32)};
    batch->streams[stream].slot = slot;
}

static void table_grow(struct batch *batch)
{
    uint32_t size = (batch->table_mask + 1) * 2;
    check(size != 0);
    free(batch->table);
    batch->table = calloc(size, sizeof *batch->table);
    check(batch->table != NULL);
    batch->table_mask = size - 1;
    for (uint32_t i = 0; i < batch->stream_count; i++) {
        uint32_t slot = (uint32_t)batch->streams[i].hash & batch->table_mask;
        while (batch->table[slot].index)
            slot = (slot + 1) & batch->table_mask;
        occupy(batch, slot, i);
    }
}

static bool is_stream(const struct batch *batch, const struct stream_slot *slot, uint64_t hash,
                      struct slice path)
{
    const struct batch_stream *stream = &batch->streams[slot->index - 1];
    return slot->tag == (uint32_t)(hash >> 32) && stream->hash == hash &&
           stream->path_len == path.len &&
           slice_eq(slice_of(batch->paths.data + stream->path_at, stream->path_len), path);
}

static uint32_t ensure_stream(struct batch *batch, uint64_t hash, struct slice path)
{
    uint32_t slot = (uint32_t)hash & batch->table_mask;
    for (; batch->table[slot].index; slot = (slot + 1) & batch->table_mask) {
        if (is_stream(batch, &batch->table[slot], hash, path))
            return batch->table[slot].index - 1;
    }
    uint32_t index = batch->stream_count;
    batch->streams = grow(batch->streams, index, &batch->stream_capacity, sizeof *batch->streams);
    buffer_add_u16(&batch->paths, (uint16_t)path.len);
    batch->streams[index] = (struct batch_stream){
        .hash = hash, .path_at = batch->paths.len, .path_len = (uint32_t)path.len};
    buffer_add_slice(&batch->paths, path);
    occupy(batch, slot, index);
    batch->stream_count++;
    if (batch->stream_count > batch->table_mask / 2)
        table_grow(batch);
    return index;
}

uint32_t batch_add_stream(struct batch *batch, struct slice path)
{
    check(path.len <= UINT16_MAX);
    return ensure_stream(batch, hash64(hash_process_key(), path), path);
}

static void add_reference(struct batch *batch, uint32_t stream, uint32_t payload)
{
    if (batch->streams[stream].open_count++ == 0) {
        batch->touched = grow(batch->touched, batch->touched_count, &batch->touched_capacity,
                              sizeof *batch->touched);
        batch->touched[batch->touched_count++] = stream;
    }
    batch->open = grow(batch->open, batch->open_count, &batch->open_capacity, sizeof *batch->open);
    batch->open[batch->open_count++] = (struct reference){stream, payload};
    batch->reference_count++;
}

/* The slots are on their way since the deliveries were added; so are then the streams in them. */
static void settle_waiting(struct batch *batch)
{
    for (size_t i = 0; i < batch->waiting_count; i++) {
        uint32_t index = batch->table[(uint32_t)batch->waiting[i].hash & batch->table_mask].index;
        if (index)
            __builtin_prefetch(&batch->streams[index - 1]);
    }
    for (size_t i = 0; i < batch->waiting_count; i++) {
        const struct waiting *waiting = &batch->waiting[i];
        struct slice path =
            slice_of(batch->waiting_paths.data + waiting->path_at, waiting->path_len);
        add_reference(batch, ensure_stream(batch, waiting->hash, path), waiting->payload);
    }
    batch->waiting_count = 0;
    buffer_clear(&batch->waiting_paths);
}

void batch_add_reference(struct batch *batch, uint32_t stream, uint32_t payload)
{
    check(stream < batch->stream_count && payload < batch->payload_count);
    settle_waiting(batch);
    add_reference(batch, stream, payload);
}

void batch_add_delivery(struct batch *batch, struct slice path, uint32_t payload)
{
    check(path.len <= UINT16_MAX && payload < batch->payload_count);
    if (batch->waiting_count == WAITING_MAX)
        settle_waiting(batch);
    uint64_t hash = hash64(hash_process_key(), path);
    __builtin_prefetch(&batch->table[(uint32_t)hash & batch->table_mask]);
    batch->waiting[batch->waiting_count++] =
        (struct waiting){hash, batch->waiting_paths.len, (uint32_t)path.len, payload};
    buffer_add_slice(&batch->waiting_paths, path);
}

/* A counting sort: the appends' heads first, then every reference to its stream's place. */
void batch_end_transaction(struct batch *batch)
{
    struct buffer *appends = &batch->appends;
    settle_waiting(batch);
    buffer_reserve(appends, (size_t)batch->touched_count * 8 + batch->open_count * 4);
    for (uint32_t i = 0; i < batch->touched_count; i++) {
        struct batch_stream *stream = &batch->streams[batch->touched[i]];
        buffer_add_u32(appends, batch->touched[i]);
        buffer_add_u32(appends, stream->open_count);
        stream->write_at = appends->len;
        appends->len += (size_t)stream->open_count * 4;
        stream->open_count = 0;
    }
    for (size_t i = 0; i < batch->open_count; i++) {
        struct batch_stream *stream = &batch->streams[batch->open[i].stream];
        store_u32(appends->data + stream->write_at, batch->open[i].payload);
        stream->write_at += 4;
    }
    batch->append_count += batch->touched_count;
    begin_transaction(batch);
}

void batch_mark(struct batch *batch, struct progress progress)
{
    check(batch->open_count == 0 && batch->waiting_count == 0);
    batch->marks =
        grow(batch->marks, batch->mark_count, &batch->mark_capacity, sizeof *batch->marks);
    batch->marks[batch->mark_count++] = (struct mark){batch->appends.len, progress};
}

bool batch_is_empty(const struct batch *batch)
{
    return batch->append_count == 0;
}

size_t batch_size(const struct batch *batch)
{
    return batch->payload_end + batch->paths.len + batch->waiting_paths.len + batch->appends.len +
           (batch->open_count + batch->waiting_count) * 4;
}

size_t batch_reference_count(const struct batch *batch)
{
    return batch->reference_count + batch->waiting_count;
}

static char *put_u64(char *at, uint64_t value)
{
    store_u64(at, value);
    return at + 8;
}

void batch_put_header(char *at, struct slice producer, uint64_t epoch, struct progress before,
                      struct progress after, uint32_t payload_count)
{
    memcpy(at, "WEIRBAT1", 8);
    at = put_u64(at + CRC_END, epoch);
    at = put_u64(at, before.lsn);
    at = put_u64(at, before.step);
    at = put_u64(at, after.lsn);
    at = put_u64(at, after.step);
    uint16_t len = (uint16_t)producer.len;
    memcpy(at, &len, sizeof len);
    memcpy(at + 2, producer.data, producer.len);
    store_u32(at + 2 + producer.len, payload_count);
}

void batch_put_crc(char *start, size_t len)
{
    store_u32(start + CRC_OFFSET, crc32c(0, start + CRC_END, len - CRC_END));
}

struct slice batch_encode(struct batch *batch, struct slice producer, uint64_t epoch,
                          struct progress before, struct progress after)
{
    check(batch->open_count == 0 && batch->waiting_count == 0);
    check(producer.len > 0 && producer.len <= PRODUCER_MAX);
    struct buffer *body = &batch->body;
    body->len = batch->payload_end;
    buffer_add_u32(body, batch->stream_count);
    buffer_add_slice(body, buffer_slice(&batch->paths));
    buffer_add_u32(body, batch->append_count);
    buffer_add_slice(body, buffer_slice(&batch->appends));

    char *start = body->data + GAP - HEADER_FIXED - producer.len;
    batch_put_header(start, producer, epoch, before, after, batch->payload_count);
    struct slice whole = slice_of(start, (size_t)(body->data + body->len - start));
    batch_put_crc(start, whole.len);
    return whole;
}

static struct slice path_of(const struct batch *batch, uint32_t stream)
{
    const struct batch_stream *from = &batch->streams[stream];
    return slice_of(batch->paths.data + from->path_at, from->path_len);
}

uint32_t batch_open_payload(const struct batch *batch)
{
    return batch->open_payload;
}

void batch_take_open(struct batch *batch, const struct batch_visitor *visitor)
{
    settle_waiting(batch);
    struct reader payloads = reader_of(slice_of(batch->body.data + batch->open_payload_at,
                                                batch->payload_end - batch->open_payload_at));
    for (uint32_t i = batch->open_payload; i < batch->payload_count; i++)
        visitor->payload(visitor->context, read_bytes(&payloads, read_u32(&payloads)));
    for (size_t i = 0; i < batch->open_count; i++)
        visitor->reference(visitor->context, path_of(batch, batch->open[i].stream),
                           batch->open[i].payload);
    for (uint32_t i = 0; i < batch->touched_count; i++)
        batch->streams[batch->touched[i]].open_count = 0;
    /* The last streams first, so that no probe sequence is cut. */
    while (batch->stream_count > batch->open_stream)
        batch->table[batch->streams[--batch->stream_count].slot].index = 0;
    batch->reference_count -= batch->open_count;
    batch->payload_end = batch->body.len = batch->open_payload_at;
    batch->payload_count = batch->open_payload;
    batch->paths.len = batch->open_path_at;
    begin_transaction(batch);
}
