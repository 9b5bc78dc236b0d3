#include "outbox.h"

#include "weir/base/check.h"
#include "weir/base/hash.h"

#include <string.h>

void outbox_init(struct outbox *outbox, struct publisher *publisher, size_t batch_size,
                 struct progress progress, struct parking *parking)
{
    *outbox = (struct outbox){.publisher = publisher,
                              .batch = publisher_take_empty(publisher),
                              .batch_size = batch_size,
                              .gathered = progress,
                              .submitted = progress,
                              .memory = SIZE_MAX,
                              .parking = parking};
}

void outbox_release(struct outbox *outbox)
{
    batch_free(outbox->batch);
    outbox->batch = NULL;
    buffer_release(&outbox->latest.bytes);
    buffer_release(&outbox->latest.path);
}

void outbox_spool_past(struct outbox *outbox, struct scratch *scratch, size_t memory)
{
    outbox->scratch = scratch;
    outbox->memory = memory;
}

/* ---- The spool ---- */

static struct slice number_of(const uint32_t *number)
{
    return slice_of((const char *)number, sizeof *number);
}

static void put_event(struct outbox *outbox, uint32_t event, struct slice bytes)
{
    uint32_t number = __builtin_bswap32(event);
    scratch_put(outbox->scratch, SCRATCH_EVENTS, number_of(&number), bytes);
}

static void put_delivery(struct outbox *outbox, struct slice path, struct slice value,
                         char key[SPOOL_KEY_SIZE])
{
    struct hash128 hash = hash128(hash_process_key(), path);
    uint64_t number = __builtin_bswap64(outbox->spooled_deliveries++);
    memcpy(key, &hash, SPOOL_PATH_SIZE);
    memcpy(key + SPOOL_PATH_SIZE, &number, sizeof number);
    scratch_put_new(outbox->scratch, SCRATCH_PATHS, slice_of(key, SPOOL_PATH_SIZE), path);
    scratch_put(outbox->scratch, SCRATCH_DELIVERIES, slice_of(key, SPOOL_KEY_SIZE), value);
}

static void put_reference(struct outbox *outbox, struct slice path, uint32_t event)
{
    char key[SPOOL_KEY_SIZE];
    put_delivery(outbox, path, number_of(&event), key);
}

/* An event that goes to one stream only is kept with that, where it will be read. Another one of
 * its row may come before it goes to a second one, so these are remembered while there is room. */
static void settle_latest(struct outbox *outbox)
{
    struct latest_event *latest = &outbox->latest;
    bool is_inlined = latest->state == LATEST_SENT_ONCE && outbox->inlined_count < INLINED_MAX;
    if (latest->state == LATEST_SETTLED)
        return;
    if (!is_inlined)
        put_event(outbox, latest->number, buffer_slice(&latest->bytes));
    if (is_inlined) {
        struct inlined_event *inlined = &outbox->inlined[outbox->inlined_count++];
        inlined->number = latest->number;
        put_delivery(outbox, buffer_slice(&latest->path), buffer_slice(&latest->bytes),
                     inlined->key);
    } else if (latest->state == LATEST_SENT_ONCE) {
        put_reference(outbox, buffer_slice(&latest->path), latest->number);
    }
    latest->state = LATEST_SETTLED;
    buffer_clear(&latest->bytes);
}

static void spool_event(void *context, struct slice event)
{
    struct outbox *outbox = context;
    struct latest_event *latest = &outbox->latest;
    settle_latest(outbox);
    latest->number = outbox->spooled_events++;
    check(outbox->spooled_events != 0);
    latest->state = LATEST_UNSENT;
    buffer_clear(&latest->bytes);
    buffer_add_slice(&latest->bytes, event);
}

/* One that went to one stream, and goes to a second one after all. */
static void share_inlined(struct outbox *outbox, uint32_t event)
{
    for (size_t i = 0; i < outbox->inlined_count; i++) {
        struct inlined_event *inlined = &outbox->inlined[i];
        if (inlined->number != event)
            continue;
        struct buffer bytes = BUFFER_INIT;
        buffer_add_slice(&bytes, scratch_get(outbox->scratch, SCRATCH_DELIVERIES,
                                             slice_of(inlined->key, SPOOL_KEY_SIZE)));
        put_event(outbox, event, buffer_slice(&bytes));
        buffer_release(&bytes);
        *inlined = outbox->inlined[--outbox->inlined_count];
        return;
    }
}

static void spool_delivery(void *context, struct slice path, uint32_t event)
{
    struct outbox *outbox = context;
    struct latest_event *latest = &outbox->latest;
    if (latest->state == LATEST_UNSENT && latest->number == event) {
        buffer_clear(&latest->path);
        buffer_add_slice(&latest->path, path);
        latest->state = LATEST_SENT_ONCE;
        return;
    }
    if (latest->state == LATEST_SENT_ONCE && latest->number == event) {
        put_event(outbox, event, buffer_slice(&latest->bytes));
        put_reference(outbox, buffer_slice(&latest->path), event);
        latest->state = LATEST_SETTLED;
    } else {
        settle_latest(outbox);
        share_inlined(outbox, event); /* the latest itself may have been settled so */
    }
    put_reference(outbox, path, event);
}

void outbox_spool(struct outbox *outbox)
{
    check(!outbox->is_spooling && outbox->scratch);
    outbox->is_spooling = true;
    outbox->spooled_events = batch_open_payload(outbox->batch);
    outbox->spooled_deliveries = 0;
    outbox->latest.state = LATEST_SETTLED;
    outbox->inlined_count = 0;
    struct batch_visitor visitor = {outbox, spool_event, spool_delivery};
    batch_take_open(outbox->batch, &visitor);
}

bool outbox_is_spooling(const struct outbox *outbox)
{
    return outbox->is_spooling;
}

void outbox_end_spool(struct outbox *outbox)
{
    if (outbox->is_spooling)
        settle_latest(outbox);
}

static void forget_payload(void *context, struct slice payload)
{
    (void)context, (void)payload;
}

static void forget_reference(void *context, struct slice path, uint32_t payload)
{
    (void)context, (void)path, (void)payload;
}

void outbox_drop(struct outbox *outbox)
{
    struct batch_visitor visitor = {NULL, forget_payload, forget_reference};
    if (outbox->batch)
        batch_take_open(outbox->batch, &visitor);
    outbox_drop_spool(outbox);
}

void outbox_drop_gathered(struct outbox *outbox)
{
    batch_clear(outbox->batch);
    outbox->gathered = outbox->submitted;
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
        batch_add_delivery(outbox->batch, path, payload);
}

static void next_row(void *context)
{
    struct outbox *outbox = context;
    if (!outbox->is_spooling)
        return;
    settle_latest(outbox);
    outbox->inlined_count = 0;
}

static void park(void *context, const struct relation *relation, struct row row, size_t bytes)
{
    struct outbox *outbox = context;
    parking_note(outbox->parking, relation, row, bytes);
}

struct event_sink outbox_sink(struct outbox *outbox)
{
    return (struct event_sink){outbox, add_payload, deliver, next_row, park};
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
