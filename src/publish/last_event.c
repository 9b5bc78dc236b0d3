#include "last_event.h"

#include "weir/base/buffer.h"
#include "weir/base/check.h"
#include "weir/base/json.h"

#include <string.h>

static bool add_text(struct buffer *out, struct slice token)
{
    if (!token.len || token.data[0] != '"')
        return false;
    json_unescape(out, token);
    buffer_add_char(out, '\0');
    return true;
}

/* Adds the texts of the named members, in the order of the names, without those that are
 * not there. */
static bool add_members(struct buffer *out, struct slice object, const char *const *names,
                        size_t count)
{
    struct slice found[4] = {{0}};
    struct json_scan scan = json_scan_of(object);
    struct json_value value;
    struct slice name;
    enum json_step step;
    bool first = true;
    check(count <= sizeof found / sizeof *found);
    if (!json_object_begin(&scan))
        return false;
    while ((step = json_object_next(&scan, first, &name, &value)) == JSON_STEP_ITEM) {
        first = false;
        for (size_t i = 0; i < count; i++) {
            if (slice_eq_str(name, names[i]))
                found[i] = value.raw;
        }
    }
    bool ok = step == JSON_STEP_END && json_scan_end(&scan);
    for (size_t i = 0; i < count; i++) {
        if (found[i].data && found[i].data[0] == '{')
            buffer_add_slice(out, found[i]);
        else if (found[i].data)
            ok = add_text(out, found[i]) && ok;
    }
    return ok;
}

bool event_identity(struct slice event, struct hash128 *identity)
{
    static const char *const event_names[] = {"\"type\"", "\"key\""};
    static const char *const outer_names[] = {"\"headers\""};
    static const char *const header_names[] = {"\"operation\"", "\"txid\"", "\"timestamp\""};
    struct buffer text = BUFFER_INIT, headers = BUFFER_INIT;
    bool ok = add_members(&headers, event, outer_names, 1) && headers.len > 0 &&
              add_members(&text, event, event_names, 2) &&
              add_members(&text, buffer_slice(&headers), header_names, 3);
    if (ok)
        *identity = hash128(hash_process_key(), buffer_slice(&text));
    buffer_release(&text);
    buffer_release(&headers);
    return ok;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* What begins like an event and ends with the array is the last event: an object inside of it ends
 * before, and within a string the quotes are escaped. */
static bool find_last(struct slice tail, struct hash128 *identity)
{
    static const char start[] = "{\"type\":";
    size_t len = sizeof start - 1;
    for (size_t at = tail.len >= len ? tail.len - len + 1 : 0; at > 0; at--) {
        const char *from = tail.data + at - 1;
        if (*from == '{' && memcmp(from, start, len) == 0 &&
            event_identity(slice_of(from, (size_t)(tail.data + tail.len - from)), identity))
            return true;
    }
    return false;
}

static struct slice trimmed(struct slice text)
{
    while (text.len && is_space(text.data[text.len - 1]))
        text.len--;
    while (text.len && is_space(*text.data))
        text = slice_of(text.data + 1, text.len - 1);
    return text;
}

enum last_event last_event_of(struct slice tail, struct hash128 *identity)
{
    tail = trimmed(tail);
    if (!tail.len || tail.data[tail.len - 1] != ']')
        return LAST_EVENT_UNKNOWN;
    tail.len--;
    tail = trimmed(tail);
    if (tail.len == 1 && tail.data[0] == '[')
        return LAST_EVENT_NONE;
    return find_last(tail, identity) ? LAST_EVENT_FOUND : LAST_EVENT_UNKNOWN;
}
