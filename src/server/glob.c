#include "subscription.h"

#include "weir/base/path.h"

/* Takes the first segment off; at the end text->data is NULL. */
static struct slice take_segment(struct slice *text)
{
    const char *slash = memchr(text->data, '/', text->len);
    struct slice segment = *text;
    if (!slash) {
        *text = SLICE_NONE;
        return segment;
    }
    segment.len = (size_t)(slash - text->data);
    *text = slice_of(slash + 1, text->len - segment.len - 1);
    return segment;
}

bool glob_canonical(struct slice raw, struct buffer *out)
{
    if (raw.len == 0 || raw.len > PATH_BYTES_MAX)
        return false;
    while (raw.data) {
        struct slice segment = take_segment(&raw);
        if (slice_eq_str(segment, "*") || slice_eq_str(segment, "**"))
            buffer_add_slice(out, segment);
        else if (path_canonical(segment, out) != PATH_OK)
            return false;
        if (raw.data)
            buffer_add_char(out, '/');
    }
    return true;
}

/* The classic walk with one place to come back to: a later "**" makes an earlier one unnecessary,
 * so the time is bounded by the product of the lengths. */
bool glob_match(struct slice pattern, struct slice path)
{
    struct slice pattern_again = SLICE_NONE, path_again = SLICE_NONE;
    while (path.data) {
        struct slice rest = pattern, path_rest = path;
        struct slice wanted = rest.data ? take_segment(&rest) : SLICE_NONE;
        struct slice segment = take_segment(&path_rest);
        if (wanted.data && slice_eq_str(wanted, "**")) {
            if (!rest.data)
                return true;
            pattern_again = pattern = rest;
            path_again = path;
        } else if (wanted.data && (slice_eq_str(wanted, "*") || slice_eq(wanted, segment))) {
            pattern = rest;
            path = path_rest;
        } else if (pattern_again.data) {
            take_segment(&path_again);
            pattern = pattern_again;
            path = path_again;
        } else {
            return false;
        }
    }
    while (pattern.data) {
        if (!slice_eq_str(take_segment(&pattern), "**"))
            return false;
    }
    return true;
}
