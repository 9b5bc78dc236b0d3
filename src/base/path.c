#include "weir/base/path.h"

#include "weir/base/percent.h"
#include "weir/base/utf8.h"

static bool has_control(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c < 0x20 || c == 0x7f)
            return true;
    }
    return false;
}

/* Clients and proxies fold dot segments away, however they are spelt; one that arrives was meant to
 * reach somewhere else. In a batch they come encoded by our own rule and are an ordinary name. */
static bool is_dots(struct slice segment)
{
    return slice_eq_str(segment, ".") || slice_eq_str(segment, "..");
}

static enum path_result add_segment(struct slice raw, struct buffer *decoded, struct buffer *out)
{
    buffer_clear(decoded);
    if (raw.len == 0)
        return PATH_EMPTY;
    if (!percent_decode(decoded, raw))
        return PATH_BAD_ESCAPE;
    struct slice segment = buffer_slice(decoded);
    if (!utf8_is_valid(segment) || has_control(segment))
        return PATH_BAD_TEXT;
    if (is_dots(raw))
        return PATH_DOTS;
    percent_encode_segment(out, segment);
    return PATH_OK;
}

enum path_result path_canonical(struct slice raw, struct buffer *out)
{
    struct buffer decoded = BUFFER_INIT;
    size_t before = out->len;
    enum path_result result = raw.len <= PATH_BYTES_MAX ? PATH_OK : PATH_TOO_LONG;
    bool has_more = result == PATH_OK;
    while (has_more && result == PATH_OK) {
        const char *slash = memchr(raw.data, '/', raw.len);
        size_t len = slash ? (size_t)(slash - raw.data) : raw.len;
        if (out->len > before)
            buffer_add_char(out, '/');
        result = add_segment(slice_of(raw.data, len), &decoded, out);
        has_more = slash != NULL;
        if (slash)
            raw = slice_of(slash + 1, raw.len - len - 1);
    }
    if (result == PATH_OK && out->len - before > PATH_BYTES_MAX)
        result = PATH_TOO_LONG;
    if (result != PATH_OK)
        out->len = before;
    buffer_release(&decoded);
    return result;
}

/* The common case, decided without encoding anything. */
static bool is_plain(struct slice path)
{
    bool was_slash = true;
    for (size_t i = 0; i < path.len; i++) {
        char c = path.data[i];
        bool is_word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || c == '~';
        if (!is_word && (c != '/' || was_slash))
            return false;
        was_slash = c == '/';
    }
    return !was_slash && path.len <= PATH_BYTES_MAX;
}

enum path_result path_find_canonical(struct slice raw, struct buffer *out, struct slice *canonical)
{
    *canonical = raw;
    if (is_plain(raw))
        return PATH_OK;
    enum path_result result = path_canonical(raw, out);
    *canonical = buffer_slice(out);
    return result;
}

static bool is_reserved(struct slice path)
{
    const char *slash = memchr(path.data, '/', path.len);
    struct slice first = slice_of(path.data, slash ? (size_t)(slash - path.data) : path.len);
    return slice_eq_str(first, "__ds") || slice_eq_str(first, "__weir");
}

bool path_is_canonical(struct slice path)
{
    if (path.len == 0 || is_reserved(path))
        return false;
    if (is_plain(path))
        return true;
    struct buffer again = BUFFER_INIT;
    bool is_same = path_canonical(path, &again) == PATH_OK && slice_eq(buffer_slice(&again), path);
    buffer_release(&again);
    return is_same;
}

bool path_is_for_batches(struct slice path)
{
    return path_is_canonical(path) || slice_eq(path, PATH_REVOKED);
}

const char *path_explain(enum path_result result)
{
    switch (result) {
    case PATH_OK:
        break;
    case PATH_EMPTY:
        return "the path has an empty segment";
    case PATH_BAD_ESCAPE:
        return "a % in the path is not followed by two hexadecimal digits";
    case PATH_BAD_TEXT:
        return "the path is not UTF-8 or has a control character";
    case PATH_DOTS:
        return "the path has a segment . or ..";
    case PATH_TOO_LONG:
        return "the path is too long";
    }
    return "the path is fine";
}
