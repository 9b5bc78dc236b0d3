/* struct publisher from inside: publisher.c has the thread and the queue, and a dialect knows how a
 * batch is sent. */
#pragma once

#include "answer.h"
#include "queue.h"
#include "weir/http/http.h"
#include "weir/publish/publisher.h"

#include <pthread.h>

enum {
    REQUEST_TIMEOUT_MS = 60000,
    CLAIM_TIMEOUT_MS = 10000,
    BACKOFF_FIRST_MS = 50,
    BACKOFF_MAX_MS = 10000,
};

/* How to talk to a kind of stream server. Functions run on the publisher's thread, or on the
 * caller's while there is nothing to send. */
struct dialect {
    enum publisher_dialect kind;

    /* Sends until the server has stored all of it. ANSWER_RETRY: the publisher closes. */
    enum answer_kind (*send)(struct publisher *publisher, struct batch *batch,
                             struct progress before, struct progress after, struct err *err);

    enum publisher_claim (*look)(struct publisher *publisher, struct progress own,
                                 struct progress *progress, struct err *err);
    enum publisher_claim (*claim)(struct publisher *publisher, const struct publisher_start *start,
                                  struct progress *progress, struct err *err);
    enum publisher_claim (*set_source)(struct publisher *publisher, const char *source,
                                       bool restarts, struct progress *progress, struct err *err);
    /* NULL: look() has told. */
    enum publisher_claim (*try_writing)(struct publisher *publisher, struct err *err);
};

extern const struct dialect dialect_weir, dialect_standard;

struct standard;

struct publisher {
    char *root; /* of the streams, without a slash at its end */
    char *producer;
    char *batch_url, *claim_url;
    char source[SOURCE_SIZE]; /* as it was when last asked */
    int notify_fd;
    struct http *http;         /* the thread's; while it has nothing to do, publisher_claim()'s */
    struct standard *standard; /* the standard dialect's own, used as http is */
    atomic_ullong abort_at_ms;
    const struct dialect *dialect; /* NULL until it has been found out */

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

bool publisher_is_closing(struct publisher *publisher);
void publisher_set_stored(struct publisher *publisher, struct progress stored);

/* Waits about that long; false when the publisher closes. */
bool publisher_pause(struct publisher *publisher, uint64_t interval_ms);

/* Half to all of the interval, so that several bridges do not return at once. */
uint64_t with_jitter(uint64_t interval_ms);

struct standard *standard_new(const char *root, const char *producer,
                              const struct http_settings *settings, size_t connections);
void standard_free(struct standard *standard);
