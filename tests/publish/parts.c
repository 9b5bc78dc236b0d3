/* A batch taken apart for several requests, against the batch sent whole. */
#include "publish/parts.h"

#include "batch_text.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { STREAMS = 12, TRANSACTIONS = 40, PART = 400, PARTS_MAX = 4000 };

static unsigned seed;

static unsigned below(unsigned limit)
{
    return (unsigned)rand_r(&seed) % limit;
}

static struct progress end_of(int transaction)
{
    return (struct progress){0x1000 + 0x100 * (uint64_t)transaction, 0};
}

static const struct progress start = {0x800, 0};

/* Most transactions are small; some are larger than a part, by many streams or by one. */
static struct batch *random_batch(void)
{
    struct batch *batch = batch_new();
    char text[32];
    int n = 0;
    for (int i = 0; i < TRANSACTIONS; i++) {
        unsigned kind = below(8), events = kind == 0 ? 200 : kind == 1 ? 60 : below(4);
        for (unsigned j = 0; j < events; j++) {
            snprintf(text, sizeof text, "%d", n++);
            uint32_t payload = batch_add_payload(batch, slice_from_str(text));
            unsigned readers = kind == 1 ? 1 : 1 + below(3);
            for (unsigned k = 0; k < readers; k++) {
                snprintf(text, sizeof text, "user/%u", kind == 1 ? 0 : below(STREAMS));
                batch_add_reference(batch, batch_add_stream(batch, slice_from_str(text)), payload);
            }
        }
        batch_end_transaction(batch);
        if (events)
            batch_mark(batch, end_of(i));
    }
    return batch;
}

/* Adds each stream's events of a request, behind one another: what a reader of it sees. */
static void add_streams(struct slice body, struct buffer streams[STREAMS])
{
    struct buffer text = BUFFER_INIT;
    cr_assert(batch_text(body, &text), "a part is malformed");
    char *line = strchr((char *)(uintptr_t)buffer_str(&text), '\n') + 1;
    for (char *end; (end = strchr(line, '\n')); line = end + 1) {
        *end = '\0';
        char *colon = strchr(line, ':');
        long stream = strtol(line + strlen("user/"), NULL, 10);
        cr_assert(stream >= 0 && stream < STREAMS);
        buffer_add_str(&streams[stream], colon + 1);
    }
    buffer_release(&text);
}

static void release(struct buffer streams[STREAMS])
{
    for (int i = 0; i < STREAMS; i++)
        buffer_release(&streams[i]);
}

static void expect_same(struct buffer a[STREAMS], struct buffer b[STREAMS])
{
    for (int i = 0; i < STREAMS; i++)
        cr_assert_str_eq(buffer_str(&a[i]), buffer_str(&b[i]));
}

/* Sends all parts beyond stored; returns how many, and where each ended. */
static int send_parts(struct batch *batch, struct progress stored, struct buffer streams[STREAMS],
                      struct progress reached[PARTS_MAX])
{
    struct progress last = end_of(TRANSACTIONS), after;
    struct parts *parts = parts_new(batch, start, last, PART);
    struct slice body;
    int count = 0;
    while (parts_next(parts, SLICE("weir"), 7, stored, &body, &after)) {
        cr_assert_gt(progress_cmp(after, stored), 0, "progress goes forward");
        add_streams(body, streams);
        stored = after;
        cr_assert_lt(count, PARTS_MAX);
        reached[count++] = after;
    }
    parts_free(parts);
    cr_assert_eq(progress_cmp(stored, last), 0, "the last part reaches the end");
    return count;
}

Test(parts, all_of_them_together_are_the_batch_and_can_be_gone_on_with_anywhere)
{
    seed = (unsigned)time(NULL);
    printf("seed %u\n", seed);
    struct batch *batch = random_batch();
    struct buffer whole[STREAMS] = {BUFFER_INIT}, apart[STREAMS] = {BUFFER_INIT};
    static struct progress reached[PARTS_MAX], again[PARTS_MAX];
    add_streams(batch_encode(batch, SLICE("weir"), 7, start, end_of(TRANSACTIONS)), whole);
    int count = send_parts(batch, start, apart, reached);
    cr_assert_gt(count, 10);
    expect_same(whole, apart);

    /* A crash behind part i: the first i parts are stored, the others come. */
    for (int i = 1; i < count; i++) {
        struct buffer streams[STREAMS] = {BUFFER_INIT};
        struct progress stored = start, after;
        struct slice body;
        struct parts *parts = parts_new(batch, start, end_of(TRANSACTIONS), PART);
        for (int j = 0; j < i; j++) {
            cr_assert(parts_next(parts, SLICE("weir"), 7, stored, &body, &after));
            add_streams(body, streams);
            stored = after;
        }
        parts_free(parts);
        cr_assert_eq(send_parts(batch, stored, streams, again), count - i);
        expect_same(whole, streams);
        release(streams);
    }
    release(whole);
    release(apart);
    batch_free(batch);
}

Test(parts, a_stream_has_all_of_a_transaction_in_one_append_where_that_fits)
{
    struct batch *batch = batch_new();
    char text[32];
    for (uint32_t stream = 0; stream < STREAMS; stream++) {
        snprintf(text, sizeof text, "user/%u", stream);
        for (int i = 0; i < 10; i++)
            batch_add_reference(batch, batch_add_stream(batch, slice_from_str(text)),
                                batch_add_payload(batch, SLICE("12345678")));
    }
    batch_end_transaction(batch);
    batch_mark(batch, end_of(0));
    struct parts *parts = parts_new(batch, start, end_of(0), PART);
    struct progress stored = start, after;
    struct slice body;
    int count = 0;
    for (; parts_next(parts, SLICE("weir"), 7, stored, &body, &after); stored = after, count++) {
        struct buffer streams[STREAMS] = {BUFFER_INIT};
        add_streams(body, streams);
        for (int i = 0; i < STREAMS; i++)
            cr_assert(streams[i].len == 0 || streams[i].len == 10 * strlen(" 12345678"));
        release(streams);
    }
    cr_assert_gt(count, 1);
    cr_assert_eq(progress_cmp(stored, end_of(0)), 0);
    parts_free(parts);
    batch_free(batch);
}

struct rebuilding {
    struct batch *batch;
    uint32_t first; /* payload */
};

static void rebuild_payload(void *context, struct slice payload)
{
    batch_add_payload(((struct rebuilding *)context)->batch, payload);
}

static void rebuild_reference(void *context, struct slice path, uint32_t payload)
{
    struct rebuilding *to = context;
    batch_add_delivery(to->batch, path, payload - to->first);
}

static void add_some(struct batch *batch, int from)
{
    char text[32];
    for (int i = from; i < from + 2000; i++) {
        snprintf(text, sizeof text, "%d", i);
        uint32_t payload = batch_add_payload(batch, slice_from_str(text));
        batch_add_reference(batch, batch_add_stream(batch, SLICE("user/0")), payload);
        snprintf(text, sizeof text, "other/%d", i);
        batch_add_delivery(batch, slice_from_str(text), payload);
    }
}

static void expect_encoded_alike(struct batch *a, struct batch *b)
{
    struct slice one = batch_encode(a, SLICE("weir"), 1, start, end_of(TRANSACTIONS)),
                 other = batch_encode(b, SLICE("weir"), 1, start, end_of(TRANSACTIONS));
    cr_assert(slice_eq(one, other));
}

Test(parts, the_open_transaction_can_be_taken_out_and_built_again)
{
    seed = 5;
    struct batch *batch = random_batch(), *rebuilt = batch_new(), *alone = batch_new();
    seed = 5;
    struct batch *same = random_batch();
    add_some(batch, 0); /* the table of streams grows */
    cr_assert(batch_open_payload(batch) > 0);
    struct rebuilding rebuilding = {rebuilt, batch_open_payload(batch)};
    struct batch_visitor visitor = {&rebuilding, rebuild_payload, rebuild_reference};
    batch_take_open(batch, &visitor);
    expect_encoded_alike(batch, same);
    add_some(alone, 0);
    batch_end_transaction(alone);
    batch_end_transaction(rebuilt);
    expect_encoded_alike(alone, rebuilt);

    add_some(batch, 5000); /* every stream that is left is still found */
    add_some(same, 5000);
    batch_end_transaction(batch);
    batch_end_transaction(same);
    expect_encoded_alike(batch, same);
    batch_free(batch);
    batch_free(same);
    batch_free(rebuilt);
    batch_free(alone);
}
