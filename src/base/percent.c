#include "weir/base/percent.h"

static bool is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

void percent_encode_segment(struct buffer *out, struct slice bytes)
{
    static const char hex[] = "0123456789ABCDEF";
    bool is_dots = slice_eq_str(bytes, ".") || slice_eq_str(bytes, "..");
    for (size_t i = 0; i < bytes.len; i++) {
        char c = bytes.data[i];
        if (is_unreserved(c) && !is_dots) {
            buffer_add_char(out, c);
            continue;
        }
        char code[3] = {'%', hex[(uint8_t)c >> 4], hex[(uint8_t)c & 15]};
        buffer_add(out, code, 3);
    }
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

bool percent_decode(struct buffer *out, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (c == '%') {
            int high = i + 1 < text.len ? hex_digit(text.data[i + 1]) : -1;
            int low = i + 2 < text.len ? hex_digit(text.data[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            c = (char)(high << 4 | low);
            i += 2;
        }
        buffer_add_char(out, c);
    }
    return true;
}
