#include "batch_text.h"

#include "weir/base/hash.h"
#include "weir/base/lsn.h"
#include "weir/base/reader.h"

enum { ITEM_MAX = 4096 };

static void add_progress(struct buffer *out, struct reader *reader)
{
    char text[LSN_TEXT_SIZE];
    buffer_add_str(out, lsn_format(read_u64(reader), text));
    buffer_printf(out, "+%llu", (unsigned long long)read_u64(reader));
}

static bool add_appends(struct reader *reader, struct buffer *out, const struct slice *payloads,
                        uint32_t payload_count, const struct slice *streams, uint32_t stream_count)
{
    for (uint32_t left = read_u32(reader); left && !reader->failed; left--) {
        uint32_t stream = read_u32(reader), references = read_u32(reader);
        if (stream >= stream_count || references == 0)
            return false;
        buffer_add_slice(out, streams[stream]);
        buffer_add_char(out, ':');
        for (; references && !reader->failed; references--) {
            uint32_t payload = read_u32(reader);
            if (payload >= payload_count)
                return false;
            buffer_add_char(out, ' ');
            buffer_add_slice(out, payloads[payload]);
        }
        buffer_add_char(out, '\n');
    }
    return !reader->failed && reader_left(reader) == 0;
}

bool batch_text(struct slice body, struct buffer *out)
{
    static struct slice payloads[ITEM_MAX], streams[ITEM_MAX];
    struct reader reader = reader_of(body);
    if (!slice_eq(read_bytes(&reader, 8), SLICE("WEIRBAT1")))
        return false;
    uint32_t crc = read_u32(&reader);
    if (crc != crc32c(0, reader.at, reader_left(&reader)))
        return false;
    uint64_t epoch = read_u64(&reader);
    struct buffer span = BUFFER_INIT;
    add_progress(&span, &reader);
    buffer_add_str(&span, " -> ");
    add_progress(&span, &reader);
    struct slice producer = read_bytes(&reader, read_u16(&reader));
    buffer_printf(out, "%.*s epoch %llu, %.*s\n", SLICE_ARG(producer), (unsigned long long)epoch,
                  SLICE_ARG(buffer_slice(&span)));
    buffer_release(&span);

    uint32_t payload_count = read_u32(&reader);
    for (uint32_t i = 0; i < payload_count && i < ITEM_MAX; i++)
        payloads[i] = read_bytes(&reader, read_u32(&reader));
    uint32_t stream_count = read_u32(&reader);
    for (uint32_t i = 0; i < stream_count && i < ITEM_MAX; i++)
        streams[i] = read_bytes(&reader, read_u16(&reader));
    return payload_count <= ITEM_MAX && stream_count <= ITEM_MAX &&
           add_appends(&reader, out, payloads, payload_count, streams, stream_count);
}
