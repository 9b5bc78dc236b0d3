#include "outbox.h"

#include "weir/base/check.h"

void outbox_init(struct outbox *outbox, struct publisher *publisher, size_t batch_size,
                 struct progress progress)
{
    *outbox = (struct outbox){.publisher = publisher,
                              .batch = publisher_take_empty(publisher),
                              .batch_size = batch_size,
                              .gathered = progress,
                              .submitted = progress};
}

void outbox_release(struct outbox *outbox)
{
    batch_free(outbox->batch);
    outbox->batch = NULL;
}

static uint32_t add_payload(void *context, struct slice event)
{
    struct outbox *outbox = context;
    outbox->events++;
    return batch_add_payload(outbox->batch, event);
}

static void deliver(void *context, struct slice path, uint32_t payload)
{
    struct outbox *outbox = context;
    outbox->deliveries++;
    batch_add_reference(outbox->batch, batch_add_stream(outbox->batch, path), payload);
}

struct event_sink outbox_sink(struct outbox *outbox)
{
    return (struct event_sink){outbox, add_payload, deliver};
}

void outbox_end(struct outbox *outbox, struct progress progress)
{
    check(progress_cmp(progress, outbox->gathered) > 0);
    batch_end_transaction(outbox->batch);
    /* A transaction that nobody sees is no reason to send; progress goes with the next that is. */
    if (!batch_is_empty(outbox->batch)) {
        outbox->gathered = progress;
        batch_mark(outbox->batch, progress);
    }
}

void outbox_advance(struct outbox *outbox, struct progress progress)
{
    if (progress_cmp(progress, outbox->gathered) > 0)
        outbox->gathered = progress;
}

bool outbox_has_batch(const struct outbox *outbox)
{
    return progress_cmp(outbox->gathered, outbox->submitted) > 0;
}

bool outbox_is_full(const struct outbox *outbox)
{
    return batch_size(outbox->batch) >= outbox->batch_size;
}

bool outbox_submit(struct outbox *outbox)
{
    if (!outbox_has_batch(outbox))
        return true;
    if (!publisher_has_room(outbox->publisher))
        return false;
    publisher_submit(outbox->publisher, outbox->batch, outbox->gathered);
    outbox->submitted = outbox->gathered;
    outbox->batch = publisher_take_empty(outbox->publisher);
    return true;
}

bool outbox_is_stored(struct outbox *outbox)
{
    return !outbox_has_batch(outbox) &&
           progress_cmp(publisher_stored(outbox->publisher), outbox->submitted) >= 0;
}
