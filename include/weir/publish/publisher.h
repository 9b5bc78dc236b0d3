/* struct publisher: sends batches to a stream server, in order, from a thread of its own.
 *
 * The caller's thread hands over batches and reads how far they have come; it never waits for the
 * network, except in publisher_claim(). A batch is sent until the server has stored it: unreachable
 * servers, 5xx, 429 and 507 are retried for ever with backoff and jitter (logged when it starts and
 * when it ends); 403 (fenced), 409 (gap) and any other answer end the publisher with an err.
 * `weir` dialect: docs/protocol-extensions.md. */
#pragma once

#include "weir/publish/batch.h"

struct publisher;

enum publisher_dialect {
    PUBLISHER_DIALECT_WEIR,
    PUBLISHER_DIALECT_STANDARD,
    PUBLISHER_DIALECT_AUTO, /* asks the server */
};

/* "weir", "standard" or "auto". False: it is none of them. */
bool publisher_dialect_parse(const char *name, enum publisher_dialect *dialect);

struct publisher_settings {
    enum publisher_dialect dialect;
    const char *streams_url; /* "http://127.0.0.1:4437/v1/stream" */
    const char *producer;    /* name; the slot's */
    const char *token;       /* bearer token, NULL for none; never logged */
    const char *ca_file;     /* PEM, for an https URL; NULL for the system's list */
    size_t connections;      /* of the standard dialect: streams served side by side */
    size_t queue_limit;      /* batches waiting or under way; at least 1 */
};

/* The settings' strings are copied. notify_fd is an eventfd of the caller's that is written to
 * whenever a batch has been stored or the publisher has failed. Does not connect. */
struct publisher *publisher_open(const struct publisher_settings *settings, int notify_fd,
                                 struct err *err) WEIR_MUST_CHECK;

/* Stops the thread after the request in hand, which gets at most 2 s more (batches still queued are
 * dropped), and frees. */
void publisher_close(struct publisher *publisher); /* NULL is allowed */

enum publisher_claim {
    PUBLISHER_CLAIMED,
    PUBLISHER_UNREACHABLE, /* waiting can help; err says what happened */
    PUBLISHER_REFUSED,     /* waiting does not help */
};

/* Learns the producer's progress without taking its name over, {0,0} when it is new: to find out
 * whether this bridge goes with the server's streams before it ends another one. Otherwise as
 * publisher_claim(); after it, refused when another bridge has claimed the name since. A server
 * that keeps no progress has `own`, or the first there is where the caller has none, once a
 * producer of this name has claimed it. */
enum publisher_claim publisher_look(struct publisher *publisher, struct progress own,
                                    struct progress *progress, struct err *err) WEIR_MUST_CHECK;

/* Whether the server lets the bridge write, where publisher_look() does not tell: on a server of
 * the standard dialect a stream is made for it, and deleted. Otherwise as publisher_look(). */
enum publisher_claim publisher_try_writing(struct publisher *publisher,
                                           struct err *err) WEIR_MUST_CHECK;

/* For a server that keeps no progress. */
struct publisher_start {
    struct progress own;  /* where the caller begins again; everything up to it is stored */
    uint64_t replayed_to; /* LSN: what is sent up to it may have been sent by an earlier process */
};

/* Takes the producer's name over with a new epoch and learns its progress ({0,0} when new; start's
 * where the server keeps none). Blocks for at most about 10 s. Before the first batch, or when all
 * that were submitted are stored. */
enum publisher_claim publisher_claim(struct publisher *publisher,
                                     const struct publisher_start *start, struct progress *progress,
                                     struct err *err) WEIR_MUST_CHECK;

/* False for a server of the standard dialect. Known after publisher_look(). */
bool publisher_keeps_progress(const struct publisher *publisher);

/* What the producer's events come from, as the server had it when it was last looked at, claimed or
 * set; "" when it has not been said. */
const char *publisher_source(const struct publisher *publisher);

/* Says so, of a producer that is claimed; plain text without quotes and backslashes. restarts: its
 * progress begins again at {0,0}, durably and in one with that. Otherwise as publisher_claim(). */
enum publisher_claim publisher_set_source(struct publisher *publisher, const char *source,
                                          bool restarts, struct progress *progress,
                                          struct err *err) WEIR_MUST_CHECK;

const char *publisher_name(const struct publisher *publisher);

/* GETs something below the root of the streams while all that was submitted is stored; below begins
 * with "/". Blocks for at most a minute. False with err when there was no answer. The answer and
 * its headers are borrowed until the next request. */
bool publisher_get(struct publisher *publisher, const char *below, long *status,
                   struct slice *answer, struct err *err) WEIR_MUST_CHECK;
const char *publisher_answer_header(struct publisher *publisher, const char *name);

/* Whether publisher_submit() has room; false for good once the publisher has ended. */
bool publisher_has_room(struct publisher *publisher);

/* Takes batch over (an empty one is allowed: it only moves progress). Needs room. `after` must be
 * greater than the last batch's. Batches come back by publisher_recycle(). */
void publisher_submit(struct publisher *publisher, struct batch *batch, struct progress after);

/* An empty batch to fill: one that has been stored, or a new one. */
struct batch *publisher_take_empty(struct publisher *publisher);

/* Progress that the server has stored durably. */
struct progress publisher_stored(struct publisher *publisher);

/* False when the publisher has ended with err; it then accepts no more. */
bool publisher_is_alive(struct publisher *publisher, struct err *err);

/* Whether it has ended because the server does not have what it had stored before, as far as it
 * knows: its data was exchanged. */
bool publisher_has_lost_track(const struct publisher *publisher);
