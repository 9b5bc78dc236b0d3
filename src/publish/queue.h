/* A bounded queue of batches with where each one ends, and the spare batches to fill next.
 * Inside src/publish only; not locked. */
#pragma once

#include "weir/publish/batch.h"

struct queued_batch {
    struct batch *batch;
    struct progress after;
};

struct batch_queue {
    struct queued_batch *items; /* a ring */
    size_t limit, head, count;
    struct batch **spares; /* empty ones */
    size_t spare_count;
};

void batch_queue_init(struct batch_queue *queue, size_t limit);
void batch_queue_release(struct batch_queue *queue);

bool batch_queue_is_empty(const struct batch_queue *queue);
bool batch_queue_is_full(const struct batch_queue *queue);

/* Takes batch over; the queue must not be full. */
void batch_queue_push(struct batch_queue *queue, struct batch *batch, struct progress after);

/* The oldest batch, which stays the queue's. Not when it is empty. */
struct batch *batch_queue_head(const struct batch_queue *queue, struct progress *after);

/* Makes the oldest batch a spare. */
void batch_queue_pop(struct batch_queue *queue);

/* Makes a batch of the caller's a spare. */
void batch_queue_give_back(struct batch_queue *queue, struct batch *batch);

/* An empty batch, the caller's from now on: a spare or a new one. */
struct batch *batch_queue_take_spare(struct batch_queue *queue);
