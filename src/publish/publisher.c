#include "weir/publish/publisher.h"

#include "answer.h"
#include "weir/http/http.h"
#include "parts.h"
#include "queue.h"
#include "url.h"

#include "weir/base/clock.h"
#include "weir/base/fault.h"
#include "weir/base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

enum {
    REQUEST_TIMEOUT_MS = 60000,
    CLAIM_TIMEOUT_MS = 10000,
    CLOSE_GRACE_MS = 2000, /* for a request in hand whose server does not answer */
    BACKOFF_FIRST_MS = 50,
    BACKOFF_MAX_MS = 10000,
};

static const char batch_type[] = "application/vnd.weir.batch";

struct publisher {
    char *producer;
    char *streams_url, *batch_url, *claim_url;
    char source[SOURCE_SIZE]; /* as it was when last asked */
    int notify_fd;
    struct http *http; /* the thread's; while it has nothing to do, publisher_claim()'s */
    atomic_ullong abort_at_ms;

    pthread_mutex_t lock; /* of everything below */
    pthread_cond_t changed;
    pthread_t thread;
    bool is_closing, has_ended;
    atomic_bool has_lost_track;
    struct err err;
    uint64_t epoch;
    struct progress submitted, stored;
    struct batch_queue queue; /* its head is the batch under way */
};

/* Tells the caller's loop. The counter of an eventfd that is full wakes it just as well. */
static void notify(const struct publisher *publisher)
{
    uint64_t one = 1;
    ssize_t ignored = write(publisher->notify_fd, &one, sizeof one);
    (void)ignored;
}

/* Half to all of the interval, so that several bridges do not return at once. */
static uint64_t with_jitter(uint64_t interval_ms)
{
    uint64_t random = 0;
    check(getrandom(&random, sizeof random, 0) == (ssize_t)sizeof random);
    return interval_ms / 2 + random % (interval_ms / 2 + 1);
}

/* With the lock: waits that long, or until the publisher closes. */
static void wait_unless_closing(struct publisher *publisher, uint64_t wait_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    uint64_t ns = (uint64_t)until.tv_nsec + wait_ms % 1000 * 1000000;
    until.tv_sec += (time_t)(wait_ms / 1000 + ns / 1000000000);
    until.tv_nsec = (long)(ns % 1000000000);
    int status = 0;
    while (!publisher->is_closing && status != ETIMEDOUT)
        status = pthread_cond_timedwait(&publisher->changed, &publisher->lock, &until);
}

/* One attempt. err is set unless the batch is stored. */
static enum answer_kind send_once(struct publisher *publisher, const struct question *question,
                                  struct slice body, struct answer *answer, struct err *err)
{
    long status;
    struct slice text;
    if (fault_fails(FAULT_PUBLISH_SEND)) {
        err_set_errno(err, errno, "%s", question->url);
        return ANSWER_RETRY;
    }
    if (!http_post(publisher->http, question->url, batch_type, body, REQUEST_TIMEOUT_MS, &status,
                   &text, err))
        return ANSWER_RETRY;
    fault_step(FAULT_PUBLISH_ANSWERED);
    return answer_read(question, status, text, answer, err);
}

/* Sends until the server has answered for good. ANSWER_RETRY: the publisher closes. */
static enum answer_kind send_request(struct publisher *publisher, struct slice body,
                                     uint64_t epoch, struct progress before, struct progress after,
                                     struct err *err)
{
    struct question question = {.url = publisher->batch_url,
                                .producer = publisher->producer,
                                .before = before,
                                .body_len = body.len};
    struct answer answer;
    uint64_t interval_ms = BACKOFF_FIRST_MS, attempts = 1;
    for (;; attempts++) {
        enum answer_kind kind = send_once(publisher, &question, body, &answer, err);
        if (kind == ANSWER_FATAL) {
            /* An epoch that is below ours was before ours, so the server has gone back. */
            publisher->has_lost_track =
                answer.is_gap || (answer.is_fenced && answer.epoch < epoch);
            return kind;
        }
        if (kind == ANSWER_STORED)
            break;
        if (attempts == 1)
            log_err(LOG_WARN, "the stream server did not store a batch; retrying", err);
        pthread_mutex_lock(&publisher->lock);
        wait_unless_closing(publisher, with_jitter(interval_ms));
        bool is_closing = publisher->is_closing;
        pthread_mutex_unlock(&publisher->lock);
        if (is_closing)
            return ANSWER_RETRY;
        interval_ms = interval_ms * 2 < BACKOFF_MAX_MS ? interval_ms * 2 : BACKOFF_MAX_MS;
    }
    if (attempts > 1)
        log_event(LOG_INFO, "the stream server stores batches again",
                  LOG_STR("url", publisher->batch_url), LOG_U("attempts", attempts));
    /* The paths hold subjects, which are values of rows. */
    if (answer.skipped_count)
        log_event(LOG_WARN, "streams that are closed or deleted were left out of a batch",
                  LOG_U("streams", answer.skipped_count), LOG_LSN("lsn", after.lsn));
    return ANSWER_STORED;
}

static void set_stored(struct publisher *publisher, struct progress stored)
{
    pthread_mutex_lock(&publisher->lock);
    publisher->stored = stored;
    pthread_mutex_unlock(&publisher->lock);
}

static enum answer_kind send_batch(struct publisher *publisher, struct batch *batch, uint64_t epoch,
                                   struct progress before, struct progress after, struct err *err)
{
    struct slice producer = slice_from_str(publisher->producer), body;
    struct parts *parts = parts_new(batch, before, after, PART_BYTES);
    enum answer_kind kind = ANSWER_STORED;
    struct progress stored = before, reached;
    while (kind == ANSWER_STORED && parts_next(parts, producer, epoch, stored, &body, &reached)) {
        kind = send_request(publisher, body, epoch, stored, reached, err);
        if (kind != ANSWER_STORED)
            break;
        stored = reached;
        set_stored(publisher, stored);
    }
    parts_free(parts);
    return kind;
}

static void *publisher_run(void *context)
{
    struct publisher *publisher = context;
    pthread_mutex_lock(&publisher->lock);
    for (;;) {
        while (!publisher->is_closing && batch_queue_is_empty(&publisher->queue))
            pthread_cond_wait(&publisher->changed, &publisher->lock);
        if (publisher->is_closing)
            break;
        struct progress after;
        struct batch *batch = batch_queue_head(&publisher->queue, &after);
        struct progress before = publisher->stored;
        uint64_t epoch = publisher->epoch;
        pthread_mutex_unlock(&publisher->lock);

        struct err err;
        enum answer_kind kind = send_batch(publisher, batch, epoch, before, after, &err);

        pthread_mutex_lock(&publisher->lock);
        if (kind == ANSWER_RETRY)
            break;
        if (kind == ANSWER_FATAL) {
            publisher->has_ended = true;
            publisher->err = err;
            notify(publisher);
            break;
        }
        publisher->stored = after;
        batch_queue_pop(&publisher->queue);
        notify(publisher);
    }
    pthread_mutex_unlock(&publisher->lock);
    return NULL;
}

static bool check_settings(const struct publisher_settings *settings, struct err *err)
{
    check(settings->queue_limit > 0);
    const char *url = settings->streams_url, *host = NULL;
    if (strncmp(url, "http://", 7) == 0)
        host = url + 7;
    else if (strncmp(url, "https://", 8) == 0)
        host = url + 8;
    /* Not quoted: it may hold a password. One that is accepted is shown in errors and logs. */
    if (!host) {
        err_set(err, "the stream server's URL does not begin with http:// or https://");
        return err_hint(err, "for example --streams http://127.0.0.1:4437/v1/stream");
    }
    if (memchr(host, '@', strcspn(host, "/"))) {
        err_set(err, "the stream server's URL holds a user or password");
        return err_hint(err, "leave it out, and give the bridge a token");
    }
    return true;
}

struct publisher *publisher_open(const struct publisher_settings *settings, int notify_fd,
                                 struct err *err)
{
    if (!check_settings(settings, err))
        return NULL;
    struct publisher *publisher = calloc(1, sizeof *publisher);
    check(publisher != NULL);
    publisher->producer = strdup(settings->producer);
    check(publisher->producer != NULL);
    publisher->streams_url = strdup(settings->streams_url);
    check(publisher->streams_url != NULL);
    publisher->batch_url = url_make(settings->streams_url, "/__weir/batch", NULL);
    publisher->claim_url =
        url_make(settings->streams_url, "/__weir/producers/", settings->producer);
    publisher->notify_fd = notify_fd;
    publisher->http = http_new(&(struct http_settings){.token = settings->token,
                                                       .ca_file = settings->ca_file,
                                                       .abort_at_ms = &publisher->abort_at_ms});
    batch_queue_init(&publisher->queue, settings->queue_limit);

    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&publisher->lock, NULL);
    pthread_cond_init(&publisher->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    check(pthread_create(&publisher->thread, NULL, publisher_run, publisher) == 0);
    return publisher;
}

void publisher_close(struct publisher *publisher)
{
    if (!publisher)
        return;
    atomic_store(&publisher->abort_at_ms, clock_monotonic_ms() + CLOSE_GRACE_MS);
    pthread_mutex_lock(&publisher->lock);
    publisher->is_closing = true;
    pthread_cond_broadcast(&publisher->changed);
    pthread_mutex_unlock(&publisher->lock);
    pthread_join(publisher->thread, NULL);

    batch_queue_release(&publisher->queue);
    pthread_cond_destroy(&publisher->changed);
    pthread_mutex_destroy(&publisher->lock);
    http_free(publisher->http);
    free(publisher->claim_url);
    free(publisher->streams_url);
    free(publisher->batch_url);
    free(publisher->producer);
    free(publisher);
}

/* The thread has nothing to send, so http is ours until a batch is submitted. */
static void check_is_idle(struct publisher *publisher)
{
    pthread_mutex_lock(&publisher->lock);
    check(batch_queue_is_empty(&publisher->queue));
    pthread_mutex_unlock(&publisher->lock);
}

/* Asks about the producer; with a POST unless body.data is NULL. */
static enum publisher_claim ask(struct publisher *publisher, struct slice body,
                                struct answer *answer, struct err *err)
{
    bool is_claim = body.data != NULL;
    struct question question = {
        .url = publisher->claim_url, .producer = publisher->producer, .is_claim = true};
    long status;
    struct slice text;
    check_is_idle(publisher);
    bool answered = is_claim ? http_post(publisher->http, question.url, "application/json", body,
                                         CLAIM_TIMEOUT_MS, &status, &text, err)
                             : http_get(publisher->http, question.url, CLAIM_TIMEOUT_MS, &status,
                                        &text, err);
    if (!answered)
        return PUBLISHER_UNREACHABLE;
    /* Any web server answers 404; only a stream server knows what a producer is. */
    if (!is_claim && status == 404 && slice_starts_with(text, SLICE("there is no such producer"))) {
        *answer = (struct answer){.epoch = 0}; /* never seen */
        publisher->source[0] = '\0';
        return PUBLISHER_CLAIMED;
    }
    switch (answer_read(&question, status, text, answer, err)) {
    case ANSWER_STORED:
        memcpy(publisher->source, answer->source, sizeof publisher->source);
        return PUBLISHER_CLAIMED;
    case ANSWER_RETRY:
        return PUBLISHER_UNREACHABLE;
    case ANSWER_FATAL:
        break;
    }
    return PUBLISHER_REFUSED;
}

enum publisher_claim publisher_look(struct publisher *publisher, struct progress *progress,
                                    struct err *err)
{
    struct answer answer;
    enum publisher_claim result = ask(publisher, SLICE_NONE, &answer, err);
    if (result == PUBLISHER_CLAIMED)
        *progress = answer.progress;
    return result;
}

static enum publisher_claim take_over(struct publisher *publisher, struct slice body,
                                      struct progress *progress, struct err *err)
{
    struct answer answer;
    if (fault_fails(FAULT_CLAIM_SEND)) {
        err_set_errno(err, errno, "%s", publisher->claim_url);
        return PUBLISHER_UNREACHABLE;
    }
    enum publisher_claim result = ask(publisher, body, &answer, err);
    if (result != PUBLISHER_CLAIMED)
        return result;
    fault_step(FAULT_CLAIM_ANSWERED);
    pthread_mutex_lock(&publisher->lock);
    publisher->epoch = answer.epoch;
    publisher->submitted = publisher->stored = answer.progress;
    pthread_mutex_unlock(&publisher->lock);
    *progress = answer.progress;
    return PUBLISHER_CLAIMED;
}

enum publisher_claim publisher_claim(struct publisher *publisher, struct progress *progress,
                                     struct err *err)
{
    return take_over(publisher, SLICE(""), progress, err);
}

const char *publisher_source(const struct publisher *publisher)
{
    return publisher->source;
}

enum publisher_claim publisher_set_source(struct publisher *publisher, const char *source,
                                          bool restarts, struct progress *progress,
                                          struct err *err)
{
    struct buffer body = BUFFER_INIT;
    buffer_printf(&body, "{\"source\":\"%s\",\"epoch\":%llu,\"restart\":%s}", source,
                  (unsigned long long)publisher->epoch, restarts ? "true" : "false");
    enum publisher_claim result = take_over(publisher, buffer_slice(&body), progress, err);
    buffer_release(&body);
    return result;
}

bool publisher_get(struct publisher *publisher, const char *below, long *status,
                   struct slice *answer, struct err *err)
{
    char *url = url_make(publisher->streams_url, below, NULL);
    check_is_idle(publisher);
    bool ok = http_get(publisher->http, url, REQUEST_TIMEOUT_MS, status, answer, err);
    free(url);
    return ok;
}

const char *publisher_answer_header(struct publisher *publisher, const char *name)
{
    return http_answer_header(publisher->http, name);
}

const char *publisher_name(const struct publisher *publisher)
{
    return publisher->producer;
}

bool publisher_has_room(struct publisher *publisher)
{
    pthread_mutex_lock(&publisher->lock);
    bool has_room = !publisher->has_ended && !batch_queue_is_full(&publisher->queue);
    pthread_mutex_unlock(&publisher->lock);
    return has_room;
}

void publisher_submit(struct publisher *publisher, struct batch *batch, struct progress after)
{
    pthread_mutex_lock(&publisher->lock);
    check(publisher->epoch > 0);
    check(progress_cmp(after, publisher->submitted) > 0);
    /* It may have ended since the caller asked for room; then the batch goes nowhere. */
    if (publisher->has_ended) {
        batch_queue_give_back(&publisher->queue, batch);
    } else {
        publisher->submitted = after;
        batch_queue_push(&publisher->queue, batch, after);
        pthread_cond_broadcast(&publisher->changed);
    }
    pthread_mutex_unlock(&publisher->lock);
}

struct batch *publisher_take_empty(struct publisher *publisher)
{
    pthread_mutex_lock(&publisher->lock);
    struct batch *batch = batch_queue_take_spare(&publisher->queue);
    pthread_mutex_unlock(&publisher->lock);
    return batch;
}

struct progress publisher_stored(struct publisher *publisher)
{
    pthread_mutex_lock(&publisher->lock);
    struct progress stored = publisher->stored;
    pthread_mutex_unlock(&publisher->lock);
    return stored;
}

bool publisher_has_lost_track(const struct publisher *publisher)
{
    return publisher->has_lost_track;
}

bool publisher_is_alive(struct publisher *publisher, struct err *err)
{
    pthread_mutex_lock(&publisher->lock);
    bool is_alive = !publisher->has_ended;
    if (!is_alive && err)
        *err = publisher->err;
    pthread_mutex_unlock(&publisher->lock);
    return is_alive;
}
