/* Deciding on appends, closes and deletions. Protocol 5.2 to 5.4. */
#include "operation.h"

#include "weir/base/clock.h"
#include "weir/base/json.h"

static void add_message(struct store *store, struct slice **messages, size_t *count,
                        struct slice message)
{
    /* A power of two is full. */
    if ((*count & (*count - 1)) == 0) {
        size_t capacity = *count ? *count * 2 : 1;
        struct slice *grown = arena_alloc(&store->scratch, capacity * sizeof *grown);
        if (*count)
            memcpy(grown, *messages, *count * sizeof *grown);
        *messages = grown;
    }
    (*messages)[(*count)++] = message;
}

bool store_split(struct store *store, struct slice body, bool is_json, struct slice **messages,
                 size_t *count)
{
    *messages = NULL;
    *count = 0;
    if (!is_json) {
        if (body.len)
            add_message(store, messages, count, body);
        return true;
    }
    struct json_scan scan = json_scan_of(body);
    struct json_value value;
    if (!json_array_begin(&scan)) {
        scan = json_scan_of(body);
        if (!json_scan_value(&scan, &value) || !json_scan_end(&scan))
            return false;
        add_message(store, messages, count, value.raw);
        return true;
    }
    enum json_step step;
    while ((step = json_array_next(&scan, *count == 0, &value)) == JSON_STEP_ITEM)
        add_message(store, messages, count, value.raw);
    return step == JSON_STEP_END && json_scan_end(&scan);
}

/* That it is closed comes before all else that might be wrong, so that the writer learns of it; the
 * request that closed it may come again. */
static enum append_result append_to_closed(struct stream *stream,
                                           const struct append_request *request,
                                           struct append_answer *answer)
{
    if (!request->has_producer)
        return request->body.len ? APPEND_CLOSED : APPEND_ALREADY_CLOSED;
    const struct producer *producer = stream_find_producer(stream, request->producer);
    bool is_closer = producer && producer->has_closed && request->epoch == producer->epoch &&
                     request->producer_seq == producer->seq;
    answer->epoch = request->epoch;
    answer->producer_seq = request->producer_seq;
    return is_closer ? APPEND_DUPLICATE : APPEND_CLOSED;
}

/* Protocol 5.2.1, validation logic. APPEND_OK: new data. */
static enum append_result check_producer(struct stream *stream,
                                         const struct append_request *request,
                                         struct append_answer *answer)
{
    const struct producer *producer = stream_find_producer(stream, request->producer);
    answer->epoch = request->epoch;
    answer->producer_seq = request->producer_seq;
    uint64_t expected = producer ? producer->seq + 1 : 0;
    if (!producer && stream->producer_count >= STREAM_PRODUCERS_MAX)
        return APPEND_TOO_MANY_PRODUCERS;
    if (producer && request->epoch < producer->epoch) {
        answer->epoch = producer->epoch;
        return APPEND_STALE_EPOCH;
    }
    if (producer && request->epoch > producer->epoch)
        return request->producer_seq ? APPEND_EPOCH_START : APPEND_OK;
    if (request->producer_seq < expected) {
        answer->producer_seq = producer->seq;
        return APPEND_DUPLICATE;
    }
    if (request->producer_seq > expected) {
        answer->producer_seq = expected;
        return APPEND_SEQ_GAP;
    }
    return APPEND_OK;
}

static enum append_result check_append(struct stream *stream, const struct append_request *request,
                                       struct append_answer *answer)
{
    if (request->body.len == 0 && !request->closes)
        return APPEND_EMPTY;
    if (stream->is_closed)
        return append_to_closed(stream, request, answer);
    if (request->body.len && !media_type_eq(request->content_type, stream_content_type(stream)))
        return APPEND_TYPE_MISMATCH;
    if (request->has_producer) {
        enum append_result result = check_producer(stream, request, answer);
        if (result != APPEND_OK)
            return result;
    }
    if (request->seq.data && stream->seq &&
        slice_cmp(request->seq, slice_of(stream->seq, stream->seq_len)) <= 0)
        return APPEND_SEQ_REGRESSION;
    return APPEND_OK;
}

static void encode_append(struct store *store, const struct stream *stream,
                          const struct append_request *request, const struct slice *messages,
                          size_t count)
{
    struct buffer *out = &store->open->bytes;
    operation_begin(out, OPERATION_APPEND);
    buffer_add_u64(out, stream->id);
    buffer_add_char(out, (char)((request->closes ? APPEND_CLOSES : 0) |
                                (request->has_producer ? APPEND_HAS_PRODUCER : 0) |
                                (request->seq.data ? APPEND_HAS_SEQ : 0)));
    buffer_add_u64(out, (uint64_t)clock_wall_ms());
    if (request->has_producer) {
        add_short(out, request->producer);
        buffer_add_u64(out, request->epoch);
        buffer_add_u64(out, request->producer_seq);
    }
    if (request->seq.data)
        add_short(out, request->seq);
    buffer_add_u32(out, (uint32_t)count);
    for (size_t i = 0; i < count; i++)
        buffer_add_u32(out, (uint32_t)messages[i].len);
    for (size_t i = 0; i < count; i++)
        buffer_add_slice(out, messages[i]);
}

static enum append_result append(struct store *store, struct stream *stream,
                                 const struct append_request *request)
{
    struct slice *messages = NULL;
    size_t count = 0;
    if (!store_split(store, request->body, stream->is_json && request->body.len, &messages, &count))
        return APPEND_BAD_JSON;
    if (request->body.len && count == 0)
        return APPEND_EMPTY;
    if (!store_reserve(store, request->body.len + count * 4 + request->producer.len +
                                  request->seq.len + 128))
        return APPEND_NO_ROOM;
    size_t from = store->open->bytes.len;
    encode_append(store, stream, request, messages, count);
    store_apply(store, from);
    return APPEND_OK;
}

enum append_result store_append(struct store *store, struct stream *stream,
                                const struct append_request *request, struct append_answer *answer)
{
    stream_check(stream);
    check(!stream_is_gone(stream));
    *answer = (struct append_answer){0};
    enum append_result result = check_append(stream, request, answer);
    if (result == APPEND_OK) {
        result = append(store, stream, request);
        arena_clear(&store->scratch);
    }
    answer->tail = stream->tail;
    answer->is_closed = stream->is_closed;
    return result;
}

bool store_delete(struct store *store, struct stream *stream)
{
    check(!stream_is_gone(stream));
    if (!store_reserve(store, 64))
        return false;
    size_t from = store->open->bytes.len;
    operation_begin(&store->open->bytes, OPERATION_DELETE);
    buffer_add_u64(&store->open->bytes, stream->id);
    store_apply(store, from);
    store->counters.deletes++;
    return true;
}

void store_touch(struct store *store, struct stream *stream)
{
    int64_t now_ms = clock_wall_ms();
    if (!stream->has_ttl)
        return;
    stream->used_ms = now_ms;
    /* What cannot be logged is forgotten at a restart at worst. */
    if (now_ms - stream->logged_use_ms <= stream_use_slack_ms(stream) || !store_reserve(store, 64))
        return;
    size_t from = store->open->bytes.len;
    operation_begin(&store->open->bytes, OPERATION_USE);
    buffer_add_u64(&store->open->bytes, stream->id);
    buffer_add_u64(&store->open->bytes, (uint64_t)now_ms);
    store_apply(store, from);
}
