#include "folder.h"

#include "weir/base/buffer.h"
#include "weir/base/log.h"

#include <criterion/criterion.h>
#include <ftw.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct folder folder_make(void)
{
    struct folder folder = {"/tmp/weir-store-XXXXXX"};
    cr_assert_not_null(mkdtemp(folder.path));
    log_configure(LOG_ERROR, LOG_LOGFMT);
    return folder;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

void folder_remove(const struct folder *folder)
{
    nftw(folder->path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

struct store_settings folder_settings(const struct folder *folder, bool checkpoints)
{
    struct store_settings settings = store_settings_default(folder->path);
    settings.segment_bytes = 64 << 10;
    settings.idle_streams = 16;
    settings.cache_bytes = 0;
    settings.checkpoint_slice = 1; /* so that much happens between the copies */
    settings.checkpoint_ms = checkpoints ? 0 : 3600000;
    return settings;
}

struct store *folder_open(const struct folder *folder, bool checkpoints)
{
    struct err err;
    struct store_settings settings = folder_settings(folder, checkpoints);
    struct store *store = store_open(&settings, &err);
    cr_assert(store != NULL, "%s", err.message);
    return store;
}

static void wait_for_event(struct store *store)
{
    struct pollfd fd = {.fd = store_event_fd(store), .events = POLLIN};
    cr_assert_eq(poll(&fd, 1, 60000), 1);
}

void store_settle(struct store *store)
{
    store_turn(store);
    while (store_durable(store) < store_staged(store)) {
        wait_for_event(store);
        store_turn(store);
    }
}

void store_await_checkpoints(struct store *store, uint64_t count)
{
    store_settle(store);
    while (store_counters(store).checkpoints < count) {
        wait_for_event(store);
        store_turn(store);
    }
}

void store_end(struct store *store)
{
    struct err err;
    cr_assert(store_close(store, &err), "%s", err.message);
}

struct stream *make_stream(struct store *store, const char *path, const char *type)
{
    struct create_request request = {.path = slice_from_str(path),
                                     .content_type = slice_from_str(type)};
    struct stream *stream = NULL;
    cr_assert_eq(store_create(store, &request, &stream), CREATE_NEW);
    return stream;
}

enum append_result append_text(struct store *store, struct stream *stream, const char *text)
{
    struct append_answer answer;
    struct append_request request = {.body = slice_from_str(text),
                                     .content_type = stream_content_type(stream)};
    return store_append(store, stream, &request, &answer);
}

const char *read_all(struct store *store, struct stream *stream, uint64_t position, size_t limit)
{
    static struct buffer out;
    struct page page;
    buffer_clear(&out);
    do {
        cr_assert_eq(store_read(store, stream, position, limit, &page), READ_OK);
        for (size_t i = 0; i < page.count; i++) {
            if (out.len && stream_is_json(stream))
                buffer_add_char(&out, ',');
            buffer_add_slice(&out, page.messages[i]);
        }
        cr_assert(page.is_at_tail || page.end > position);
        position = page.end;
    } while (!page.is_at_tail);
    return buffer_str(&out);
}
