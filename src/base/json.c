#include "weir/base/json.h"

#include "weir/base/utf8.h"

struct json_scan json_scan_of(struct slice text)
{
    return (struct json_scan){text.data, text.data ? text.data + text.len : NULL};
}

static void skip_space(struct json_scan *scan)
{
    while (scan->at < scan->end &&
           (*scan->at == ' ' || *scan->at == '\n' || *scan->at == '\t' || *scan->at == '\r'))
        scan->at++;
}

static bool scan_literal(struct json_scan *scan, struct slice literal)
{
    if ((size_t)(scan->end - scan->at) < literal.len ||
        memcmp(scan->at, literal.data, literal.len) != 0)
        return false;
    scan->at += literal.len;
    return true;
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* How many of the 8 bytes stand before the first quote, backslash, control or byte that is not
 * ASCII: the ways a run of plain string bytes can end. The borrow trick may flag a byte above a
 * true hit as well, never one below. */
static inline size_t plain_bytes(const char *at)
{
    uint64_t w = load_u64(at);
    const uint64_t ones = 0x0101010101010101ULL, high = 0x8080808080808080ULL;
    uint64_t quote = w ^ (ones * '"'), backslash = w ^ (ones * '\\');
    uint64_t hit = ((quote - ones) & ~quote) | ((backslash - ones) & ~backslash) |
                   ((w - ones * 0x20) & ~w) | w;
    hit &= high;
    return hit ? (size_t)__builtin_ctzll(hit) / 8 : 8;
}

static bool scan_escape(struct json_scan *scan)
{
    if (++scan->at >= scan->end)
        return false;
    switch (*scan->at) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        scan->at++;
        return true;
    case 'u':
        for (int i = 1; i <= 4; i++) {
            if (scan->at + i >= scan->end || !is_hex(scan->at[i]))
                return false;
        }
        scan->at += 5;
        return true;
    default:
        return false;
    }
}

static bool scan_string(struct json_scan *scan)
{
    const char *start = ++scan->at;
    bool is_ascii = true;
    for (;;) {
        size_t plain = 8;
        while (plain == 8 && scan->end - scan->at >= 8) {
            plain = plain_bytes(scan->at);
            scan->at += plain;
        }
        if (scan->at >= scan->end)
            return false;
        unsigned char c = (unsigned char)*scan->at;
        if (c == '"') {
            if (!is_ascii && !utf8_is_valid(slice_of(start, (size_t)(scan->at - start))))
                return false;
            scan->at++;
            return true;
        }
        if (c < 0x20)
            return false;
        if (c == '\\') {
            if (!scan_escape(scan))
                return false;
            continue;
        }
        is_ascii = is_ascii && c < 0x80;
        scan->at++;
    }
}

static bool scan_digits(struct json_scan *scan)
{
    const char *start = scan->at;
    while (scan->at < scan->end && is_digit(*scan->at))
        scan->at++;
    return scan->at > start;
}

static bool scan_number(struct json_scan *scan)
{
    if (*scan->at == '-')
        scan->at++;
    if (scan->at >= scan->end)
        return false;
    if (*scan->at == '0')
        scan->at++;
    else if (!scan_digits(scan))
        return false;
    if (scan->at < scan->end && *scan->at == '.') {
        scan->at++;
        if (!scan_digits(scan))
            return false;
    }
    if (scan->at < scan->end && (*scan->at == 'e' || *scan->at == 'E')) {
        scan->at++;
        if (scan->at < scan->end && (*scan->at == '+' || *scan->at == '-'))
            scan->at++;
        return scan_digits(scan);
    }
    return true;
}

static bool scan_scalar(struct json_scan *scan, enum json_kind *kind)
{
    switch (*scan->at) {
    case '"':
        *kind = JSON_STRING;
        return scan_string(scan);
    case 't':
        *kind = JSON_TRUE;
        return scan_literal(scan, SLICE("true"));
    case 'f':
        *kind = JSON_FALSE;
        return scan_literal(scan, SLICE("false"));
    case 'n':
        *kind = JSON_NULL;
        return scan_literal(scan, SLICE("null"));
    default:
        *kind = JSON_NUMBER;
        return (*scan->at == '-' || is_digit(*scan->at)) && scan_number(scan);
    }
}

/* In an object, the key and colon in front of the next value. */
static bool scan_key(struct json_scan *scan)
{
    skip_space(scan);
    if (scan->at >= scan->end || *scan->at != '"' || !scan_string(scan))
        return false;
    skip_space(scan);
    if (scan->at >= scan->end || *scan->at != ':')
        return false;
    scan->at++;
    return true;
}

/* Nesting is a bit per level (set: object), so that no input deepens the C stack. */
struct nesting {
    uint8_t bits[JSON_DEPTH_MAX / 8];
    size_t depth;
};

static bool nesting_push(struct nesting *nesting, bool is_object)
{
    if (nesting->depth == JSON_DEPTH_MAX)
        return false;
    uint8_t mask = (uint8_t)(1u << nesting->depth % 8);
    uint8_t *byte = &nesting->bits[nesting->depth / 8];
    *byte = (uint8_t)(is_object ? *byte | mask : *byte & ~mask);
    nesting->depth++;
    return true;
}

static bool nesting_is_object(const struct nesting *nesting)
{
    size_t top = nesting->depth - 1;
    return nesting->bits[top / 8] >> top % 8 & 1;
}

/* After a value inside a container: closes every container that ends here, then moves behind the
 * comma (and key) in front of the next value. Sets done when the outermost one closed. */
static bool scan_after_value(struct json_scan *scan, struct nesting *nesting, bool *done)
{
    while (nesting->depth) {
        skip_space(scan);
        if (scan->at >= scan->end)
            return false;
        bool is_object = nesting_is_object(nesting);
        if (*scan->at == ',') {
            scan->at++;
            return !is_object || scan_key(scan);
        }
        if (*scan->at != (is_object ? '}' : ']'))
            return false;
        scan->at++;
        nesting->depth--;
    }
    *done = true;
    return true;
}

static bool scan_container(struct json_scan *scan)
{
    struct nesting nesting;
    nesting.depth = 0;
    bool done = false;
    while (!done) {
        skip_space(scan);
        if (scan->at >= scan->end)
            return false;
        char c = *scan->at;
        if (c == '{' || c == '[') {
            if (!nesting_push(&nesting, c == '{'))
                return false;
            scan->at++;
            skip_space(scan);
            if (scan->at < scan->end && *scan->at == (c == '{' ? '}' : ']')) {
                if (!scan_after_value(scan, &nesting, &done))
                    return false;
            } else if (c == '{' && !scan_key(scan)) {
                return false;
            }
            continue;
        }
        enum json_kind ignored;
        if (!scan_scalar(scan, &ignored) || !scan_after_value(scan, &nesting, &done))
            return false;
    }
    return true;
}

bool json_scan_value(struct json_scan *scan, struct json_value *value)
{
    skip_space(scan);
    if (scan->at >= scan->end)
        return false;
    const char *start = scan->at;
    bool ok;
    if (*scan->at == '{' || *scan->at == '[') {
        value->kind = *scan->at == '{' ? JSON_OBJECT : JSON_ARRAY;
        ok = scan_container(scan);
    } else {
        ok = scan_scalar(scan, &value->kind);
    }
    if (!ok)
        return false;
    value->raw = slice_of(start, (size_t)(scan->at - start));
    skip_space(scan);
    return true;
}

bool json_scan_end(struct json_scan *scan)
{
    skip_space(scan);
    return scan->at == scan->end;
}

static bool container_begin(struct json_scan *scan, char bracket)
{
    skip_space(scan);
    if (scan->at >= scan->end || *scan->at != bracket)
        return false;
    scan->at++;
    return true;
}

/* Moves behind the comma that stands before every item but the first. */
static enum json_step container_next(struct json_scan *scan, bool first, char closing)
{
    skip_space(scan);
    if (scan->at >= scan->end)
        return JSON_STEP_INVALID;
    if (*scan->at == closing) {
        scan->at++;
        return JSON_STEP_END;
    }
    if (first)
        return JSON_STEP_ITEM;
    if (*scan->at != ',')
        return JSON_STEP_INVALID;
    scan->at++;
    return JSON_STEP_ITEM;
}

bool json_object_begin(struct json_scan *scan)
{
    return container_begin(scan, '{');
}

enum json_step json_object_key(struct json_scan *scan, bool first, struct slice *key)
{
    enum json_step step = container_next(scan, first, '}');
    if (step != JSON_STEP_ITEM)
        return step;
    skip_space(scan);
    const char *start = scan->at;
    if (scan->at >= scan->end || *scan->at != '"' || !scan_string(scan))
        return JSON_STEP_INVALID;
    *key = slice_of(start, (size_t)(scan->at - start));
    skip_space(scan);
    if (scan->at >= scan->end || *scan->at != ':')
        return JSON_STEP_INVALID;
    scan->at++;
    return JSON_STEP_ITEM;
}

enum json_step json_object_next(struct json_scan *scan, bool first, struct slice *key,
                                struct json_value *value)
{
    enum json_step step = json_object_key(scan, first, key);
    if (step != JSON_STEP_ITEM)
        return step;
    return json_scan_value(scan, value) ? JSON_STEP_ITEM : JSON_STEP_INVALID;
}

bool json_array_begin(struct json_scan *scan)
{
    return container_begin(scan, '[');
}

enum json_step json_array_item(struct json_scan *scan, bool first)
{
    return container_next(scan, first, ']');
}

enum json_step json_array_next(struct json_scan *scan, bool first, struct json_value *value)
{
    enum json_step step = json_array_item(scan, first);
    if (step != JSON_STEP_ITEM)
        return step;
    return json_scan_value(scan, value) ? JSON_STEP_ITEM : JSON_STEP_INVALID;
}

bool json_is_valid(struct slice text)
{
    struct json_scan scan = json_scan_of(text);
    struct json_value value;
    return json_scan_value(&scan, &value) && json_scan_end(&scan);
}

static unsigned hex4(const char *at)
{
    unsigned value = 0;
    for (int i = 0; i < 4; i++) {
        char c = at[i];
        value = value << 4 | (unsigned)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return value;
}

/* Decodes the \uXXXX at *at (behind the backslash and u), with its second half if it is a pair. */
static uint32_t unescape_unicode(const char **at, const char *end)
{
    uint32_t unit = hex4(*at);
    *at += 4;
    if (unit < 0xd800 || unit > 0xdfff)
        return unit;
    if (unit <= 0xdbff && end - *at >= 6 && (*at)[0] == '\\' && (*at)[1] == 'u') {
        uint32_t low = hex4(*at + 2);
        if (low >= 0xdc00 && low <= 0xdfff) {
            *at += 6;
            return 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
        }
    }
    return 0xfffd;
}

static char unescape_char(char c)
{
    switch (c) {
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return c;
    }
}

void json_unescape(struct buffer *out, struct slice token)
{
    const char *at = token.data + 1, *end = token.data + token.len - 1;
    while (at < end) {
        const char *backslash = memchr(at, '\\', (size_t)(end - at));
        const char *stop = backslash ? backslash : end;
        buffer_add(out, at, (size_t)(stop - at));
        if (!backslash)
            return;
        char c = backslash[1];
        at = backslash + 2;
        if (c == 'u') {
            char *to = buffer_reserve(out, 4);
            out->len += utf8_encode(unescape_unicode(&at, end), to);
        } else {
            buffer_add_char(out, unescape_char(c));
        }
    }
}

struct slice json_text(struct slice token, struct buffer *scratch)
{
    if (!memchr(token.data, '\\', token.len))
        return slice_of(token.data + 1, token.len - 2);
    buffer_clear(scratch);
    json_unescape(scratch, token);
    return buffer_slice(scratch);
}

static void add_escaped(struct buffer *out, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    const char *short_form = NULL;
    switch (c) {
    case '"':
        short_form = "\\\"";
        break;
    case '\\':
        short_form = "\\\\";
        break;
    case '\n':
        short_form = "\\n";
        break;
    case '\r':
        short_form = "\\r";
        break;
    case '\t':
        short_form = "\\t";
        break;
    case '\b':
        short_form = "\\b";
        break;
    case '\f':
        short_form = "\\f";
        break;
    default: {
        char code[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
        buffer_add(out, code, sizeof code);
        return;
    }
    }
    buffer_add(out, short_form, 2);
}

void json_add_string(struct buffer *out, struct slice bytes)
{
    buffer_reserve(out, bytes.len + 2);
    buffer_add_char(out, '"');
    size_t start = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char c = (unsigned char)bytes.data[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        buffer_add(out, bytes.data + start, i - start);
        add_escaped(out, c);
        start = i + 1;
    }
    buffer_add(out, bytes.data + start, bytes.len - start);
    buffer_add_char(out, '"');
}
