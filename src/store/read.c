/* Reading pages: messages in frames, messages in the catalog's chunks, and those of the streams
 * that a fork came from, put together up to the end of an append. */
#include "internal.h"

#include <stdlib.h>

struct gathering {
    struct store *store;
    struct page *page;
    uint64_t until; /* of the stream asked for, or where the source of a fork ends */
    size_t limit;
    bool is_full;
};

static void add_slice(struct gathering *gathering, struct slice message)
{
    struct store *store = gathering->store;
    struct page *page = gathering->page;
    if (page->count == store->page_capacity) {
        store->page_capacity = store->page_capacity ? store->page_capacity * 2 : 256;
        store->page = realloc(store->page, store->page_capacity * sizeof *store->page);
        check(store->page != NULL);
    }
    store->page[page->count++] = message;
    page->bytes += message.len;
    page->end += message.len;
}

/* Takes a message, or what of it lies between the page's end and `until`. False when nothing more
 * is to be taken. */
static bool take(struct gathering *gathering, uint64_t position, struct slice message,
                 bool ends_append)
{
    struct page *page = gathering->page;
    if (position >= gathering->until)
        return false;
    size_t skipped = (size_t)(page->end - position);
    struct slice part = slice_of(message.data + skipped, message.len - skipped);
    if (position + message.len >= gathering->until) {
        part.len = (size_t)(gathering->until - page->end);
        ends_append = true;
    }
    add_slice(gathering, part);
    gathering->is_full = ends_append && page->bytes >= gathering->limit;
    return !gathering->is_full;
}

static bool may_start_at(const struct stream *stream, uint64_t wanted, uint64_t position)
{
    return wanted == position || !stream->is_json;
}

static enum read_result gather_memory(struct gathering *gathering, const struct stream *stream)
{
    struct page *page = gathering->page;
    size_t at = stream_find_entry(stream, page->end), end = stream->first + stream->count;
    if (at == end || stream->entries[at].position > page->end)
        at--;
    if (!may_start_at(stream, page->end, stream->entries[at].position))
        return READ_NOT_A_BOUNDARY;
    for (; at < end; at++) {
        const struct entry *entry = &stream->entries[at];
        struct slice message = slice_of(entry->frame->bytes.data + entry->offset, entry->len);
        if (!take(gathering, entry->position, message, entry->ends_append))
            break;
    }
    return READ_OK;
}

static enum read_result gather_chunk(struct gathering *gathering, const struct stream *stream)
{
    struct chunk chunk;
    struct page *page = gathering->page;
    bool is_found = catalog_chunk(gathering->store->catalog, stream->id, page->end, &chunk);
    check(is_found && chunk.start <= page->end);
    uint64_t position = chunk.start, wanted = page->end;
    const char *bytes = chunk.bytes;
    for (uint32_t i = 0; i < chunk.count; i++) {
        uint32_t packed = load_u32(chunk.lens + (size_t)i * CHUNK_LEN_SIZE);
        uint32_t len = packed & ~CHUNK_END;
        if (position + len > page->end) {
            if (page->end == wanted && !may_start_at(stream, wanted, position))
                return READ_NOT_A_BOUNDARY;
            if (!take(gathering, position, slice_of(bytes, len), packed & CHUNK_END))
                return READ_OK;
        }
        bytes += len;
        position += len;
    }
    check(page->end > wanted);
    return READ_OK;
}

/* The stream that holds what is at the page's end: the one asked for, or an ancestor of it. */
static struct stream *holder(struct gathering *gathering, struct stream *stream)
{
    uint64_t position = gathering->page->end;
    while (stream->fork.source_id && position < stream->fork.position) {
        if (stream->fork.position < gathering->until)
            gathering->until = stream->fork.position;
        stream = store_stream(gathering->store, stream->fork.source_id);
        check(stream != NULL);
    }
    return stream;
}

static enum read_result gather(struct store *store, struct stream *stream, uint64_t until,
                               size_t limit, struct page *page)
{
    enum read_result result = READ_OK;
    struct gathering gathering = {.store = store, .page = page, .limit = limit};
    while (result == READ_OK && !gathering.is_full && page->end < until) {
        gathering.until = until;
        const struct stream *source = holder(&gathering, stream);
        bool is_in_memory = source->count && page->end >= source->entries[source->first].position;
        result =
            is_in_memory ? gather_memory(&gathering, source) : gather_chunk(&gathering, source);
    }
    return result;
}

enum read_result store_read_until(struct store *store, struct stream *stream, uint64_t position,
                                  uint64_t until, size_t limit, struct page *page)
{
    stream_check(stream);
    *page = (struct page){.start = position, .end = position};
    if (position > until)
        return READ_BEYOND_TAIL;
    /* Loading a fork's ancestors may push unused streams out of memory, but not this one. */
    stream_hold(stream);
    enum read_result result = gather(store, stream, until, limit, page);
    store_drop(store, stream);
    page->messages = store->page;
    page->is_at_tail = page->end == until;
    return result;
}

enum read_result store_read(struct store *store, struct stream *stream, uint64_t position,
                            size_t limit, struct page *page)
{
    enum read_result result =
        store_read_until(store, stream, position, stream->durable_tail, limit, page);
    page->is_closed = page->is_at_tail && stream->is_durably_closed;
    return result;
}
