/* struct outbox: from delivered events to batches, and how far they have come.
 *
 * The sink of a difference. Events of whole transactions gather in one batch until it is worth
 * sending: when nothing else is waiting, or when it is large. Progress is what the stream server
 * has stored, and what it will have stored when everything submitted is. One thread.
 *
 * The events of a transaction that are too many for memory go to a spool in the replica's scratch
 * instead; src/bridge/outgoing.c sends them from there. */
#pragma once

#include "parking.h"

#include "weir/events/difference.h"
#include "weir/publish/publisher.h"

/* In the spool:
 *
 *   SCRATCH_EVENTS      number 4, big-endian -> event
 *   SCRATCH_PATHS       16 of the path -> path
 *   SCRATCH_DELIVERIES  16 of the path, number 8, big-endian -> event's number 4; or the event
 *                       itself, which is longer, where it goes to this stream only */
enum { SPOOL_PATH_SIZE = 16, SPOOL_KEY_SIZE = SPOOL_PATH_SIZE + 8, INLINED_MAX = 8 };

struct outbox {
    struct publisher *publisher;
    struct batch *batch;
    size_t batch_size;
    struct progress gathered;    /* the last transaction in the batch */
    struct progress submitted;   /* the last that the publisher has taken over */
    uint64_t events, deliveries; /* since the beginning; an event may go to many streams */
    struct parking *parking;
    struct scratch *scratch; /* of the spool */
    size_t memory;           /* what a batch may take before it is spooled */
    bool is_spooling;
    uint32_t spooled_events;
    uint64_t spooled_deliveries;
    struct latest_event {
        enum { LATEST_SETTLED, LATEST_UNSENT, LATEST_SENT_ONCE } state;
        uint32_t number;
        struct buffer bytes, path;
    } latest;
    struct inlined_event {
        uint32_t number;
        char key[SPOOL_KEY_SIZE];
    } inlined[INLINED_MAX];
    size_t inlined_count;
};

/* Takes over where the server's progress stands. */
void outbox_init(struct outbox *outbox, struct publisher *publisher, size_t batch_size,
                 struct progress progress, struct parking *parking);
void outbox_release(struct outbox *outbox);

struct event_sink outbox_sink(struct outbox *outbox);

/* Ends a transaction, or a step of the first publication: its events belong to `progress`. */
void outbox_end(struct outbox *outbox, struct progress progress);

/* Lets a batch of more than so many bytes go to the scratch. Without this, and with SIZE_MAX, none
 * does. */
void outbox_spool_past(struct outbox *outbox, struct scratch *scratch, size_t memory);

/* From here on everything goes to the spool, with what the open transaction has in the batch
 * already. What is of earlier ones stays, to be submitted. */
void outbox_spool(struct outbox *outbox);
bool outbox_is_spooling(const struct outbox *outbox);

/* Everything has been delivered. */
void outbox_end_spool(struct outbox *outbox);

/* Forgets the open transaction, in the batch and in the spool. */
void outbox_drop(struct outbox *outbox);

/* Forgets what has been gathered since the last submission: the caller gathers it again. */
void outbox_drop_gathered(struct outbox *outbox);

/* Ends the spool; what is in the scratch is the caller's. */
void outbox_drop_spool(struct outbox *outbox);

/* Whether something waits to be submitted. */
bool outbox_has_batch(const struct outbox *outbox);
bool outbox_is_full(const struct outbox *outbox);

/* Submits the batch if the publisher has room; false if it has none. */
bool outbox_submit(struct outbox *outbox);

/* Lets the next submission move progress to this, though no event goes with it. */
void outbox_advance(struct outbox *outbox, struct progress progress);

/* Whether the server has stored everything up to what was gathered. */
bool outbox_is_stored(struct outbox *outbox);
