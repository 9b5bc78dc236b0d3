/* What the store does with single streams, each also after closing and opening the folder again. */
#include "folder.h"

#include "weir/base/buffer.h"
#include "weir/base/clock.h"
#include "weir/base/hash.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static struct stream *find(struct store *store, const char *path)
{
    struct stream *stream = NULL;
    cr_assert_eq(store_find(store, slice_from_str(path), &stream), FIND_OK, "%s", path);
    return stream;
}

Test(streams, survive_reopening_from_the_log_and_from_the_catalog)
{
    for (int checkpoints = 0; checkpoints < 2; checkpoints++) {
        struct folder folder = folder_make();
        struct store *store = folder_open(&folder, checkpoints);
        struct stream *stream = make_stream(store, "a/b", "application/json");
        cr_expect_eq(append_text(store, stream, " [1.10, {\"x\" : 2}]"), APPEND_OK);
        cr_expect_eq(append_text(store, stream, "[[3]]"), APPEND_OK);
        store_settle(store);
        cr_expect_str_eq(read_all(store, stream, 0, 1), "1.10,{\"x\" : 2},[3]");
        for (int i = 0; i < 3; i++) {
            store_end(store);
            store = folder_open(&folder, checkpoints);
            stream = find(store, "a/b");
            cr_expect(stream_is_json(stream));
            cr_expect_str_eq(read_all(store, stream, 0, 1 << 20), "1.10,{\"x\" : 2},[3]");
            cr_expect_str_eq(read_all(store, stream, 13, 1), "[3]");
        }
        store_end(store);
        folder_remove(&folder);
    }
}

Test(streams, nothing_is_readable_before_it_is_durable)
{
    struct folder folder = folder_make();
    struct store *store = folder_open(&folder, false);
    struct stream *stream = make_stream(store, "a", "text/plain");
    append_text(store, stream, "hello");
    cr_expect(!stream_is_durable(stream, store));
    cr_expect_eq(stream_tail(stream), 0);
    cr_expect_str_eq(read_all(store, stream, 0, 100), "");
    store_settle(store);
    cr_expect(stream_is_durable(stream, store));
    cr_expect_str_eq(read_all(store, stream, 0, 100), "hello");
    store_end(store);
    folder_remove(&folder);
}

Test(streams, a_deletion_has_a_ticket_until_it_is_durable)
{
    struct folder folder = folder_make();
    struct store *store = folder_open(&folder, false);
    struct stream *stream = make_stream(store, "a", "text/plain");
    store_settle(store);
    cr_expect_eq(store_path_ticket(store, SLICE("b")), 0);
    cr_expect(store_path_ticket(store, SLICE("a")) <= store_durable(store));
    cr_assert(store_delete(store, stream));
    cr_expect_eq(store_find(store, SLICE("a"), &stream), FIND_MISSING);
    cr_expect(store_path_ticket(store, SLICE("a")) > store_durable(store));
    store_settle(store);
    cr_expect(store_path_ticket(store, SLICE("a")) <= store_durable(store));
    store_end(store);
    folder_remove(&folder);
}

Test(streams, pages_end_at_append_boundaries)
{
    struct folder folder = folder_make();
    struct store *store = folder_open(&folder, false);
    struct stream *stream = make_stream(store, "a", "application/json");
    append_text(store, stream, "[1,2,3]");
    append_text(store, stream, "[4,5]");
    store_settle(store);
    for (int stored = 0; stored < 2; stored++) {
        struct page page;
        cr_expect_eq(store_read(store, stream, 0, 1, &page), READ_OK);
        cr_expect_eq(page.count, 3);
        cr_expect_eq(page.end, 3);
        cr_expect(!page.is_at_tail);
        cr_expect_eq(store_read(store, stream, 3, 1, &page), READ_OK);
        cr_expect_eq(page.count, 2);
        cr_expect(page.is_at_tail);
        cr_expect_eq(store_read(store, stream, 6, 1, &page), READ_BEYOND_TAIL);
        store_end(store);
        store = folder_open(&folder, true);
        stream = find(store, "a");
    }
    store_end(store);
    folder_remove(&folder);
}

Test(streams, json_offsets_inside_a_message_are_refused)
{
    struct folder folder = folder_make();
    struct store *store = folder_open(&folder, false);
    struct stream *stream = make_stream(store, "a", "application/json");
    append_text(store, stream, "[123,456]");
    store_settle(store);
    for (int stored = 0; stored < 2; stored++) {
        struct page page;
        cr_expect_eq(store_read(store, stream, 1, 1, &page), READ_NOT_A_BOUNDARY);
        cr_expect_eq(store_read(store, stream, 5, 1, &page), READ_NOT_A_BOUNDARY);
        cr_expect_eq(store_read(store, stream, 3, 1, &page), READ_OK);
        store_end(store);
        store = folder_open(&folder, true);
        stream = find(store, "a");
    }
    store_end(store);
    folder_remove(&folder);
}

static enum append_result produce(struct store *store, struct stream *stream, uint64_t epoch,
                                  uint64_t seq, const char *text, bool closes)
{
    struct append_answer answer;
    struct append_request request = {.body = slice_from_str(text),
                                     .content_type = stream_content_type(stream),
                                     .closes = closes,
                                     .has_producer = true,
                                     .producer = SLICE("p"),
                                     .epoch = epoch,
                                     .producer_seq = seq};
    return store_append(store, stream, &request, &answer);
}

Test(streams, producers_are_remembered)
{
    struct folder folder = folder_make();
    struct store *store = folder_open(&folder, false);
    struct stream *stream = make_stream(store, "a", "application/json");
    cr_expect_eq(produce(store, stream, 0, 1, "1", false), APPEND_SEQ_GAP);
    cr_expect_eq(produce(store, stream, 0, 0, "{", false), APPEND_BAD_JSON);
    cr_expect_eq(produce(store, stream, 0, 0, "1", false), APPEND_OK);
    cr_expect_eq(produce(store, stream, 0, 1, "2", false), APPEND_OK);
    for (int stored = 0; stored < 3; stored++) {
        cr_expect_eq(produce(store, stream, 0, 0, "9", false), APPEND_DUPLICATE);
        cr_expect_eq(produce(store, stream, 0, 1, "9", false), APPEND_DUPLICATE);
        cr_expect_eq(produce(store, stream, 0, 3, "9", false), APPEND_SEQ_GAP);
        cr_expect_eq(produce(store, stream, 1, 1, "9", false), APPEND_EPOCH_START);
        store_end(store);
        store = folder_open(&folder, stored > 0);
        stream = find(store, "a");
    }
    cr_expect_eq(produce(store, stream, 1, 0, "3", false), APPEND_OK);
    cr_expect_eq(produce(store, stream, 0, 2, "9", false), APPEND_STALE_EPOCH);
    cr_expect_eq(produce(store, stream, 2, 0, "4", true), APPEND_OK);
    cr_expect_eq(produce(store, stream, 1, 1, "9", false), APPEND_CLOSED);
    cr_expect_eq(produce(store, stream, 2, 0, "9", true), APPEND_DUPLICATE);
    cr_expect_eq(produce(store, stream, 2, 1, "9", false), APPEND_CLOSED);
    store_settle(store);
    cr_expect(stream_is_closed(stream));
    cr_expect_str_eq(read_all(store, stream, 0, 100), "1,2,3,4");
    store_end(store);
    folder_remove(&folder);
}

static enum create_result fork_stream(struct store *store, const char *path, const char *source,
                                      uint64_t offset, uint64_t sub_offset)
{
    struct stream *stream;
    struct create_request request = {
        .path = slice_from_str(path),
        .fork = {slice_from_str(source), true, offset, sub_offset},
    };
    return store_create(store, &request, &stream);
}

Test(streams, forks_read_through_to_their_sources)
{
    struct folder folder = folder_make();
    struct store *store = folder_open(&folder, false);
    append_text(store, make_stream(store, "a", "application/json"), "[1,2,3]");
    cr_expect_eq(fork_stream(store, "b", "a", 0, 2), CREATE_NEW);
    cr_expect_eq(fork_stream(store, "b", "a", 0, 2), CREATE_SAME);
    cr_expect_eq(fork_stream(store, "b", "a", 0, 1), CREATE_CONFLICT);
    cr_expect_eq(fork_stream(store, "x", "a", 0, 4), CREATE_BAD_SUB_OFFSET);
    cr_expect_eq(fork_stream(store, "x", "a", 4, 0), CREATE_BAD_OFFSET);
    cr_expect_eq(fork_stream(store, "x", "y", 0, 0), CREATE_SOURCE_MISSING);
    append_text(store, find(store, "b"), "[40]");
    append_text(store, find(store, "a"), "[5]");
    cr_expect_eq(fork_stream(store, "c", "b", 4, 0), CREATE_NEW);
    append_text(store, find(store, "c"), "[6]");
    store_settle(store);
    for (int stored = 0; stored < 2; stored++) {
        cr_expect_str_eq(read_all(store, find(store, "a"), 0, 1), "1,2,3,5");
        cr_expect_str_eq(read_all(store, find(store, "b"), 0, 1), "1,2,40");
        cr_expect_str_eq(read_all(store, find(store, "c"), 0, 1), "1,2,40,6");
        cr_expect_str_eq(read_all(store, find(store, "c"), 0, 100), "1,2,40,6");
        store_end(store);
        store = folder_open(&folder, true);
    }
    /* Deleting sources keeps them for the last fork, and no longer. */
    struct stream *stream;
    cr_expect(store_delete(store, find(store, "a")));
    cr_expect(store_delete(store, find(store, "b")));
    cr_expect_eq(store_find(store, SLICE("a"), &stream), FIND_SOFT_DELETED);
    store_settle(store);
    cr_expect_str_eq(read_all(store, find(store, "c"), 0, 1), "1,2,40,6");
    cr_expect_eq(fork_stream(store, "x", "b", 0, 0), CREATE_SOURCE_SOFT_DELETED);
    cr_expect(store_delete(store, find(store, "c")));
    for (int stored = 0; stored < 2; stored++) {
        cr_expect_eq(store_find(store, SLICE("a"), &stream), FIND_MISSING);
        cr_expect_eq(store_find(store, SLICE("b"), &stream), FIND_MISSING);
        cr_expect_eq(store_find(store, SLICE("c"), &stream), FIND_MISSING);
        store_end(store);
        store = folder_open(&folder, true);
    }
    store_end(store);
    folder_remove(&folder);
}

Test(streams, forks_of_forks_have_a_bound)
{
    struct folder folder = folder_make();
    struct store *store = folder_open(&folder, true);
    append_text(store, make_stream(store, "0", "text/plain"), "a");
    char path[12], source[12] = "0", expected[128] = "a";
    for (int i = 1; i <= 100; i++) {
        snprintf(path, sizeof path, "%d", i);
        cr_assert_eq(fork_stream(store, path, source, (uint64_t)i, 0), CREATE_NEW);
        append_text(store, find(store, path), "b");
        strcat(expected, "b");
        strcpy(source, path);
    }
    cr_expect_eq(fork_stream(store, "101", source, 0, 0), CREATE_TOO_DEEP);
    /* More ancestors than unused streams stay in memory. */
    for (int stored = 0; stored < 2; stored++) {
        store_await_checkpoints(store, 1);
        cr_expect_str_eq(read_all(store, find(store, source), 0, 1), expected);
        store_end(store);
        store = folder_open(&folder, true);
        append_text(store, make_stream(store, stored ? "y" : "x", "text/plain"), "z");
    }
    store_end(store);
    folder_remove(&folder);
}

static int64_t test_wall_ms;

static int64_t read_test_wall(void)
{
    return test_wall_ms;
}

Test(streams, expire_when_unused)
{
    struct folder folder = folder_make();
    test_wall_ms = 1700000000000;
    clock_replace(NULL, read_test_wall);
    struct store *store = folder_open(&folder, false);
    struct stream *stream;
    struct create_request request = {.path = SLICE("a"), .has_ttl = true, .ttl_s = 10};
    cr_assert_eq(store_create(store, &request, &stream), CREATE_NEW);
    request = (struct create_request){
        .path = SLICE("b"), .has_expires_at = true, .expires_at_ms = test_wall_ms + 20000};
    cr_assert_eq(store_create(store, &request, &stream), CREATE_NEW);
    for (int i = 0; i < 3; i++) {
        test_wall_ms += 5000;
        store_touch(store, find(store, "a"));
        store_end(store);
        store = folder_open(&folder, true);
    }
    test_wall_ms += 5000;
    cr_expect_eq(store_find(store, SLICE("a"), &stream), FIND_OK);
    cr_expect_eq(store_find(store, SLICE("b"), &stream), FIND_MISSING);
    test_wall_ms += 10000;
    cr_expect_eq(store_find(store, SLICE("a"), &stream), FIND_MISSING);
    store_end(store);
    clock_replace(NULL, NULL);
    folder_remove(&folder);
}

/* Turns until the stream that nobody asks for is deleted; the wall clock of the test stands still.
 */
Test(streams, expired_ones_are_swept_away, .timeout = 20)
{
    struct folder folder = folder_make();
    struct stream *stream;
    test_wall_ms = 1700000000000;
    clock_replace(NULL, read_test_wall);
    struct store *store = folder_open(&folder, true);
    struct create_request request = {.path = SLICE("a"), .has_ttl = true, .ttl_s = 10};
    cr_assert_eq(store_create(store, &request, &stream), CREATE_NEW);
    make_stream(store, "b", "text/plain");
    store_await_checkpoints(store, 1);
    test_wall_ms += 9999;
    store_end(store);
    store = folder_open(&folder, true);
    store_settle(store);
    cr_expect_eq(store_counters(store).deletes, 0);
    store_end(store);
    /* What is not in the log counts as used for a while longer. */
    test_wall_ms += 2000;
    store = folder_open(&folder, true);
    store_settle(store);
    cr_expect_eq(store_counters(store).deletes, 1);
    cr_expect_eq(store_find(store, SLICE("a"), &stream), FIND_MISSING);
    cr_expect_eq(store_find(store, SLICE("b"), &stream), FIND_OK);
    store_end(store);
    clock_replace(NULL, NULL);
    folder_remove(&folder);
}

struct batch_text {
    struct buffer body;
};

/* A batch with one payload for every path, in the format of docs/protocol-extensions.md. */
static struct slice make_batch(struct batch_text *text, uint64_t epoch, uint64_t before,
                               uint64_t after, const char *payload, const char *const *paths,
                               uint32_t count)
{
    struct buffer *out = &text->body;
    buffer_clear(out);
    buffer_add_str(out, "WEIRBAT1");
    buffer_add_u32(out, 0);
    buffer_add_u64(out, epoch);
    buffer_add_u64(out, before);
    buffer_add_u64(out, 0);
    buffer_add_u64(out, after);
    buffer_add_u64(out, 0);
    buffer_add_u16(out, 4);
    buffer_add_str(out, "slot");
    buffer_add_u32(out, 1);
    buffer_add_u32(out, (uint32_t)strlen(payload));
    buffer_add_str(out, payload);
    buffer_add_u32(out, count);
    for (uint32_t i = 0; i < count; i++) {
        buffer_add_u16(out, (uint16_t)strlen(paths[i]));
        buffer_add_str(out, paths[i]);
    }
    buffer_add_u32(out, count);
    for (uint32_t i = 0; i < count; i++) {
        buffer_add_u32(out, i);
        buffer_add_u32(out, 2);
        buffer_add_u32(out, 0);
        buffer_add_u32(out, 0);
    }
    store_u32(out->data + 8, crc32c(0, out->data + 12, out->len - 12));
    return buffer_slice(out);
}

Test(streams, batches_are_fenced_and_written_once)
{
    static const char *const paths[] = {"user/1/data", "user/2/data", "closed"};
    struct folder folder = folder_make();
    struct store *store = folder_open(&folder, false);
    struct batch_text text = {BUFFER_INIT};
    struct batch_answer answer;
    struct store_progress progress;
    cr_expect_eq(store_batch(store, make_batch(&text, 1, 0, 9, "{}", paths, 1), &answer),
                 BATCH_UNKNOWN);
    cr_expect_eq(store_claim(store, SLICE("slot"), &progress), CLAIM_OK);
    cr_expect_eq(progress.epoch, 1);
    make_stream(store, "closed", "application/json");
    struct append_answer closing;
    struct append_request close_it = {.closes = true};
    store_append(store, find(store, "closed"), &close_it, &closing);
    cr_expect_eq(store_batch(store, make_batch(&text, 1, 0, 9, "{\"n\":1}", paths, 3), &answer),
                 BATCH_OK);
    cr_expect_eq(answer.event_count, 4);
    cr_assert_eq(answer.skipped_count, 1);
    cr_expect(slice_eq_str(answer.skipped[0].path, "closed"));
    for (int stored = 0; stored < 2; stored++) {
        cr_expect_eq(store_batch(store, make_batch(&text, 1, 0, 9, "{}", paths, 1), &answer),
                     BATCH_DUPLICATE);
        cr_expect_eq(store_batch(store, make_batch(&text, 1, 10, 11, "{}", paths, 1), &answer),
                     BATCH_GAP);
        cr_expect_eq(store_batch(store, make_batch(&text, 0, 9, 11, "{}", paths, 1), &answer),
                     BATCH_FENCED);
        store_settle(store);
        cr_expect_str_eq(read_all(store, find(store, "user/1/data"), 0, 1), "{\"n\":1},{\"n\":1}");
        cr_expect_str_eq(read_all(store, find(store, "user/2/data"), 0, 1), "{\"n\":1},{\"n\":1}");
        store_end(store);
        store = folder_open(&folder, true);
    }
    cr_expect_eq(store_claim(store, SLICE("slot"), &progress), CLAIM_OK);
    cr_expect_eq(progress.epoch, 2);
    cr_expect_eq(progress.lsn, 9);
    cr_expect_eq(store_batch(store, make_batch(&text, 1, 9, 11, "{}", paths, 1), &answer),
                 BATCH_FENCED);
    store_end(store);
    buffer_release(&text.body);
    folder_remove(&folder);
}

/* Whatever byte of a batch is wrong, and wherever it is cut, nothing of it is written. */
Test(streams, damaged_batches_are_refused_whole)
{
    static const char *const paths[] = {"user/1/data", "user/2/data"};
    struct folder folder = folder_make();
    struct store *store = folder_open(&folder, false);
    struct batch_text text = {BUFFER_INIT};
    struct batch_answer answer;
    struct store_progress progress;
    struct stream *stream;
    cr_assert_eq(store_claim(store, SLICE("slot"), &progress), CLAIM_OK);
    struct slice body = make_batch(&text, 1, 0, 9, "{\"n\":1}", paths, 2);
    for (size_t cut = 0; cut < body.len; cut++) {
        /* With a checksum that fits, so that the parser is what refuses. */
        if (cut >= 12)
            store_u32(text.body.data + 8, crc32c(0, body.data + 12, cut - 12));
        cr_expect_eq(store_batch(store, slice_of(body.data, cut), &answer), BATCH_MALFORMED,
                     "cut at %zu", cut);
    }
    body = make_batch(&text, 1, 0, 9, "{\"n\":1}", paths, 2);
    for (size_t at = 0; at < body.len; at++) {
        text.body.data[at] ^= 0x10;
        cr_expect_eq(store_batch(store, body, &answer), BATCH_MALFORMED, "byte %zu", at);
        text.body.data[at] ^= 0x10;
    }
    cr_expect_eq(store_find(store, SLICE("user/1/data"), &stream), FIND_MISSING);
    cr_expect_eq(store_batch(store, make_batch(&text, 1, 0, 9, "{n}", paths, 2), &answer),
                 BATCH_MALFORMED);
    store_end(store);
    buffer_release(&text.body);
    folder_remove(&folder);
}

static void add_setting(void *context, struct slice key, struct slice value)
{
    struct buffer *out = context;
    buffer_add_slice(out, key);
    buffer_add_char(out, '=');
    buffer_add_slice(out, value);
    buffer_add_char(out, ' ');
}

Test(streams, settings_are_kept)
{
    struct folder folder = folder_make();
    struct store *store = folder_open(&folder, false);
    struct buffer out = BUFFER_INIT;
    cr_assert(store_set(store, SLICE("b/2"), SLICE("two")));
    cr_assert(store_set(store, SLICE("b/1"), SLICE("one")));
    cr_assert(store_set(store, SLICE("a/1"), SLICE("x")));
    cr_assert(store_set(store, SLICE("b/3"), SLICE("three")));
    cr_assert(store_set(store, SLICE("b/2"), SLICE("2")));
    for (int stored = 0; stored < 3; stored++) {
        store_end(store);
        store = folder_open(&folder, stored > 0);
        buffer_clear(&out);
        store_each_setting(store, SLICE("b/"), add_setting, &out);
        cr_expect_str_eq(buffer_str(&out), "b/1=one b/2=2 b/3=three ");
    }
    cr_assert(store_set(store, SLICE("b/1"), SLICE("")));
    for (int stored = 0; stored < 3; stored++) {
        buffer_clear(&out);
        store_each_setting(store, SLICE("b/"), add_setting, &out);
        cr_expect_str_eq(buffer_str(&out), "b/2=2 b/3=three ");
        store_end(store);
        store = folder_open(&folder, true);
    }
    store_end(store);
    buffer_release(&out);
    folder_remove(&folder);
}

static void add_path(void *context, struct slice path, uint64_t tail)
{
    struct buffer *out = context;
    buffer_add_slice(out, path);
    buffer_add_uint(out, tail);
}

Test(streams, all_are_seen_once)
{
    struct folder folder = folder_make();
    struct store *store = folder_open(&folder, true);
    struct buffer out = BUFFER_INIT;
    append_text(store, make_stream(store, "a", "text/plain"), "12345");
    make_stream(store, "gone", "text/plain");
    store_end(store);
    store = folder_open(&folder, true);
    cr_assert(store_delete(store, find(store, "gone")));
    store_each_stream(store, add_path, &out);
    cr_expect_str_eq(buffer_str(&out), "a5");
    append_text(store, find(store, "a"), "6");
    buffer_clear(&out);
    store_each_stream(store, add_path, &out);
    cr_expect_str_eq(buffer_str(&out), "a6");
    store_end(store);
    buffer_release(&out);
    folder_remove(&folder);
}

Test(streams, a_folder_has_one_owner)
{
    struct folder folder = folder_make();
    struct store *store = folder_open(&folder, false);
    struct err err = {0};
    struct store_settings settings = folder_settings(&folder, false);
    cr_expect_null(store_open(&settings, &err));
    cr_expect(strstr(err.message, folder.path) && strstr(err.message, "in use"), "%s", err.message);
    store_end(store);
    folder_remove(&folder);
}
