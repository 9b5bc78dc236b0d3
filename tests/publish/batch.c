#include "weir/publish/batch.h"

#include "batch_text.h"

#include <criterion/criterion.h>
#include <stdio.h>

static const struct progress begin = {0x10, 0}, end = {0x20, 1};

static void expect(struct batch *batch, const char *appends)
{
    struct buffer text = BUFFER_INIT, expected = BUFFER_INIT;
    buffer_printf(&expected, "weir epoch 3, 0/10+0 -> 0/20+1\n%s", appends);
    struct slice body = batch_encode(batch, SLICE("weir"), 3, begin, end);
    cr_assert(batch_text(body, &text), "the body is malformed");
    cr_assert_str_eq(buffer_str(&text), buffer_str(&expected));
    buffer_release(&text);
    buffer_release(&expected);
}

Test(batch, an_empty_one_only_moves_progress)
{
    struct batch *batch = batch_new();
    cr_assert(batch_is_empty(batch));
    expect(batch, "");
    batch_free(batch);
    batch_free(NULL);
}

Test(batch, a_transaction_is_one_append_a_stream_in_order)
{
    struct batch *batch = batch_new();
    uint32_t one = batch_add_payload(batch, SLICE("{\"n\":1}"));
    uint32_t two = batch_add_payload(batch, SLICE("{\"n\":2}"));
    uint32_t a = batch_add_stream(batch, SLICE("user/a/data"));
    uint32_t b = batch_add_stream(batch, SLICE("user/b/data"));
    cr_assert_eq(batch_add_stream(batch, SLICE("user/a/data")), a);
    batch_add_reference(batch, b, one);
    batch_add_reference(batch, a, one);
    batch_add_reference(batch, b, two);
    cr_assert(batch_is_empty(batch), "an open transaction has no append yet");
    batch_end_transaction(batch);
    cr_assert(!batch_is_empty(batch));
    batch_add_reference(batch, a, two);
    batch_end_transaction(batch);
    batch_end_transaction(batch);
    cr_assert_eq(batch_reference_count(batch), 4);
    expect(batch, "user/b/data: {\"n\":1} {\"n\":2}\n"
                  "user/a/data: {\"n\":1}\n"
                  "user/a/data: {\"n\":2}\n");
    batch_free(batch);
}

Test(batch, encoding_again_or_going_on_after_it_gives_the_whole)
{
    struct batch *batch = batch_new();
    uint32_t a = batch_add_stream(batch, SLICE("a"));
    batch_add_reference(batch, a, batch_add_payload(batch, SLICE("1")));
    batch_end_transaction(batch);
    expect(batch, "a: 1\n");
    expect(batch, "a: 1\n");
    batch_add_reference(batch, a, batch_add_payload(batch, SLICE("2")));
    batch_end_transaction(batch);
    expect(batch, "a: 1\na: 2\n");
    batch_clear(batch);
    expect(batch, "");
    batch_add_reference(batch, batch_add_stream(batch, SLICE("b")),
                        batch_add_payload(batch, SLICE("3")));
    batch_end_transaction(batch);
    expect(batch, "b: 3\n");
    batch_free(batch);
}

Test(batch, many_streams_keep_their_indices)
{
    enum { STREAMS = 3000, ROUNDS = 3 };
    struct batch *batch = batch_new();
    char path[32];
    for (uint32_t round = 0; round < ROUNDS; round++) {
        for (uint32_t i = 0; i < STREAMS; i++) {
            int len = snprintf(path, sizeof path, "user/%u/data", i);
            cr_assert_eq(batch_add_stream(batch, slice_of(path, (size_t)len)), i);
        }
    }
    uint32_t payload = batch_add_payload(batch, SLICE("1"));
    struct buffer expected = BUFFER_INIT;
    for (uint32_t i = STREAMS; i-- > 0;) {
        batch_add_reference(batch, i, payload);
        buffer_printf(&expected, "user/%u/data: 1\n", i);
    }
    batch_end_transaction(batch);
    expect(batch, buffer_str(&expected));
    buffer_release(&expected);

    /* After a clear the table must not remember any of them. */
    batch_clear(batch);
    cr_assert_eq(batch_add_stream(batch, SLICE("user/2999/data")), 0);
    cr_assert_eq(batch_add_stream(batch, SLICE("user/0/data")), 1);
    batch_free(batch);
}

Test(batch, deliveries_are_as_streams_and_references)
{
    enum { DELIVERIES = 3000 };
    struct batch *batch = batch_new();
    struct buffer expected = BUFFER_INIT;
    char path[32];
    for (uint32_t round = 0; round < 2; round++) {
        uint32_t payload = batch_add_payload(batch, round ? SLICE("2") : SLICE("1"));
        for (uint32_t i = 0; i < DELIVERIES; i++) {
            snprintf(path, sizeof path, "user/%u/data", round ? DELIVERIES - 1 - i : i);
            if (i % 7)
                batch_add_delivery(batch, slice_from_str(path), payload);
            else
                batch_add_reference(batch, batch_add_stream(batch, slice_from_str(path)), payload);
            cr_assert_eq(batch_reference_count(batch), round * DELIVERIES + i + 1);
            buffer_printf(&expected, "%s: %u\n", path, round + 1);
        }
        batch_end_transaction(batch);
    }
    expect(batch, buffer_str(&expected));
    buffer_release(&expected);
    batch_free(batch);
}

Test(batch, deliveries_of_one_stream_keep_their_order)
{
    struct batch *batch = batch_new();
    uint32_t one = batch_add_payload(batch, SLICE("1")), two = batch_add_payload(batch, SLICE("2"));
    batch_add_delivery(batch, SLICE("a"), two);
    batch_add_reference(batch, batch_add_stream(batch, SLICE("a")), one);
    batch_add_delivery(batch, SLICE("a"), two);
    batch_add_delivery(batch, SLICE("a"), one);
    batch_end_transaction(batch);
    expect(batch, "a: 2 1 2 1\n");
    batch_free(batch);
}

Test(batch, size_follows_the_bytes)
{
    struct batch *batch = batch_new();
    size_t before = batch_size(batch);
    char payload[1000] = {0};
    memset(payload, '1', sizeof payload);
    uint32_t a = batch_add_stream(batch, SLICE("a"));
    batch_add_reference(batch, a, batch_add_payload(batch, slice_of(payload, sizeof payload)));
    cr_assert_geq(batch_size(batch), before + sizeof payload);
    batch_end_transaction(batch);
    struct slice body = batch_encode(batch, SLICE("weir"), 1, begin, end);
    cr_assert_geq(batch_size(batch) + 64, body.len);
    cr_assert_leq(batch_size(batch), body.len + 256);
    batch_free(batch);
}
