#include "weir/publish/stream_reader.h"

#include "url.h"

#include <jansson.h>
#include <stdlib.h>

enum { OFFSET_SIZE = 64 };

struct stream_reader {
    struct publisher *publisher;
    json_t *listing; /* a page of it */
    size_t at;
    json_int_t next; /* what the next page of the listing comes after; -1: none does */
    const char *path;
    char offset[OFFSET_SIZE];
    bool is_at_end;
};

struct stream_reader *stream_reader_new(struct publisher *publisher)
{
    struct stream_reader *reader = calloc(1, sizeof *reader);
    check(reader != NULL);
    reader->publisher = publisher;
    return reader;
}

void stream_reader_free(struct stream_reader *reader)
{
    if (!reader)
        return;
    json_decref(reader->listing);
    free(reader);
}

/* READING_ITEM: 200. */
static enum reading get(struct stream_reader *reader, const char *below, struct slice *answer,
                        struct err *err)
{
    long status;
    /* Errors leave the path out: it holds a subject, which is a value of a row. */
    if (!publisher_get(reader->publisher, below, &status, answer, err)) {
        err_set(err, "reading back what the streams hold: the stream server did not answer");
        return READING_UNREACHABLE;
    }
    if (status == 200)
        return READING_ITEM;
    if (status == 404)
        return READING_END;
    err_set(err, "reading back what the streams hold: the stream server answered %ld", status);
    if (status == 408 || status == 429 || status >= 500)
        return READING_UNREACHABLE;
    if (status == 401 || status == 403)
        err_hint(err, "give the bridge the server's --writer-token-file as --streams-token-file");
    else
        err_hint(err, "do the bridge and the server have the same version?");
    return READING_REFUSED;
}

static enum reading next_listing(struct stream_reader *reader, struct err *err)
{
    struct buffer below = BUFFER_INIT;
    struct slice answer;
    char *name = url_make("", "/__weir/producers/", publisher_name(reader->publisher));
    buffer_printf(&below, "%s/streams?after=%lld", name, (long long)reader->next);
    enum reading result = get(reader, buffer_str(&below), &answer, err);
    free(name);
    buffer_release(&below);
    if (result != READING_ITEM)
        return result;
    json_decref(reader->listing);
    reader->listing = json_loadb(answer.data, answer.len, 0, NULL);
    const json_t *next = json_object_get(reader->listing, "next");
    reader->at = 0;
    reader->next = json_is_integer(next) ? json_integer_value(next) : -1;
    if (json_is_array(json_object_get(reader->listing, "streams")))
        return READING_ITEM;
    err_set(err, "the stream server does not say which streams it holds");
    err_hint(err, "do the bridge and the server have the same version?");
    return READING_REFUSED;
}

enum reading stream_reader_next(struct stream_reader *reader, struct slice *path, bool *is_own,
                                struct err *err)
{
    while (reader->at == json_array_size(json_object_get(reader->listing, "streams"))) {
        if (reader->next < 0)
            return READING_END;
        enum reading result = next_listing(reader, err);
        if (result != READING_ITEM)
            return result;
    }
    const json_t *item = json_array_get(json_object_get(reader->listing, "streams"), reader->at++);
    const json_t *name = json_object_get(item, "path");
    reader->path = json_string_value(name);
    if (!reader->path) {
        err_set(err, "the stream server names a stream without a path");
        return READING_REFUSED;
    }
    *path = slice_of(reader->path, json_string_length(name));
    *is_own = json_is_true(json_object_get(item, "own"));
    strcpy(reader->offset, "-1");
    reader->is_at_end = false;
    return READING_ITEM;
}

enum reading stream_reader_page(struct stream_reader *reader, struct slice *page, struct err *err)
{
    if (reader->is_at_end)
        return READING_END;
    struct buffer below = BUFFER_INIT;
    buffer_printf(&below, "/%s?offset=%s", reader->path, reader->offset);
    enum reading result = get(reader, buffer_str(&below), page, err);
    buffer_release(&below);
    if (result != READING_ITEM)
        return result;
    const char *next = publisher_answer_header(reader->publisher, "Stream-Next-Offset");
    const char *up_to_date = publisher_answer_header(reader->publisher, "Stream-Up-To-Date");
    if (!next[0] || strlen(next) >= sizeof reader->offset) {
        err_set(err, "the stream server answers a read without Stream-Next-Offset");
        return READING_REFUSED;
    }
    strcpy(reader->offset, next);
    reader->is_at_end = strcmp(up_to_date, "true") == 0;
    return READING_ITEM;
}
