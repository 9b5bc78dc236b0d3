#include "weir/base/lsn.h"

#include <stdio.h>

const char *lsn_format(uint64_t lsn, char out[LSN_TEXT_SIZE])
{
    snprintf(out, LSN_TEXT_SIZE, "%X/%X", (unsigned)(lsn >> 32), (unsigned)(lsn & 0xffffffffu));
    return out;
}

static bool parse_half(struct slice text, uint64_t *half)
{
    if (text.len < 1 || text.len > 8)
        return false;
    uint64_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        unsigned digit;
        if (c >= '0' && c <= '9')
            digit = (unsigned)(c - '0');
        else if (c >= 'A' && c <= 'F')
            digit = (unsigned)(c - 'A' + 10);
        else if (c >= 'a' && c <= 'f')
            digit = (unsigned)(c - 'a' + 10);
        else
            return false;
        value = value << 4 | digit;
    }
    *half = value;
    return true;
}

bool lsn_parse(struct slice text, uint64_t *lsn)
{
    const char *slash = text.len ? memchr(text.data, '/', text.len) : NULL;
    uint64_t high, low;
    if (!slash || !parse_half(slice_of(text.data, (size_t)(slash - text.data)), &high) ||
        !parse_half(slice_of(slash + 1, text.len - (size_t)(slash - text.data) - 1), &low))
        return false;
    *lsn = high << 32 | low;
    return true;
}
