#include "parts.h"

#include "batch_internal.h"

#include <stdlib.h>

struct parts {
    struct batch *batch;
    struct progress before, after;
    size_t part_bytes;
    size_t limit;  /* of the part being built */
    bool is_whole; /* fits into one request */
    bool is_done;

    size_t mark;        /* the transaction at hand */
    size_t append_at;   /* in appends: the append at hand */
    uint32_t refs_done; /* of it */
    uint64_t number;    /* of the parts of the transaction so far */
    struct progress transaction_before;

    size_t *payload_at;      /* in the batch's body, each payload's length field */
    uint32_t *payload_index; /* in the part being built, + 1; 0: not in it */
    uint32_t *stream_index;
    struct buffer body, streams, appends;
    uint32_t payload_count, stream_count, append_count;
};

struct append {
    uint32_t stream, count;
    const char *refs;
};

static struct append append_at(const struct batch *batch, size_t at)
{
    const char *data = batch->appends.data + at;
    return (struct append){load_u32(data), load_u32(data + 4), data + 8};
}

static void find_payloads(struct parts *parts)
{
    struct batch *batch = parts->batch;
    size_t at = GAP;
    parts->payload_at = calloc(batch->payload_count + 1, sizeof *parts->payload_at);
    parts->payload_index = calloc(batch->payload_count + 1, sizeof *parts->payload_index);
    parts->stream_index = calloc(batch->stream_count + 1, sizeof *parts->stream_index);
    check(parts->payload_at && parts->payload_index && parts->stream_index);
    for (uint32_t i = 0; i < batch->payload_count; i++) {
        parts->payload_at[i] = at;
        at += 4 + load_u32(batch->body.data + at);
    }
}

struct parts *parts_new(struct batch *batch, struct progress before, struct progress after,
                        size_t part_bytes)
{
    struct parts *parts = calloc(1, sizeof *parts);
    check(parts != NULL);
    *parts = (struct parts){.batch = batch,
                            .before = before,
                            .after = after,
                            .part_bytes = part_bytes,
                            .transaction_before = before,
                            .is_whole = batch_size(batch) <= part_bytes || batch->mark_count == 0};
    if (!parts->is_whole)
        find_payloads(parts);
    return parts;
}

void parts_free(struct parts *parts)
{
    if (!parts)
        return;
    free(parts->payload_at);
    free(parts->payload_index);
    free(parts->stream_index);
    buffer_release(&parts->body);
    buffer_release(&parts->streams);
    buffer_release(&parts->appends);
    free(parts);
}

static size_t header_size(struct slice producer)
{
    return HEADER_FIXED + producer.len;
}

static void begin_part(struct parts *parts, struct slice producer)
{
    buffer_clear(&parts->body);
    buffer_reserve(&parts->body, header_size(producer));
    parts->body.len = header_size(producer);
    buffer_clear(&parts->streams);
    buffer_clear(&parts->appends);
    parts->payload_count = parts->stream_count = parts->append_count = 0;
    parts->limit = parts->part_bytes;
    memset(parts->payload_index, 0, parts->batch->payload_count * sizeof *parts->payload_index);
    memset(parts->stream_index, 0, parts->batch->stream_count * sizeof *parts->stream_index);
}

static size_t part_size(const struct parts *parts)
{
    return parts->body.len + parts->streams.len + parts->appends.len;
}

static uint32_t use_stream(struct parts *parts, uint32_t stream)
{
    if (!parts->stream_index[stream]) {
        const struct batch_stream *from = &parts->batch->streams[stream];
        buffer_add_u16(&parts->streams, (uint16_t)from->path_len);
        buffer_add(&parts->streams, parts->batch->paths.data + from->path_at, from->path_len);
        parts->stream_index[stream] = ++parts->stream_count;
    }
    return parts->stream_index[stream] - 1;
}

static uint32_t use_payload(struct parts *parts, uint32_t payload)
{
    if (!parts->payload_index[payload]) {
        const char *from = parts->batch->body.data + parts->payload_at[payload];
        buffer_add(&parts->body, from, 4 + (size_t)load_u32(from));
        parts->payload_index[payload] = ++parts->payload_count;
    }
    return parts->payload_index[payload] - 1;
}

/* Bytes that the payload would add to the part. */
static size_t payload_size(const struct parts *parts, uint32_t payload)
{
    return parts->payload_index[payload]
               ? 0
               : 4 + load_u32(parts->batch->body.data + parts->payload_at[payload]);
}

/* Bytes that the append would add to the part. */
static size_t append_size(const struct parts *parts, const struct append *append)
{
    size_t size = 8 + 4 * (size_t)append->count;
    if (!parts->stream_index[append->stream])
        size += 2 + parts->batch->streams[append->stream].path_len;
    for (uint32_t i = 0; i < append->count; i++) {
        size += payload_size(parts, load_u32(append->refs + 4 * (size_t)i));
    }
    return size;
}

/* Adds references from parts->refs_done on, while there is room and at least one. True when the
 * append is complete. */
static bool add_append(struct parts *parts, const struct append *append, bool divide)
{
    buffer_add_u32(&parts->appends, use_stream(parts, append->stream));
    size_t count_at = parts->appends.len;
    uint32_t count = 0;
    buffer_add_u32(&parts->appends, 0);
    while (parts->refs_done < append->count) {
        uint32_t payload = load_u32(append->refs + 4 * (size_t)parts->refs_done);
        if (divide && count && part_size(parts) + payload_size(parts, payload) > parts->limit)
            break;
        parts->refs_done++;
        uint32_t index = use_payload(parts, payload);
        buffer_add_u32(&parts->appends, index);
        count++;
    }
    store_u32(parts->appends.data + count_at, count);
    parts->append_count++;
    return parts->refs_done == append->count;
}

/* Adds appends of the transaction at hand until the part is full. True when it is through. */
static bool add_transaction(struct parts *parts)
{
    struct batch *batch = parts->batch;
    size_t end = batch->marks[parts->mark].append_end;
    while (parts->append_at < end) {
        struct append append = append_at(batch, parts->append_at);
        bool is_alone = parts->append_count == 0 || parts->refs_done > 0;
        bool is_first = parts->append_count == 0;
        if (!is_alone && part_size(parts) + append_size(parts, &append) > parts->limit)
            return false;
        if (!add_append(parts, &append, is_alone))
            return false;
        /* One event that is too large by itself goes to many streams at once all the same. */
        if (is_first && part_size(parts) > parts->limit)
            parts->limit = part_size(parts) + parts->part_bytes / 64;
        parts->append_at += 8 + 4 * (size_t)append.count;
        parts->refs_done = 0;
    }
    return true;
}

/* Whether the whole next transaction still fits behind what is in the part. Counts a payload once
 * for each append, so it may say no too early, but always the same for the same events. */
static bool next_fits(const struct parts *parts)
{
    struct batch *batch = parts->batch;
    size_t size = part_size(parts), end = batch->marks[parts->mark].append_end;
    for (size_t at = parts->append_at; at < end && size <= parts->part_bytes;) {
        struct append append = append_at(batch, at);
        size += append_size(parts, &append);
        at += 8 + 4 * (size_t)append.count;
    }
    return size <= parts->part_bytes;
}

static void next_transaction(struct parts *parts)
{
    parts->transaction_before = parts->batch->marks[parts->mark].progress;
    parts->mark++;
    parts->number = 0;
}

/* The end of a part within the transaction at hand. */
static struct progress inner_progress(struct parts *parts)
{
    struct progress progress = parts->batch->marks[parts->mark].progress;
    parts->number++;
    if (progress.lsn == parts->transaction_before.lsn)
        return (struct progress){progress.lsn, parts->transaction_before.step + parts->number};
    return (struct progress){progress.lsn - 1, parts->number};
}

static struct progress fill_part(struct parts *parts)
{
    struct batch *batch = parts->batch;
    bool is_first = parts->number == 0;
    if (!add_transaction(parts))
        return inner_progress(parts);
    struct progress end = batch->marks[parts->mark].progress;
    next_transaction(parts);
    /* A transaction that came in parts ends one, so that its parts are its own. */
    while (is_first && parts->mark < batch->mark_count && next_fits(parts)) {
        check(add_transaction(parts));
        end = batch->marks[parts->mark].progress;
        next_transaction(parts);
    }
    return end;
}

static struct slice finish_part(struct parts *parts, struct slice producer, uint64_t epoch,
                                struct progress stored, struct progress after)
{
    struct buffer *body = &parts->body;
    buffer_add_u32(body, parts->stream_count);
    buffer_add_slice(body, buffer_slice(&parts->streams));
    buffer_add_u32(body, parts->append_count);
    buffer_add_slice(body, buffer_slice(&parts->appends));
    batch_put_header(body->data, producer, epoch, stored, after, parts->payload_count);
    batch_put_crc(body->data, body->len);
    return buffer_slice(body);
}

bool parts_next(struct parts *parts, struct slice producer, uint64_t epoch, struct progress stored,
                struct slice *body, struct progress *after)
{
    if (parts->is_whole) {
        if (parts->is_done)
            return false;
        parts->is_done = true;
        *after = parts->after;
        *body = batch_encode(parts->batch, producer, epoch, stored, *after);
        return true;
    }
    while (parts->mark < parts->batch->mark_count) {
        begin_part(parts, producer);
        *after = fill_part(parts);
        if (parts->mark == parts->batch->mark_count)
            *after = parts->after; /* progress may have been moved on without events */
        if (progress_cmp(*after, stored) > 0) {
            *body = finish_part(parts, producer, epoch, stored, *after);
            return true;
        }
    }
    return false;
}
