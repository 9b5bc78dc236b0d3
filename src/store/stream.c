#include "stream.h"

#include "weir/base/hash.h"
#include "weir/base/reader.h"

#include <stdlib.h>
#include <strings.h>

enum { STREAM_MAGIC = 0x5354524d };

static char *copy_bytes(struct slice bytes)
{
    char *copy = malloc(bytes.len + 1);
    check(copy != NULL);
    if (bytes.len)
        memcpy(copy, bytes.data, bytes.len);
    copy[bytes.len] = '\0';
    return copy;
}

struct slice media_type(struct slice content_type)
{
    if (content_type.len == 0)
        return SLICE("");
    const char *semicolon = memchr(content_type.data, ';', content_type.len);
    if (semicolon)
        content_type.len = (size_t)(semicolon - content_type.data);
    while (content_type.len && *content_type.data == ' ')
        content_type = slice_of(content_type.data + 1, content_type.len - 1);
    while (content_type.len && content_type.data[content_type.len - 1] == ' ')
        content_type.len--;
    return content_type;
}

bool media_type_eq(struct slice a, struct slice b)
{
    a = media_type(a);
    b = media_type(b);
    return a.len == b.len && strncasecmp(a.data, b.data, a.len) == 0;
}

struct stream *stream_new(uint64_t id, struct slice path, uint64_t path_hash,
                          struct slice content_type)
{
    struct stream *stream = calloc(1, sizeof *stream + path.len + content_type.len);
    check(stream != NULL);
    char *names = (char *)(stream + 1);
    stream->magic = STREAM_MAGIC;
    stream->id = id;
    stream->path_hash = path_hash;
    stream->path = names;
    stream->path_len = path.len;
    stream->content_type = names + path.len;
    stream->content_type_len = content_type.len;
    if (path.len)
        memcpy(names, path.data, path.len);
    if (content_type.len)
        memcpy(names + path.len, content_type.data, content_type.len);
    stream->is_json = media_type_eq(content_type, SLICE("application/json"));
    return stream;
}

void stream_check(const struct stream *stream)
{
    check(stream->magic == STREAM_MAGIC);
}

void stream_fetch(const struct stream *stream)
{
    enum { LINE = 64 };
    for (size_t at = 0; at < offsetof(struct stream, content_type); at += LINE)
        __builtin_prefetch((const char *)stream + at);
    __builtin_prefetch(stream + 1); /* the path */
}

void stream_free(struct stream *stream)
{
    stream_check(stream);
    check(stream->references == 0 && !stream->is_listed && !stream->watchers);
    stream->magic = 0;
    for (size_t i = 0; i < stream->producer_count; i++)
        free(stream->producers[i].name);
    free(stream->producers);
    free(stream->entries);
    free(stream->seq);
    free(stream);
}

/* Entries leave at the front and come at the end: the room at the front is used again when it is
 * at least half. */
static void make_entry_room(struct stream *stream)
{
    if (stream->first + stream->count < stream->capacity)
        return;
    if (stream->first > stream->count) {
        memmove(stream->entries, stream->entries + stream->first,
                stream->count * sizeof *stream->entries);
        stream->first = 0;
        return;
    }
    stream->capacity = stream->capacity ? stream->capacity * 2 : 4;
    stream->entries = realloc(stream->entries, stream->capacity * sizeof *stream->entries);
    check(stream->entries != NULL);
}

void stream_add_entry(struct stream *stream, struct entry entry)
{
    make_entry_room(stream);
    stream->entries[stream->first + stream->count++] = entry;
}

void stream_drop_entries(struct stream *stream, const struct frame *frame)
{
    while (stream->count && stream->entries[stream->first].frame == frame) {
        stream->first++;
        stream->count--;
    }
    if (stream->count == 0) {
        free(stream->entries);
        stream->entries = NULL;
        stream->first = stream->capacity = 0;
    }
}

size_t stream_find_entry(const struct stream *stream, uint64_t position)
{
    size_t low = stream->first, high = stream->first + stream->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (stream->entries[middle].position < position)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct producer *stream_find_producer(struct stream *stream, struct slice name)
{
    for (size_t i = 0; i < stream->producer_count; i++) {
        struct producer *producer = &stream->producers[i];
        if (slice_eq(slice_of(producer->name, producer->name_len), name))
            return producer;
    }
    return NULL;
}

struct producer *stream_add_producer(struct stream *stream, struct slice name)
{
    stream->producers =
        realloc(stream->producers, (stream->producer_count + 1) * sizeof *stream->producers);
    check(stream->producers != NULL);
    struct producer *producer = &stream->producers[stream->producer_count++];
    *producer = (struct producer){.name = copy_bytes(name), .name_len = name.len};
    return producer;
}

void stream_set_seq(struct stream *stream, struct slice seq)
{
    free(stream->seq);
    stream->seq = copy_bytes(seq);
    stream->seq_len = seq.len;
}

int64_t stream_deadline(const struct stream *stream)
{
    if (stream->has_expires_at)
        return stream->expires_at_ms;
    if (!stream->has_ttl || stream->ttl_s > INT64_MAX / 4000)
        return INT64_MAX;
    return stream->used_ms + (int64_t)(stream->ttl_s * 1000);
}

int64_t stream_use_slack_ms(const struct stream *stream)
{
    enum { SLACK_MAX_S = 60 * 8 };
    return (int64_t)(stream->ttl_s < SLACK_MAX_S ? stream->ttl_s : SLACK_MAX_S) * 1000 / 8;
}

int64_t record_deadline(struct slice record)
{
    check(record.len > 10);
    return (int64_t)load_u64(record.data + 2);
}

struct slice record_path(struct slice record)
{
    struct reader reader = reader_of(record);
    read_bytes(&reader, 10);
    return read_bytes(&reader, read_u16(&reader));
}

enum {
    RECORD_TTL = 1,
    RECORD_EXPIRES_AT = 2,
    RECORD_CLOSED = 4,
    RECORD_SOFT_DELETED = 8,
    RECORD_SEQ = 16,
    RECORD_FORK = 32,
    RECORD_WRITER = 64,
    RECORD_VERSION = 1,
};

static uint8_t record_flags(const struct stream *stream)
{
    return (uint8_t)((stream->has_ttl ? RECORD_TTL : 0) |
                     (stream->has_expires_at ? RECORD_EXPIRES_AT : 0) |
                     (stream->is_closed ? RECORD_CLOSED : 0) |
                     (stream->is_soft_deleted ? RECORD_SOFT_DELETED : 0) |
                     (stream->seq ? RECORD_SEQ : 0) | (stream->fork.source_id ? RECORD_FORK : 0) |
                     (stream->writer != WRITER_NONE ? RECORD_WRITER : 0));
}

static void add_short_string(struct buffer *out, const char *data, size_t len)
{
    buffer_add_u16(out, (uint16_t)len);
    buffer_add(out, data, len);
}

void stream_encode(const struct stream *stream, struct buffer *out)
{
    buffer_add_char(out, RECORD_VERSION);
    buffer_add_char(out, (char)record_flags(stream));
    buffer_add_u64(out, (uint64_t)stream_deadline(stream));
    add_short_string(out, stream->path, stream->path_len);
    add_short_string(out, stream->content_type, stream->content_type_len);
    buffer_add_u64(out, stream->tail);
    buffer_add_u64(out, (uint64_t)stream->created_ms);
    buffer_add_u64(out, (uint64_t)stream->logged_use_ms);
    buffer_add_u32(out, stream->fork_count);
    if (stream->has_ttl)
        buffer_add_u64(out, stream->ttl_s);
    if (stream->has_expires_at)
        buffer_add_u64(out, (uint64_t)stream->expires_at_ms);
    if (stream->fork.source_id) {
        buffer_add_u64(out, stream->fork.source_id);
        buffer_add_u64(out, stream->fork.position);
        buffer_add_u64(out, stream->fork.offset);
        buffer_add_u64(out, stream->fork.sub_offset);
    }
    if (stream->seq)
        add_short_string(out, stream->seq, stream->seq_len);
    buffer_add_u32(out, (uint32_t)stream->producer_count);
    for (size_t i = 0; i < stream->producer_count; i++) {
        const struct producer *producer = &stream->producers[i];
        add_short_string(out, producer->name, producer->name_len);
        buffer_add_u64(out, producer->epoch);
        buffer_add_u64(out, producer->seq);
        buffer_add_char(out, producer->has_closed);
    }
    if (stream->writer != WRITER_NONE)
        buffer_add_u64(out, stream->writer);
}

static void decode_producers(struct stream *stream, struct reader *reader)
{
    uint32_t count = read_u32(reader);
    for (uint32_t i = 0; i < count && !reader->failed; i++) {
        struct producer *producer =
            stream_add_producer(stream, read_bytes(reader, read_u16(reader)));
        producer->epoch = read_u64(reader);
        producer->seq = read_u64(reader);
        producer->has_closed = read_u8(reader) != 0;
    }
}

static void decode_rest(struct stream *stream, struct reader *reader, uint8_t flags)
{
    stream->tail = stream->durable_tail = stream->stored_tail = read_u64(reader);
    stream->created_ms = (int64_t)read_u64(reader);
    stream->logged_use_ms = (int64_t)read_u64(reader);
    stream->fork_count = read_u32(reader);
    stream->is_closed = stream->is_durably_closed = flags & RECORD_CLOSED;
    stream->is_soft_deleted = stream->is_durably_gone = flags & RECORD_SOFT_DELETED;
    stream->has_ttl = flags & RECORD_TTL;
    stream->has_expires_at = flags & RECORD_EXPIRES_AT;
    if (stream->has_ttl)
        stream->ttl_s = read_u64(reader);
    if (stream->has_expires_at)
        stream->expires_at_ms = (int64_t)read_u64(reader);
    if (flags & RECORD_FORK) {
        stream->fork.source_id = read_u64(reader);
        stream->fork.position = read_u64(reader);
        stream->fork.offset = read_u64(reader);
        stream->fork.sub_offset = read_u64(reader);
    }
    if (flags & RECORD_SEQ)
        stream_set_seq(stream, read_bytes(reader, read_u16(reader)));
    decode_producers(stream, reader);
    if (flags & RECORD_WRITER)
        stream->writer = read_u64(reader);
}

struct stream *stream_decode(uint64_t id, struct slice record)
{
    struct reader reader = reader_of(record);
    uint8_t version = read_u8(&reader), flags = read_u8(&reader);
    read_u64(&reader); /* the deadline, which follows from the rest */
    struct slice path = read_bytes(&reader, read_u16(&reader));
    struct slice content_type = read_bytes(&reader, read_u16(&reader));
    if (reader.failed || version != RECORD_VERSION)
        return NULL;
    struct stream *stream = stream_new(id, path, hash64(hash_process_key(), path), content_type);
    decode_rest(stream, &reader, flags);
    /* Uses are logged only now and then (store_touch); what is not in the log is made good here, so
     * that no stream expires early. */
    stream->used_ms = stream->logged_use_ms + stream_use_slack_ms(stream);
    if (!reader.failed)
        return stream;
    stream_free(stream);
    return NULL;
}

void stream_hold(struct stream *stream)
{
    stream_check(stream);
    stream->references++;
}

struct slice stream_path(const struct stream *stream)
{
    return slice_of(stream->path, stream->path_len);
}

struct slice stream_content_type(const struct stream *stream)
{
    return slice_of(stream->content_type, stream->content_type_len);
}

bool stream_is_json(const struct stream *stream)
{
    return stream->is_json;
}

uint64_t stream_id(const struct stream *stream)
{
    return stream->id;
}

int64_t stream_created_ms(const struct stream *stream)
{
    return stream->created_ms;
}

uint64_t stream_tail(const struct stream *stream)
{
    return stream->durable_tail;
}

uint64_t stream_staged_tail(const struct stream *stream)
{
    return stream->tail;
}

bool stream_is_closed(const struct stream *stream)
{
    return stream->is_durably_closed;
}

bool stream_is_gone(const struct stream *stream)
{
    return stream->is_gone || stream->is_soft_deleted;
}

bool stream_is_durable(const struct stream *stream, const struct store *store)
{
    return stream->created_ticket <= store_durable(store);
}

uint64_t stream_ticket(const struct stream *stream)
{
    return stream->ticket;
}

bool stream_ttl(const struct stream *stream, uint64_t *seconds)
{
    *seconds = stream->ttl_s;
    return stream->has_ttl;
}

bool stream_expires_at(const struct stream *stream, int64_t *wall_ms)
{
    *wall_ms = stream->expires_at_ms;
    return stream->has_expires_at;
}

void stream_watch(struct stream *stream, void *watchers)
{
    stream_check(stream);
    check(stream->references > 0 || !watchers);
    stream->watchers = watchers;
}

void *stream_watchers(const struct stream *stream)
{
    return stream->watchers;
}
