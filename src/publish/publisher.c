#include "publisher_internal.h"
#include "url.h"

#include "weir/base/clock.h"
#include "weir/base/fault.h"
#include "weir/base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

enum { CLOSE_GRACE_MS = 2000 /* for a request in hand whose server does not answer */ };

/* Tells the caller's loop. The counter of an eventfd that is full wakes it just as well. */
static void notify(const struct publisher *publisher)
{
    uint64_t one = 1;
    ssize_t ignored = write(publisher->notify_fd, &one, sizeof one);
    (void)ignored;
}

uint64_t with_jitter(uint64_t interval_ms)
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

bool publisher_pause(struct publisher *publisher, uint64_t interval_ms)
{
    pthread_mutex_lock(&publisher->lock);
    wait_unless_closing(publisher, with_jitter(interval_ms));
    bool is_closing = publisher->is_closing;
    pthread_mutex_unlock(&publisher->lock);
    return !is_closing;
}

bool publisher_is_closing(struct publisher *publisher)
{
    pthread_mutex_lock(&publisher->lock);
    bool is_closing = publisher->is_closing;
    pthread_mutex_unlock(&publisher->lock);
    return is_closing;
}

void publisher_set_stored(struct publisher *publisher, struct progress stored)
{
    pthread_mutex_lock(&publisher->lock);
    publisher->stored = stored;
    pthread_mutex_unlock(&publisher->lock);
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
        pthread_mutex_unlock(&publisher->lock);

        struct err err;
        enum answer_kind kind = publisher->dialect->send(publisher, batch, before, after, &err);

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
    publisher->root = url_make(settings->streams_url, "", NULL);
    publisher->batch_url = url_make(settings->streams_url, "/__weir/batch", NULL);
    publisher->claim_url =
        url_make(settings->streams_url, "/__weir/producers/", settings->producer);
    publisher->notify_fd = notify_fd;
    struct http_settings http = {.token = settings->token,
                                 .ca_file = settings->ca_file,
                                 .abort_at_ms = &publisher->abort_at_ms};
    publisher->http = http_new(&http);
    if (settings->dialect != PUBLISHER_DIALECT_WEIR)
        publisher->standard =
            standard_new(publisher->root, publisher->producer, &http, settings->connections);
    if (settings->dialect != PUBLISHER_DIALECT_AUTO)
        publisher->dialect =
            settings->dialect == PUBLISHER_DIALECT_WEIR ? &dialect_weir : &dialect_standard;
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
    standard_free(publisher->standard);
    free(publisher->root);
    free(publisher->claim_url);
    free(publisher->batch_url);
    free(publisher->producer);
    free(publisher);
}

/* The thread has nothing to send, so what is its is ours until a batch is submitted. */
static void check_is_idle(struct publisher *publisher)
{
    pthread_mutex_lock(&publisher->lock);
    check(batch_queue_is_empty(&publisher->queue));
    pthread_mutex_unlock(&publisher->lock);
}

/* Only `weir serve` knows the way of a batch, which has no GET: it says so, or asks who is there.
 * Anywhere else it is a stream that does not exist. */
static enum publisher_claim find_dialect(struct publisher *publisher, struct err *err)
{
    long status;
    struct slice text;
    if (publisher->dialect)
        return PUBLISHER_CLAIMED;
    if (!http_get(publisher->http, publisher->batch_url, CLAIM_TIMEOUT_MS, &status, &text, err))
        return PUBLISHER_UNREACHABLE;
    if (status == 408 || status == 429 || status >= 500) {
        err_set(err, "%s answered %ld", publisher->root, status);
        return PUBLISHER_UNREACHABLE;
    }
    publisher->dialect = status == 404 ? &dialect_standard : &dialect_weir;
    log_event(LOG_INFO, "the stream server's dialect",
              LOG_STR("dialect", status == 404 ? "standard" : "weir"));
    return PUBLISHER_CLAIMED;
}

bool publisher_dialect_parse(const char *name, enum publisher_dialect *dialect)
{
    static const char *const names[] = {[PUBLISHER_DIALECT_WEIR] = "weir",
                                        [PUBLISHER_DIALECT_STANDARD] = "standard",
                                        [PUBLISHER_DIALECT_AUTO] = "auto"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i]) == 0) {
            *dialect = (enum publisher_dialect)i;
            return true;
        }
    }
    return false;
}

static enum publisher_claim prepare_to_ask(struct publisher *publisher, struct err *err)
{
    check_is_idle(publisher);
    return find_dialect(publisher, err);
}

enum publisher_claim publisher_look(struct publisher *publisher, struct progress own,
                                    struct progress *progress, struct err *err)
{
    enum publisher_claim result = prepare_to_ask(publisher, err);
    return result == PUBLISHER_CLAIMED ? publisher->dialect->look(publisher, own, progress, err)
                                       : result;
}

enum publisher_claim publisher_try_writing(struct publisher *publisher, struct err *err)
{
    enum publisher_claim result = prepare_to_ask(publisher, err);
    if (result == PUBLISHER_CLAIMED && publisher->dialect->try_writing)
        result = publisher->dialect->try_writing(publisher, err);
    return result;
}

static enum publisher_claim begin_at(struct publisher *publisher, enum publisher_claim result,
                                     const struct progress *progress)
{
    if (result != PUBLISHER_CLAIMED)
        return result;
    fault_step(FAULT_CLAIM_ANSWERED);
    pthread_mutex_lock(&publisher->lock);
    publisher->submitted = publisher->stored = *progress;
    pthread_mutex_unlock(&publisher->lock);
    return result;
}

enum publisher_claim publisher_claim(struct publisher *publisher,
                                     const struct publisher_start *start, struct progress *progress,
                                     struct err *err)
{
    enum publisher_claim result = prepare_to_ask(publisher, err);
    if (result == PUBLISHER_CLAIMED)
        result = publisher->dialect->claim(publisher, start, progress, err);
    return begin_at(publisher, result, progress);
}

const char *publisher_source(const struct publisher *publisher)
{
    return publisher->source;
}

enum publisher_claim publisher_set_source(struct publisher *publisher, const char *source,
                                          bool restarts, struct progress *progress, struct err *err)
{
    enum publisher_claim result = prepare_to_ask(publisher, err);
    if (result == PUBLISHER_CLAIMED)
        result = publisher->dialect->set_source(publisher, source, restarts, progress, err);
    return begin_at(publisher, result, progress);
}

bool publisher_get(struct publisher *publisher, const char *below, long *status,
                   struct slice *answer, struct err *err)
{
    char *url = url_make(publisher->root, below, NULL);
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

bool publisher_keeps_progress(const struct publisher *publisher)
{
    return publisher->dialect != &dialect_standard;
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
