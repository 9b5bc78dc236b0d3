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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t number;
    if (size < 1)
        return 0;
    struct slice text = slice_of((const char *)data + 1, size - 1);
    switch (data[0] % 5) {
    case 0:
        fuzz_path(text);
        break;
    case 1:
        fuzz_query(text);
        break;
    case 2:
        fuzz_time(text);
        break;
    case 3:
        fuzz_glob(text);
        break;
    default:
        (void)parse_whole_number(text, &number);
        break;
    }
    return 0;
}
