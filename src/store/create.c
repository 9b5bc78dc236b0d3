/* Deciding on a new stream, forks included. Protocol 4.2 and 5.1. */
#include "operation.h"

#include "weir/base/clock.h"

static const struct slice default_type = {"application/octet-stream", 24};

static bool is_fork(const struct create_request *request)
{
    return request->fork.source.len != 0;
}

static bool is_same_expiry(const struct stream *stream, const struct create_request *request)
{
    /* A fork that asked for none may have its source's. */
    if (stream->fork.source_id && !request->has_ttl && !request->has_expires_at)
        return true;
    return stream->has_ttl == request->has_ttl &&
           stream->has_expires_at == request->has_expires_at &&
           (!request->has_ttl || stream->ttl_s == request->ttl_s) &&
           (!request->has_expires_at || stream->expires_at_ms == request->expires_at_ms);
}

static bool is_same_fork(struct store *store, const struct stream *stream,
                         const struct create_request *request)
{
    if ((stream->fork.source_id != 0) != is_fork(request))
        return false;
    if (!is_fork(request))
        return true;
    const struct stream *source = store_stream(store, stream->fork.source_id);
    check(source != NULL);
    return slice_eq(stream_path(source), request->fork.source) &&
           (!request->fork.has_offset || stream->fork.offset == request->fork.offset) &&
           stream->fork.sub_offset == request->fork.sub_offset;
}

static bool is_same_type(const struct stream *stream, const struct create_request *request)
{
    if (request->content_type.len == 0 && is_fork(request))
        return true;
    return media_type_eq(stream_content_type(stream),
                         request->content_type.len ? request->content_type : default_type);
}

static bool is_same(struct store *store, const struct stream *stream,
                    const struct create_request *request)
{
    return is_same_type(stream, request) && stream->is_closed == request->is_closed &&
           is_same_expiry(stream, request) && is_same_fork(store, stream, request);
}

/* The position behind `sub_offset` messages or bytes of the append at `offset`. */
static bool resolve_sub_offset(const struct stream *source, const struct page *page,
                               uint64_t sub_offset, uint64_t *position)
{
    if (!source->is_json) {
        *position = page->start + sub_offset;
        return sub_offset <= page->bytes;
    }
    if (sub_offset > page->count)
        return false;
    *position = page->start;
    for (size_t i = 0; i < sub_offset; i++)
        *position += page->messages[i].len;
    return true;
}

static enum create_result resolve_fork(struct store *store, struct stream *source,
                                       const struct fork_request *request,
                                       struct fork_origin *origin)
{
    uint64_t offset = request->has_offset ? request->offset : source->tail;
    *origin = (struct fork_origin){source->id, offset, offset, request->sub_offset};
    if (offset > source->tail)
        return CREATE_BAD_OFFSET;
    if (request->sub_offset && !request->has_offset)
        return CREATE_BAD_SUB_OFFSET;
    struct page page;
    if (store_read_until(store, source, offset, source->tail, 1, &page) != READ_OK)
        return CREATE_BAD_OFFSET;
    if (!resolve_sub_offset(source, &page, request->sub_offset, &origin->position))
        return CREATE_BAD_SUB_OFFSET;
    return CREATE_NEW;
}

static void encode_create(struct store *store, const struct create_request *request,
                          const struct stream *source, const struct fork_origin *origin)
{
    struct buffer *out = &store->open->bytes;
    bool inherits = source && !request->has_ttl && !request->has_expires_at;
    bool has_ttl = inherits ? source->has_ttl : request->has_ttl;
    bool has_expires_at = inherits ? source->has_expires_at : request->has_expires_at;
    struct slice type = request->content_type;
    if (!type.len)
        type = source ? stream_content_type(source) : default_type;
    operation_begin(out, OPERATION_CREATE);
    buffer_add_u64(out, store->last_id + 1);
    buffer_add_char(
        out, (char)((has_ttl ? CREATE_HAS_TTL : 0) | (has_expires_at ? CREATE_HAS_EXPIRES_AT : 0) |
                    (request->is_closed ? CREATE_IS_CLOSED : 0) | (source ? CREATE_IS_FORK : 0)));
    add_short(out, request->path);
    add_short(out, type);
    buffer_add_u64(out, (uint64_t)clock_wall_ms());
    buffer_add_u64(out, inherits ? source->ttl_s : request->ttl_s);
    buffer_add_u64(out, (uint64_t)(inherits ? source->expires_at_ms : request->expires_at_ms));
    if (source) {
        buffer_add_u64(out, origin->source_id);
        buffer_add_u64(out, origin->position);
        buffer_add_u64(out, origin->offset);
        buffer_add_u64(out, origin->sub_offset);
    }
}

/* The initial content: an append without a producer, in the same frame. */
static void encode_content(struct store *store, uint64_t id, const struct slice *messages,
                           size_t count)
{
    struct buffer *out = &store->open->bytes;
    operation_begin(out, OPERATION_APPEND);
    buffer_add_u64(out, id);
    buffer_add_char(out, 0);
    buffer_add_u64(out, (uint64_t)clock_wall_ms());
    buffer_add_u32(out, (uint32_t)count);
    for (size_t i = 0; i < count; i++)
        buffer_add_u32(out, (uint32_t)messages[i].len);
    for (size_t i = 0; i < count; i++)
        buffer_add_slice(out, messages[i]);
}

static enum create_result create(struct store *store, const struct create_request *request,
                                 const struct stream *source, const struct fork_origin *origin)
{
    struct slice *messages = NULL;
    size_t count = 0;
    struct slice type =
        request->content_type.len || !source ? request->content_type : stream_content_type(source);
    bool is_json = media_type_eq(type, SLICE("application/json"));
    if (request->body.len && !store_split(store, request->body, is_json, &messages, &count))
        return CREATE_BAD_JSON;
    if (!store_may_add(store, 1))
        return CREATE_TOO_MANY;
    if (!store_reserve(store, request->path.len + type.len + 256 + count * 4 + request->body.len))
        return CREATE_NO_ROOM;
    size_t from = store->open->bytes.len;
    encode_create(store, request, source, origin);
    if (count)
        encode_content(store, store->last_id + 1, messages, count);
    store_apply(store, from);
    store->counters.creates++;
    return CREATE_NEW;
}

/* Each generation is a step of every read that goes back that far. */
static bool is_too_deep(struct store *store, const struct stream *source)
{
    enum { GENERATIONS_MAX = 100 };
    int count = 0;
    while (source->fork.source_id && count < GENERATIONS_MAX) {
        source = store_stream(store, source->fork.source_id);
        check(source != NULL);
        count++;
    }
    return count == GENERATIONS_MAX;
}

static enum create_result decide_fork(struct store *store, const struct create_request *request,
                                      struct stream *source)
{
    struct fork_origin origin;
    if (request->content_type.len &&
        !media_type_eq(request->content_type, stream_content_type(source)))
        return CREATE_TYPE_MISMATCH;
    if (is_too_deep(store, source))
        return CREATE_TOO_DEEP;
    enum create_result result = resolve_fork(store, source, &request->fork, &origin);
    return result == CREATE_NEW ? create(store, request, source, &origin) : result;
}

static enum create_result create_fork(struct store *store, const struct create_request *request)
{
    struct stream *source;
    switch (store_find(store, request->fork.source, &source)) {
    case FIND_MISSING:
        return CREATE_SOURCE_MISSING;
    case FIND_SOFT_DELETED:
        return CREATE_SOURCE_SOFT_DELETED;
    case FIND_OK:
        break;
    }
    stream_hold(source);
    enum create_result result = decide_fork(store, request, source);
    store_drop(store, source);
    return result;
}

enum create_result store_create_unclear(struct store *store, const struct create_request *request,
                                        struct stream **stream)
{
    enum find_result found = store_find(store, request->path, stream);
    if (found == FIND_SOFT_DELETED)
        return CREATE_SOFT_DELETED;
    if (found == FIND_OK)
        return is_same(store, *stream, request) ? CREATE_SAME : CREATE_CONFLICT;
    enum create_result result =
        is_fork(request) ? create_fork(store, request) : create(store, request, NULL, NULL);
    if (result == CREATE_NEW) {
        *stream = store_stream(store, store->last_id);
        check(*stream != NULL);
    }
    return result;
}

enum create_result store_create(struct store *store, const struct create_request *request,
                                struct stream **stream)
{
    enum create_result result = store_create_unclear(store, request, stream);
    arena_clear(&store->scratch);
    return result;
}
