#include "access.h"

#include "subscription.h"
#include "weir/base/path.h"
#include "weir/base/percent.h"

static const struct slice placeholder = {"{sub}", 5};

/* The first one of a list; the rest stays. */
static struct slice take_until(struct slice *text, char separator)
{
    const char *end = memchr(text->data, separator, text->len);
    struct slice first = *text;
    size_t text_len = text->len;
    *text = SLICE_NONE;
    if (end) {
        first.len = (size_t)(end - first.data);
        *text = slice_of(end + 1, text_len - first.len - 1);
    }
    return first;
}

/* The subject goes in decoded, and the whole segment is encoded: whatever the subject is, it stays
 * within its segment and is no star. */
static bool add_segment(struct slice segment, struct slice subject, struct buffer *out)
{
    struct buffer decoded = BUFFER_INIT;
    const char *at = memmem(segment.data, segment.len, placeholder.data, placeholder.len);
    if (!at)
        return glob_canonical(segment, out);
    size_t before = (size_t)(at - segment.data);
    struct slice after = slice_of(at + placeholder.len, segment.len - before - placeholder.len);
    bool ok = percent_decode(&decoded, slice_of(segment.data, before));
    buffer_add_slice(&decoded, subject);
    ok = ok && percent_decode(&decoded, after);
    if (ok)
        percent_encode_segment(out, buffer_slice(&decoded));
    buffer_release(&decoded);
    return ok;
}

static bool expand(struct slice pattern, struct slice subject, struct buffer *out)
{
    buffer_clear(out);
    do {
        if (out->len)
            buffer_add_char(out, '/');
        if (!add_segment(take_until(&pattern, '/'), subject, out))
            return false;
    } while (pattern.data);
    return true;
}

bool grant_check_patterns(const char *patterns, struct err *err)
{
    struct buffer out = BUFFER_INIT;
    struct slice rest = slice_from_str(patterns);
    bool ok = rest.len > 0;
    while (ok && rest.data)
        ok = expand(take_until(&rest, ','), SLICE("x"), &out);
    buffer_release(&out);
    if (ok)
        return true;
    err_set(err, "--auth-streams %s is not a list of patterns of paths", patterns);
    return err_hint(err, "for example user/{sub}/**,public/**");
}

bool grant_may_read(const char *patterns, const struct token_claims *claims, struct slice path)
{
    struct buffer out = BUFFER_INIT;
    struct slice rest = slice_from_str(patterns), subject = slice_from_str(claims->subject);
    bool may_read = false;
    while (!may_read && rest.data)
        may_read =
            expand(take_until(&rest, ','), subject, &out) && glob_match(buffer_slice(&out), path);
    for (size_t i = 0; !may_read && i < claims->stream_count; i++) {
        buffer_clear(&out);
        may_read = glob_canonical(slice_from_str(claims->streams[i]), &out) &&
                   glob_match(buffer_slice(&out), path);
    }
    buffer_release(&out);
    return may_read;
}
