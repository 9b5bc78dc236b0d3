/* libFuzzer: everything the server reads out of a request's head. The first byte chooses which. */
#include "server/subscription.h"

#include "weir/base/path.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_path(struct slice text)
{
    struct buffer once = BUFFER_INIT, twice = BUFFER_INIT;
    /* What is canonical stays as it is. */
    if (path_canonical(text, &once) == PATH_OK) {
        check(path_canonical(buffer_slice(&once), &twice) == PATH_OK);
        check(slice_eq(buffer_slice(&once), buffer_slice(&twice)));
    }
    (void)path_is_canonical(text);
    buffer_release(&once);
    buffer_release(&twice);
}

static void fuzz_query(struct slice text)
{
    struct query query;
    uint64_t position;
    if (query_parse(text, &query) && query.offset.data)
        (void)parse_offset(query.offset, &position);
    query_release(&query);
}

static void fuzz_time(struct slice text)
{
    int64_t once, twice;
    char formatted[TIME_TEXT_SIZE];
    if (!parse_time(text, &once) || once < 0)
        return;
    format_time(once, formatted);
    check(parse_time(slice_from_str(formatted), &twice) && once == twice);
}

static void fuzz_number(struct slice text)
{
    uint64_t number;
    (void)parse_whole_number(text, &number);
}

static void fuzz_glob(struct slice text)
{
    struct buffer pattern = BUFFER_INIT;
    const char *newline = memchr(text.data, '\n', text.len);
    size_t len = newline ? (size_t)(newline - text.data) : text.len;
    struct slice path = newline ? slice_of(newline + 1, text.len - len - 1) : SLICE("a/b/c");
    if (glob_canonical(slice_of(text.data, len), &pattern) && path.len)
        (void)glob_match(buffer_slice(&pattern), path);
    buffer_release(&pattern);
}

/* An absolute target comes apart into scheme, authority and origin form, and nothing is lost. */
static void fuzz_target(struct slice text)
{
    struct buffer uri = BUFFER_INIT, canonical = BUFFER_INIT;
    buffer_add_slice(&uri, text);
    const char *whole = buffer_str(&uri), *end = whole + strlen(whole);
    struct target target = parse_target(whole);
    check(target.origin >= whole && target.origin <= end);
    if (!target.authority.data) {
        check(target.origin == whole);
    } else {
        check(target.authority.data > whole && target.authority.data[-1] == '/');
        check(target.authority.data + target.authority.len == target.origin);
        check(!*target.origin || strchr("/?#", *target.origin));
        check(parse_target(target.origin).origin == target.origin);
    }
    /* What goes into Location can be a header. */
    if (is_authority(target.authority))
        check(is_field_value(target.authority));
    if (*target.origin == '/') {
        struct slice path = slice_of(target.origin + 1, strcspn(target.origin + 1, "?"));
        if (path_canonical(path, &canonical) == PATH_OK)
            check(is_field_value(path));
    }
    buffer_release(&uri);
    buffer_release(&canonical);
}

static void fuzz_field(struct slice text)
{
    struct slice trimmed = field_trim(text);
    check(trimmed.data == text.data && trimmed.len <= text.len);
    check(slice_eq(field_trim(trimmed), trimmed));
    if (is_field_value(text))
        check(!memchr(text.data, '\r', text.len) && !memchr(text.data, '\0', text.len));
    if (is_authority(text))
        check(is_field_value(text) && slice_eq(trimmed, text));
    (void)is_true(trimmed);
}

/* A tag, then a line with the list to look for it in. */
static void fuzz_etags(struct slice text)
{
    const char *newline = memchr(text.data, '\n', text.len);
    if (!newline)
        return;
    size_t len = (size_t)(newline - text.data);
    struct slice etag = slice_of(text.data, len);
    struct slice list = slice_of(newline + 1, text.len - len - 1);
    bool is_found = etags_name(list, etag);
    if (is_found && !slice_eq_str(field_trim(list), "*"))
        check(memmem(list.data, list.len, etag.data, etag.len));
    /* One that is well-formed is found in front of whatever there is. */
    if (len < 2 || etag.data[0] != '"' || memchr(etag.data + 1, '"', len - 1) != newline - 1)
        return;
    struct buffer longer = BUFFER_INIT;
    buffer_add_str(&longer, " , W/");
    buffer_add_slice(&longer, etag);
    buffer_add_slice(&longer, list);
    check(etags_name(buffer_slice(&longer), etag));
    buffer_release(&longer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const parts[])(struct slice) = {fuzz_path,   fuzz_query,  fuzz_time,  fuzz_glob,
                                                  fuzz_number, fuzz_target, fuzz_field, fuzz_etags};
    if (size)
        parts[data[0] % (sizeof parts / sizeof *parts)](slice_of((const char *)data + 1, size - 1));
    return 0;
}
