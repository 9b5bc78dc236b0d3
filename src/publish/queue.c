#include "queue.h"

#include <stdlib.h>

void batch_queue_init(struct batch_queue *queue, size_t limit)
{
    *queue = (struct batch_queue){.limit = limit};
    queue->items = calloc(limit, sizeof *queue->items);
    queue->spares = calloc(limit, sizeof *queue->spares);
    check(queue->items != NULL && queue->spares != NULL);
}

void batch_queue_release(struct batch_queue *queue)
{
    while (queue->count)
        batch_queue_pop(queue);
    while (queue->spare_count)
        batch_free(queue->spares[--queue->spare_count]);
    free(queue->items);
    free(queue->spares);
}

bool batch_queue_is_empty(const struct batch_queue *queue)
{
    return queue->count == 0;
}

bool batch_queue_is_full(const struct batch_queue *queue)
{
    return queue->count == queue->limit;
}

void batch_queue_push(struct batch_queue *queue, struct batch *batch, struct progress after)
{
    check(!batch_queue_is_full(queue));
    queue->items[(queue->head + queue->count) % queue->limit] = (struct queued_batch){batch, after};
    queue->count++;
}

struct batch *batch_queue_head(const struct batch_queue *queue, struct progress *after)
{
    check(queue->count > 0);
    *after = queue->items[queue->head].after;
    return queue->items[queue->head].batch;
}

void batch_queue_pop(struct batch_queue *queue)
{
    check(queue->count > 0);
    struct batch *batch = queue->items[queue->head].batch;
    queue->head = (queue->head + 1) % queue->limit;
    queue->count--;
    batch_queue_give_back(queue, batch);
}

void batch_queue_give_back(struct batch_queue *queue, struct batch *batch)
{
    if (queue->spare_count == queue->limit) {
        batch_free(batch);
        return;
    }
    batch_clear(batch);
    queue->spares[queue->spare_count++] = batch;
}

struct batch *batch_queue_take_spare(struct batch_queue *queue)
{
    return queue->spare_count ? queue->spares[--queue->spare_count] : batch_new();
}
