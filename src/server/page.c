/* Pages as they go out, and a small cache of them: those who wait for the same data are woken
 * together and ask for the same page, and many begin with the same stream.
 *
 * A page that is used stays, unless another one has its slot: who reads more than the cache holds,
 * from end to end and again, would else push out each page just before it is asked for. Where all
 * are in use, others pass by it. */
#include "internal.h"

#include "weir/base/hash.h"

#include <stdlib.h>

enum {
    CACHE_SLOTS = 1024,
    WAYS = 8, /* slots that a page may be in; else pages that fall on one another never stay */
    CACHE_SHARE =
        4, /* all but a fourth of --cache-size is for pages that stay, and that for others */
    UNUSED_MS = 1000, /* and another page may take its place */
    LOOKS_MAX = 16,   /* for such a one */
    PASSING = 8,
};

struct slot {
    uint64_t stream, start, tail;
    bool was_closed;
    enum encoding encoding;
    struct encoded_page page; /* blob NULL: free */
    uint64_t used_ms;
};

struct page_cache {
    struct slot slots[CACHE_SLOTS];
    struct slot passing[PASSING]; /* the latest pages that found no place */
    size_t next_passing;
    size_t hand;  /* the slot to be looked at next, for a place */
    size_t bytes; /* in slots */
    struct buffer scratch;
};

struct page_cache *page_cache_new(void)
{
    struct page_cache *cache = calloc(1, sizeof *cache);
    check(cache != NULL);
    return cache;
}

static bool is_passing(const struct page_cache *cache, const struct slot *slot)
{
    return slot >= cache->passing && slot < cache->passing + PASSING;
}

static void clear_slot(struct page_cache *cache, struct slot *slot)
{
    if (!slot->page.blob)
        return;
    if (!is_passing(cache, slot))
        cache->bytes -= slot->page.blob->len;
    blob_drop(slot->page.blob);
    slot->page.blob = NULL;
}

static void clear_all(struct page_cache *cache)
{
    for (size_t i = 0; i < PASSING; i++)
        clear_slot(cache, &cache->passing[i]);
    for (size_t i = 0; i < CACHE_SLOTS; i++)
        clear_slot(cache, &cache->slots[i]);
}

/* Whether it is full of pages that are in use. */
static bool is_crowded(struct page_cache *cache, size_t bytes_max, uint64_t now_ms)
{
    for (size_t looks = 0; cache->bytes > bytes_max && looks < LOOKS_MAX;) {
        struct slot *slot = &cache->slots[cache->hand++ % CACHE_SLOTS];
        if (!slot->page.blob)
            continue;
        if (now_ms - slot->used_ms >= UNUSED_MS)
            clear_slot(cache, slot);
        looks++;
    }
    return cache->bytes > bytes_max;
}

void page_cache_free(struct page_cache *cache)
{
    clear_all(cache);
    buffer_release(&cache->scratch);
    free(cache);
}

/* The page's bytes, in an array for JSON; their number. */
static size_t content_size(const struct page *page, bool is_json)
{
    size_t commas = page->count ? page->count - 1 : 0;
    return page->bytes + (is_json ? commas + 2 : 0);
}

static void write_content(char *to, const struct page *page, bool is_json)
{
    if (is_json)
        *to++ = '[';
    for (size_t i = 0; i < page->count; i++) {
        if (is_json && i)
            *to++ = ',';
        memcpy(to, page->messages[i].data, page->messages[i].len);
        to += page->messages[i].len;
    }
    if (is_json)
        *to++ = ']';
}

/* A client takes one space behind the colon away, if any, so a line's own needs another. */
static void begin_line(struct buffer *out, struct slice rest)
{
    buffer_add_str(out, rest.len && rest.data[0] == ' ' ? "data: " : "data:");
}

/* CR, LF and CRLF all end a line for a client, so each begins a new data line here: no payload can
 * pass for an event of its own. */
static void add_lines(struct buffer *out, struct slice text)
{
    begin_line(out, text);
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (c != '\r' && c != '\n') {
            buffer_add_char(out, c);
            continue;
        }
        if (c == '\r' && i + 1 < text.len && text.data[i + 1] == '\n')
            i++;
        buffer_add_char(out, '\n');
        begin_line(out, slice_of(text.data + i + 1, text.len - i - 1));
    }
}

static void add_base64(struct buffer *out, struct slice bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *in = (const unsigned char *)bytes.data;
    char *to = buffer_reserve(out, (bytes.len + 2) / 3 * 4);
    for (size_t i = 0; i < bytes.len; i += 3, to += 4) {
        size_t left = bytes.len - i;
        unsigned v = (unsigned)in[i] << 16;
        v |= left > 1 ? (unsigned)in[i + 1] << 8 : 0;
        v |= left > 2 ? (unsigned)in[i + 2] : 0;
        to[0] = digits[v >> 18];
        to[1] = digits[v >> 12 & 63];
        to[2] = left > 1 ? digits[v >> 6 & 63] : '=';
        to[3] = left > 2 ? digits[v & 63] : '=';
    }
    out->len += (bytes.len + 2) / 3 * 4;
}

static bool has_line_ends(struct slice text)
{
    return memchr(text.data, '\n', text.len) || memchr(text.data, '\r', text.len);
}

static void add_sse(struct buffer *out, struct buffer *scratch, const struct page *page,
                    enum encoding encoding)
{
    bool is_json = encoding == ENCODING_SSE_JSON;
    buffer_clear(scratch);
    write_content(buffer_reserve(scratch, content_size(page, is_json)), page, is_json);
    scratch->len = content_size(page, is_json);
    struct slice content = buffer_slice(scratch);
    buffer_add_str(out, "event: data\n");
    if (encoding != ENCODING_SSE_BASE64 && has_line_ends(content)) {
        add_lines(out, content);
    } else if (encoding == ENCODING_SSE_BASE64) {
        buffer_add_str(out, "data:");
        add_base64(out, content);
    } else {
        begin_line(out, content);
        buffer_add_slice(out, content);
    }
    buffer_add_str(out, "\n\n");
}

static struct blob *encode(struct page_cache *cache, const struct page *page,
                           enum encoding encoding)
{
    struct buffer out = BUFFER_INIT;
    if (encoding == ENCODING_RAW || encoding == ENCODING_JSON) {
        bool is_json = encoding == ENCODING_JSON;
        struct blob *content = blob_new(content_size(page, is_json));
        write_content(content->data, page, is_json);
        return content;
    }
    if (page->count)
        add_sse(&out, &cache->scratch, page, encoding);
    struct blob *blob = blob_copy(buffer_slice(&out));
    buffer_release(&out);
    return blob;
}

/* The first of the slots that a page may be in. */
static struct slot *home_of(struct page_cache *cache, const struct stream *stream,
                            uint64_t position, enum encoding encoding)
{
    /* Not by a multiplication: pages begin at equal distances, of which some fall together. */
    const uint64_t key[] = {stream_id(stream), position, encoding};
    uint64_t hash = hash64(hash_process_key(), slice_of((const char *)key, sizeof key));
    return &cache->slots[hash % (CACHE_SLOTS / WAYS) * WAYS];
}

static bool is_for(const struct slot *slot, const struct stream *stream, uint64_t position,
                   enum encoding encoding)
{
    return slot->page.blob && slot->stream == stream_id(stream) && slot->start == position &&
           slot->encoding == encoding;
}

static bool holds(const struct slot *slot, const struct stream *stream, uint64_t position,
                  enum encoding encoding)
{
    return is_for(slot, stream, position, encoding) && slot->tail == stream_tail(stream) &&
           slot->was_closed == stream_is_closed(stream);
}

/* The slot that holds the page, or NULL. */
static struct slot *slot_of(struct page_cache *cache, const struct stream *stream,
                            uint64_t position, enum encoding encoding)
{
    struct slot *home = home_of(cache, stream, position, encoding);
    for (size_t i = 0; i < WAYS; i++) {
        if (holds(&home[i], stream, position, encoding))
            return &home[i];
    }
    for (size_t i = 0; i < PASSING; i++) {
        if (holds(&cache->passing[i], stream, position, encoding))
            return &cache->passing[i];
    }
    return NULL;
}

/* Where a page that is nowhere may stay: in place of what it was before the stream grew, in a free
 * slot, or in that of the page which has not been used for longest. */
static struct slot *place_of(struct page_cache *cache, const struct stream *stream,
                             uint64_t position, enum encoding encoding)
{
    struct slot *home = home_of(cache, stream, position, encoding), *place = home;
    for (size_t i = 0; i < WAYS; i++) {
        if (is_for(&home[i], stream, position, encoding))
            return &home[i];
        if (place->page.blob && (!home[i].page.blob || home[i].used_ms < place->used_ms))
            place = &home[i];
    }
    return place;
}

/* What slow readers hold is bounded: whoever comes when there is no room is told to come back, and
 * for each of them one who has been slow for longest is cut, and may come back too. */
static bool has_room(struct server *server)
{
    size_t bytes_max = server->settings->cache_bytes;
    if (blob_bytes() <= bytes_max)
        return true;
    clear_all(server->pages);
    if (blob_bytes() <= bytes_max)
        return true;
    request_cut_slowest(&server->senders);
    return false;
}

static void fill(struct page_cache *cache, struct slot *slot, const struct stream *stream,
                 const struct page *page, enum encoding encoding)
{
    clear_slot(cache, slot);
    *slot = (struct slot){
        .stream = stream_id(stream),
        .start = page->start,
        .tail = stream_tail(stream),
        .was_closed = stream_is_closed(stream),
        .encoding = encoding,
        .page = {encode(cache, page, encoding), page->end, page->is_at_tail, page->is_closed}};
    if (!is_passing(cache, slot))
        cache->bytes += slot->page.blob->len;
}

enum page_result page_encode(struct server *server, struct stream *stream, uint64_t position,
                             enum encoding encoding, struct encoded_page *encoded)
{
    struct page_cache *cache = server->pages;
    struct slot *slot = slot_of(cache, stream, position, encoding);
    struct page page;
    if (!slot) {
        if (!has_room(server))
            return PAGE_CROWDED_OUT;
        if (store_read(server->store, stream, position, server->settings->page_bytes, &page) !=
            READ_OK)
            return PAGE_BAD_OFFSET;
        size_t cache_bytes = server->settings->cache_bytes;
        if (is_crowded(cache, cache_bytes - cache_bytes / CACHE_SHARE, server->turn_ms))
            slot = &cache->passing[cache->next_passing++ % PASSING];
        else
            slot = place_of(cache, stream, position, encoding);
        fill(cache, slot, stream, &page, encoding);
        server->counters.pages_encoded++;
    }
    slot->used_ms = server->turn_ms;
    *encoded = slot->page;
    return PAGE_OK;
}
