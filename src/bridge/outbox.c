#include "outbox.h"

#include "weir/base/check.h"

void outbox_init(struct outbox *outbox, struct publisher *publisher, size_t batch_size,
                 struct progress progress)
{
    *outbox = (struct outbox){.publisher = publisher,
                              .batch = publisher_take_empty(publisher),
                              .batch_size = batch_size,
                              .gathered = progress,
                              .submitted = progress,
                              .memory = SIZE_MAX};
}

void outbox_release(struct outbox *outbox)
{
    batch_free(outbox->batch);
    outbox->batch = NULL;
}

void outbox_spool_past(struct outbox *outbox, struct scratch *scratch, size_t memory)
{
    outbox->scratch = scratch;
    outbox->memory = memory;
}

static void spool_event(void *context, struct slice event)
{
    struct outbox *outbox = context;
    uint32_t number = __builtin_bswap32(outbox->spooled_events++);
    check(outbox->spooled_events != 0);
    scratch_put(outbox->scratch, SCRATCH_EVENTS, slice_of((const char *)&number, sizeof number),
                event);
}

static void spool_delivery(void *context, struct slice path, uint32_t event)
{
    struct outbox *outbox = context;
    struct hash128 hash = hash128(hash_process_key(), path);
    uint64_t number = __builtin_bswap64(outbox->spooled_deliveries++);
    char key[SPOOL_PATH_SIZE + sizeof number];
    memcpy(key, &hash, SPOOL_PATH_SIZE);
    memcpy(key + SPOOL_PATH_SIZE, &number, sizeof number);
    scratch_put_new(outbox->scratch, SCRATCH_PATHS, slice_of(key, SPOOL_PATH_SIZE), path);
    scratch_put(outbox->scratch, SCRATCH_DELIVERIES, slice_of(key, sizeof key),
                slice_of((const char *)&event, sizeof event));
}

void outbox_spool(struct outbox *outbox)
{
    check(!outbox->is_spooling && outbox->scratch);
    outbox->is_spooling = true;
    outbox->spooled_events = 0;
    outbox->spooled_deliveries = 0;
    struct batch_visitor visitor = {outbox, spool_event, spool_delivery};
    batch_take_apart(outbox->batch, &visitor);
}

bool outbox_is_spooling(const struct outbox *outbox)
{
    return outbox->is_spooling;
}

void outbox_drop_spool(struct outbox *outbox)
{
    outbox->is_spooling = false;
}

static void spool_if_large(struct outbox *outbox)
{
    if (!outbox->is_spooling && batch_size(outbox->batch) > outbox->memory)
        outbox_spool(outbox);
}

/* Events keep their numbers when the batch is taken apart. */
static uint32_t add_payload(void *context, struct slice event)
{
    struct outbox *outbox = context;
    outbox->events++;
    spool_if_large(outbox);
    if (!outbox->is_spooling)
        return batch_add_payload(outbox->batch, event);
    spool_event(outbox, event);
    return outbox->spooled_events - 1;
}

static void deliver(void *context, struct slice path, uint32_t payload)
{
    struct outbox *outbox = context;
    outbox->deliveries++;
    spool_if_large(outbox);
    if (outbox->is_spooling)
        spool_delivery(outbox, path, payload);
    else
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
