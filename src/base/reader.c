#include "weir/base/reader.h"

#include "weir/base/buffer.h"

struct reader reader_of(struct slice bytes)
{
    /* Never a NULL pointer, to which not even 0 may be added. */
    const char *at = bytes.data ? bytes.data : "";
    return (struct reader){at, at + (bytes.data ? bytes.len : 0), false};
}

struct slice read_bytes(struct reader *reader, size_t len)
{
    if (reader->failed || reader_left(reader) < len) {
        reader->failed = true;
        return SLICE_NONE;
    }
    struct slice bytes = slice_of(reader->at, len);
    reader->at += len;
    return bytes;
}

uint8_t read_u8(struct reader *reader)
{
    struct slice bytes = read_bytes(reader, 1);
    return bytes.data ? (uint8_t)bytes.data[0] : 0;
}

uint16_t read_u16(struct reader *reader)
{
    struct slice bytes = read_bytes(reader, 2);
    return bytes.data ? load_u16(bytes.data) : 0;
}

uint32_t read_u32(struct reader *reader)
{
    struct slice bytes = read_bytes(reader, 4);
    return bytes.data ? load_u32(bytes.data) : 0;
}

uint64_t read_u64(struct reader *reader)
{
    struct slice bytes = read_bytes(reader, 8);
    return bytes.data ? load_u64(bytes.data) : 0;
}
