#include "weir/publish/publisher.h"

#include "batch_text.h"
#include "scripted_server.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* A server with a script, and a publisher that talks to it. */
struct pair {
    struct scripted_server *server;
    struct publisher *publisher;
    int notify_fd;
};

static struct pair pair_new(const struct scripted_answer *script, size_t count)
{
    struct pair pair = {.server = scripted_server_start(script, count), .notify_fd = eventfd(0, 0)};
    struct publisher_settings settings = {.streams_url = scripted_server_url(pair.server),
                                          .producer = "weir",
                                          .token = "a-token",
                                          .queue_limit = 2};
    struct err err;
    pair.publisher = publisher_open(&settings, pair.notify_fd, &err);
    cr_assert(pair.publisher, "%s", err.message);
    return pair;
}

/* Reverse order: a publisher may be in the middle of a request. */
static void pair_free(struct pair *pair)
{
    publisher_close(pair->publisher);
    scripted_server_stop(pair->server);
    close(pair->notify_fd);
}

#define PAIR(...) \
    pair_new((const struct scripted_answer[]){__VA_ARGS__}, \
             sizeof((const struct scripted_answer[]){__VA_ARGS__}) / \
                 sizeof(struct scripted_answer))

#define CLAIMED {200, "{\"epoch\":3,\"lsn\":\"0/10\",\"step\":2}"}
#define STORED  {200, "{\"lsn\":\"0/20\",\"step\":0,\"skipped\":[]}"}

static const struct publisher_start start; /* this server keeps progress */

static void claim(struct pair *pair)
{
    struct progress progress;
    struct err err;
    cr_assert_eq(publisher_claim(pair->publisher, &start, &progress, &err), PUBLISHER_CLAIMED, "%s",
                 err.message);
    cr_assert(progress.lsn == 0x10 && progress.step == 2);
}

static void submit(struct pair *pair, const char *event, uint64_t lsn)
{
    struct batch *batch = publisher_take_empty(pair->publisher);
    batch_add_reference(batch, batch_add_stream(batch, SLICE("user/a/data")),
                        batch_add_payload(batch, slice_from_str(event)));
    batch_end_transaction(batch);
    publisher_submit(pair->publisher, batch, (struct progress){lsn, 0});
}

static bool wait_for_notice(struct pair *pair)
{
    uint64_t count;
    struct pollfd fd = {.fd = pair->notify_fd, .events = POLLIN};
    return poll(&fd, 1, 60000) == 1 && read(pair->notify_fd, &count, sizeof count) == 8;
}

static void wait_until_stored(struct pair *pair, uint64_t lsn)
{
    while (publisher_stored(pair->publisher).lsn < lsn) {
        cr_assert(publisher_is_alive(pair->publisher, NULL));
        cr_assert(wait_for_notice(pair), "no word from the publisher");
    }
}

/* Submits one batch behind a claim and returns the words with which the publisher ends. */
static struct err end_of(struct pair *pair)
{
    struct err err;
    claim(pair);
    submit(pair, "1", 0x20);
    cr_assert(wait_for_notice(pair));
    cr_assert(!publisher_is_alive(pair->publisher, &err));
    cr_assert(!publisher_has_room(pair->publisher));
    cr_assert_eq(publisher_stored(pair->publisher).lsn, 0x10);
    return err;
}

static void expect_body(struct pair *pair, size_t request, const char *expected)
{
    struct buffer text = BUFFER_INIT;
    cr_assert(batch_text(scripted_server_body(pair->server, request), &text));
    cr_assert_str_eq(buffer_str(&text), expected);
    buffer_release(&text);
}

#define EXPECT_PART(text, part) \
    cr_assert(strstr(text, part), "\"%s\" lacks \"%s\"", (const char *)(text), part)

Test(publisher, claims_and_sends_in_order_on_one_connection)
{
    struct pair pair = PAIR(CLAIMED, STORED, STORED);
    claim(&pair);
    submit(&pair, "1", 0x20);
    submit(&pair, "2", 0x30);
    wait_until_stored(&pair, 0x30);
    EXPECT_PART(scripted_server_head(pair.server, 0),
                "POST /v1/stream/__weir/producers/weir HTTP/1.1\r\n");
    const char *head = scripted_server_head(pair.server, 1);
    EXPECT_PART(head, "POST /v1/stream/__weir/batch HTTP/1.1\r\n");
    EXPECT_PART(head, "Content-Type: application/vnd.weir.batch\r\n");
    EXPECT_PART(head, "Authorization: Bearer a-token\r\n");
    cr_assert_not(strstr(head, "Expect:"));
    expect_body(&pair, 1, "weir epoch 3, 0/10+2 -> 0/20+0\nuser/a/data: 1\n");
    expect_body(&pair, 2, "weir epoch 3, 0/20+0 -> 0/30+0\nuser/a/data: 2\n");
    cr_assert_eq(scripted_server_connection_count(pair.server), 1);
    pair_free(&pair);
}

Test(publisher, sends_the_same_batch_until_it_is_stored)
{
    struct pair pair =
        PAIR(CLAIMED, {507, "no room"}, {0, ""}, {503, ""}, {429, "slow down"}, STORED);
    claim(&pair);
    submit(&pair, "1", 0x20);
    wait_until_stored(&pair, 0x20);
    cr_assert_eq(scripted_server_request_count(pair.server), 6);
    for (size_t i = 1; i < 6; i++)
        expect_body(&pair, i, "weir epoch 3, 0/10+2 -> 0/20+0\nuser/a/data: 1\n");
    pair_free(&pair);
}

Test(publisher, a_duplicate_counts_as_stored)
{
    struct pair pair =
        PAIR(CLAIMED, {0, ""}, {200, "{\"lsn\":\"0/20\",\"step\":0,\"duplicate\":true}"}, STORED);
    claim(&pair);
    submit(&pair, "1", 0x20);
    submit(&pair, "2", 0x30);
    wait_until_stored(&pair, 0x30);
    expect_body(&pair, 3, "weir epoch 3, 0/20+0 -> 0/30+0\nuser/a/data: 2\n");
    pair_free(&pair);
}

Test(publisher, skipped_streams_do_not_stop_it)
{
    struct pair pair = PAIR(
        CLAIMED,
        {200,
         "{\"lsn\":\"0/20\",\"step\":0,\"skipped\":[{\"path\":\"a\",\"reason\":\"closed\"}]}"});
    claim(&pair);
    submit(&pair, "1", 0x20);
    wait_until_stored(&pair, 0x20);
    pair_free(&pair);
}

Test(publisher, an_empty_batch_moves_progress)
{
    struct pair pair = PAIR(CLAIMED, STORED);
    claim(&pair);
    publisher_submit(pair.publisher, publisher_take_empty(pair.publisher),
                     (struct progress){0x20, 0});
    wait_until_stored(&pair, 0x20);
    expect_body(&pair, 1, "weir epoch 3, 0/10+2 -> 0/20+0\n");
    pair_free(&pair);
}

Test(publisher, ends_when_another_bridge_has_taken_over)
{
    struct pair pair = PAIR(CLAIMED, {403, "{\"error\":\"fenced\",\"epoch\":4}"});
    struct err err = end_of(&pair);
    EXPECT_PART(err.message, "another bridge has taken producer \"weir\" over (epoch 4)");
    EXPECT_PART(err.message, scripted_server_url(pair.server));
    pair_free(&pair);
}

Test(publisher, a_look_finds_that_another_bridge_has_taken_over)
{
    struct pair pair = PAIR(CLAIMED, CLAIMED, {200, "{\"epoch\":4,\"lsn\":\"0/30\",\"step\":0}"});
    struct progress own = {0x10, 0}, progress;
    struct err err;
    claim(&pair);
    cr_assert_eq(publisher_look(pair.publisher, own, &progress, &err), PUBLISHER_CLAIMED);
    cr_assert_eq(publisher_look(pair.publisher, own, &progress, &err), PUBLISHER_REFUSED);
    EXPECT_PART(err.message, "another bridge has taken producer \"weir\" over (epoch 4)");
    cr_assert_eq(progress.lsn, 0x10, "what the other one has stored is not taken over");
    pair_free(&pair);
}

Test(publisher, a_gap_names_both_places)
{
    struct pair pair = PAIR(CLAIMED, {409, "{\"error\":\"gap\",\"lsn\":\"1/AB\",\"step\":0}"});
    struct err err = end_of(&pair);
    EXPECT_PART(err.message, "at 1/AB");
    EXPECT_PART(err.message, "begins at 0/10");
    EXPECT_PART(err.hint, "--data");
    pair_free(&pair);
}

Test(publisher, other_refusals_say_what_to_do)
{
    static const struct {
        struct scripted_answer answer;
        const char *message, *hint;
    } cases[] = {
        {{401, "no token"}, "401: no token", "token"},
        {{403, "not yours"}, "403: not yours", "token"},
        {{404, ""}, "404", "--streams"},
        {{413, "at most 1 kB"}, "413: at most 1 kB", "batch of "},
        {{400, "bad checksum"}, "400: bad checksum", "version"},
        {{302, ""}, "302", "version"},
        {{200, "<html>"}, "not as a weir stream server", "--streams"},
        {{200, "{\"lsn\":\"nonsense\",\"step\":0}"}, "not as a weir stream server", "--streams"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pair pair = PAIR(CLAIMED, cases[i].answer);
        struct err err = end_of(&pair);
        EXPECT_PART(err.message, cases[i].message);
        EXPECT_PART(err.hint, cases[i].hint);
        cr_assert_not(strstr(err.message, "a-token"));
        pair_free(&pair);
    }
}

Test(publisher, a_full_queue_has_no_room_until_a_batch_is_stored)
{
    struct pair pair = PAIR(CLAIMED, {200, "{\"lsn\":\"0/20\",\"step\":0,\"skipped\":[]}"});
    claim(&pair);
    submit(&pair, "1", 0x20);
    submit(&pair, "2", 0x30);
    /* The first is stored, the second waits for an answer that never comes. */
    wait_until_stored(&pair, 0x20);
    cr_assert(publisher_has_room(pair.publisher));
    submit(&pair, "3", 0x40);
    cr_assert_not(publisher_has_room(pair.publisher));
    /* Stopping the server ends the request in hand, so that closing has nothing to wait for. */
    cr_assert(scripted_server_wait(pair.server, 3));
    scripted_server_stop(pair.server);
    publisher_close(pair.publisher);
    close(pair.notify_fd);
}

Test(publisher, a_claim_tells_unreachable_from_refused)
{
    struct progress progress;
    struct err err;
    struct pair pair = PAIR({0, ""}, {503, "starting"}, {404, ""}, {401, ""}, CLAIMED);
    cr_assert_eq(publisher_claim(pair.publisher, &start, &progress, &err), PUBLISHER_UNREACHABLE);
    cr_assert_eq(publisher_claim(pair.publisher, &start, &progress, &err), PUBLISHER_UNREACHABLE);
    cr_assert_eq(publisher_claim(pair.publisher, &start, &progress, &err), PUBLISHER_REFUSED);
    EXPECT_PART(err.hint, "--streams");
    cr_assert_eq(publisher_claim(pair.publisher, &start, &progress, &err), PUBLISHER_REFUSED);
    claim(&pair);
    pair_free(&pair);
}

Test(publisher, nobody_listening_is_unreachable)
{
    struct scripted_server *server = scripted_server_start(NULL, 0);
    struct publisher_settings settings = {
        .streams_url = scripted_server_url(server), .producer = "weir", .queue_limit = 1};
    struct progress progress;
    struct err err;
    int notify_fd = eventfd(0, 0);
    struct publisher *publisher = publisher_open(&settings, notify_fd, &err);
    scripted_server_stop(server);
    cr_assert_eq(publisher_claim(publisher, &start, &progress, &err), PUBLISHER_UNREACHABLE);
    EXPECT_PART(err.message, "/__weir/producers/weir");
    publisher_close(publisher);
    close(notify_fd);
}

Test(publisher, an_url_it_cannot_use_is_refused_and_not_repeated)
{
    static const char *const urls[] = {"ftp://secret/", "127.0.0.1:4437",
                                       "http://me:secret@127.0.0.1/v1/stream"};
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        struct publisher_settings settings = {
            .streams_url = urls[i], .producer = "weir", .queue_limit = 1};
        struct err err;
        cr_assert_null(publisher_open(&settings, -1, &err));
        cr_assert_not(strstr(err.message, "secret"));
        cr_assert(err.hint[0]);
    }
}
