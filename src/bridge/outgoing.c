/* What a large transaction or a resync says to the streams, from the spool.
 *
 * It is worked out once: sent while it is, it would have to be worked out a second time, and
 * exactly alike, after a crash. So the spool is made durable, then the rows that it leads to are
 * committed with a note that it is to be sent ("outgoing"), and only then it is sent: in parts, in
 * the order of the streams, so that a stream has all of it in one append unless that alone is too
 * large. The parts of a spool are always the same, and the server knows how many of them it has. */
#include "bridge_internal.h"

#include "weir/base/check.h"
#include "weir/base/fault.h"
#include "weir/base/log.h"

#include <stdlib.h>

/* A part ends behind the stream in which it comes to be larger than the first, and within a stream
 * where an event would make it larger than the second. Spools are sent after an upgrade, too: do
 * not change these. */
enum {
    PART_ENOUGH = 4 * 1024 * 1024,
    PART_LARGEST = 24 * 1024 * 1024,
    PART_REFERENCES = 64 * 1024,
};

enum { FIRST_SLOTS = 1024 };

/* Where the events of the spool are in the part at hand; open addressing. */
struct placement {
    uint32_t event, payload; /* payload + 1; 0: free */
};

struct sending {
    struct bridge *bridge;
    struct scratch *scratch;
    uint64_t lsn, part;
    char path_hash[SPOOL_PATH_SIZE];
    uint32_t stream; /* of that path, in the part at hand */
    bool has_stream;
    struct placement *placements;
    size_t slots, placed;
};

bool bridge_commit_outgoing(struct bridge *bridge, uint64_t lsn, struct err *err)
{
    struct scratch *scratch = replica_scratch(bridge->replica);
    struct slice note = slice_of((const char *)&lsn, sizeof lsn);
    outbox_end_spool(&bridge->outbox);
    scratch_put(scratch, SCRATCH_NOTES, SLICE("lsn"), note);
    if (!scratch_sync(scratch, err) || !replica_set_meta(bridge->replica, "outgoing", note, err) ||
        !rule_table_save(&bridge->rule_table, err) || !meta_set_lsn(bridge->replica, lsn, err) ||
        !replica_commit(bridge->replica, err))
        return false;
    fault_step(FAULT_OUTGOING_COMMITTED);
    outbox_drop_spool(&bridge->outbox);
    bridge->replica_lsn = bridge->applied_lsn = lsn;
    bridge->dirty_since_ms = 0;
    return true;
}

static struct placement *slot_of(const struct sending *sending, uint32_t event)
{
    size_t at = (event * UINT64_C(0x9e3779b97f4a7c15)) >> 32;
    for (;; at++) {
        struct placement *slot = &sending->placements[at & (sending->slots - 1)];
        if (!slot->payload || slot->event == event)
            return slot;
    }
}

static void grow_placements(struct sending *sending)
{
    struct placement *old = sending->placements;
    size_t old_slots = sending->slots;
    sending->slots = old_slots ? old_slots * 2 : FIRST_SLOTS;
    sending->placements = calloc(sending->slots, sizeof *sending->placements);
    check(sending->placements != NULL);
    for (size_t i = 0; i < old_slots; i++) {
        if (old[i].payload)
            *slot_of(sending, old[i].event) = old[i];
    }
    free(old);
}

static struct slice shared_event(const struct sending *sending, uint32_t event)
{
    uint32_t number = __builtin_bswap32(event);
    struct slice bytes = scratch_get(sending->scratch, SCRATCH_EVENTS,
                                     slice_of((const char *)&number, sizeof number));
    check(bytes.data != NULL);
    return bytes;
}

/* An event that goes to this stream only comes with it. */
static bool is_shared(struct slice value)
{
    return value.len == sizeof(uint32_t);
}

static uint32_t payload_of(struct sending *sending, struct slice value)
{
    struct batch *batch = sending->bridge->outbox.batch;
    if (!is_shared(value))
        return batch_add_payload(batch, value);
    if (sending->placed * 2 >= sending->slots)
        grow_placements(sending);
    uint32_t event = load_u32(value.data);
    struct placement *slot = slot_of(sending, event);
    if (!slot->payload) {
        *slot =
            (struct placement){event, batch_add_payload(batch, shared_event(sending, event)) + 1};
        sending->placed++;
    }
    return slot->payload - 1;
}

/* What the event would add to the part. */
static size_t size_of(const struct sending *sending, struct slice value)
{
    if (!is_shared(value))
        return value.len;
    uint32_t event = load_u32(value.data);
    return slot_of(sending, event)->payload ? 0 : shared_event(sending, event).len;
}

static bool ends_part(const struct sending *sending, bool is_next, struct slice value)
{
    const struct batch *batch = sending->bridge->outbox.batch;
    size_t size = batch_size(batch), added = size_of(sending, value);
    /* One event that is too large by itself goes to many streams at once all the same. */
    if (batch_reference_count(batch) == 0 || (added == 0 && size >= PART_LARGEST))
        return batch_reference_count(batch) >= PART_REFERENCES;
    return size >= (is_next ? PART_ENOUGH : PART_LARGEST) || size + added > PART_LARGEST;
}

static enum bridge_end end_part(struct sending *sending, struct progress progress, struct err *err)
{
    struct bridge *bridge = sending->bridge;
    struct outbox *outbox = &bridge->outbox;
    memset(sending->placements, 0, sending->slots * sizeof *sending->placements);
    sending->placed = 0;
    sending->has_stream = false;
    if (progress_cmp(progress, outbox->submitted) <= 0) {
        batch_end_transaction(outbox->batch);
        batch_clear(outbox->batch);
        return BRIDGE_DONE;
    }
    outbox_end(outbox, progress);
    outbox_advance(outbox, progress);
    enum bridge_end end = bridge_submit(bridge, err);
    if (end != BRIDGE_DONE)
        return end;
    fault_step(FAULT_OUTGOING_PART);
    if (*bridge->stop)
        return BRIDGE_STOPPED;
    return bridge_feedback(bridge, false, err) ? BRIDGE_DONE : BRIDGE_RETRY;
}

static enum bridge_end send_delivery(struct sending *sending, struct slice key, struct slice value,
                                     struct err *err)
{
    bool is_next = memcmp(sending->path_hash, key.data, SPOOL_PATH_SIZE) != 0;
    if (ends_part(sending, is_next, value)) {
        struct progress progress = {sending->lsn - 1, ++sending->part};
        enum bridge_end end = end_part(sending, progress, err);
        if (end != BRIDGE_DONE)
            return end;
    }
    struct batch *batch = sending->bridge->outbox.batch;
    if (is_next || !sending->has_stream) {
        memcpy(sending->path_hash, key.data, SPOOL_PATH_SIZE);
        struct slice path =
            scratch_get(sending->scratch, SCRATCH_PATHS, slice_of(key.data, SPOOL_PATH_SIZE));
        check(path.data != NULL);
        sending->stream = batch_add_stream(batch, path);
        sending->has_stream = true;
    }
    batch_add_reference(batch, sending->stream, payload_of(sending, value));
    return BRIDGE_DONE;
}

static enum bridge_end send_all(struct sending *sending, struct err *err)
{
    struct scratch_walk walk;
    struct slice key, value;
    enum bridge_end end = BRIDGE_DONE;
    grow_placements(sending);
    scratch_walk_begin(&walk, sending->scratch, SCRATCH_DELIVERIES, SLICE_NONE);
    while (end == BRIDGE_DONE && scratch_walk_next(&walk, &key, &value))
        end = send_delivery(sending, key, value, err);
    scratch_walk_end(&walk);
    if (end == BRIDGE_DONE)
        end = end_part(sending, (struct progress){sending->lsn, 0}, err);
    free(sending->placements);
    return end;
}

static bool open_spool(struct bridge *bridge, uint64_t lsn, struct err *err)
{
    struct scratch *scratch = replica_scratch(bridge->replica);
    if (!scratch_reopen(scratch, err))
        return err_prefix(err, "what is to be sent to the stream server cannot be read");
    struct slice note = scratch_get(scratch, SCRATCH_NOTES, SLICE("lsn"));
    if (note.len == sizeof lsn && load_u64(note.data) == lsn)
        return true;
    err_set(err, "the scratch file in %s does not belong to the replica beside it",
            bridge->settings->state);
    return err_hint(err, "restore the whole folder from one copy");
}

enum bridge_end bridge_send_outgoing(struct bridge *bridge, struct err *err)
{
    struct slice outgoing = replica_meta(bridge->replica, "outgoing");
    struct progress progress = {bridge->replica_lsn, 0};
    if (!outgoing.len)
        return BRIDGE_DONE;
    enum bridge_end end = bridge_restart_progress(bridge, err);
    if (end != BRIDGE_DONE)
        return end;
    if (progress_cmp(progress, bridge->outbox.submitted) > 0) {
        struct sending sending = {.bridge = bridge,
                                  .scratch = replica_scratch(bridge->replica),
                                  .lsn = bridge->replica_lsn};
        if (!open_spool(bridge, sending.lsn, err))
            return BRIDGE_FAILED;
        /* A part may be there that found no room before the connection to Postgres ended. */
        outbox_drop_gathered(&bridge->outbox);
        end = send_all(&sending, err);
        if (end != BRIDGE_DONE)
            return end;
        fault_step(FAULT_OUTGOING_SENT);
    }
    return bridge_checkpoint(bridge, bridge->replica_lsn, err);
}
