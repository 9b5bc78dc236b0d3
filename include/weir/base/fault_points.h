/* The named steps, one line each: X(identifier, daemon, name, FAILS or GOES_ON).
 *
 * A name says what comes next ("log.write") or what has just been done ("log.written"). FAILS: the
 * step is a call that may fail, and can be told to. tests/faults reads this file and visits every
 * line. */
#pragma once

#define FAULT_POINTS(X) \
    X(SEGMENT_CREATE, serve, "segment.create", FAILS) \
    X(SEGMENT_CREATED, serve, "segment.created", GOES_ON) \
    X(SEGMENT_REMOVE, serve, "segment.remove", GOES_ON) \
    X(LOG_WRITE, serve, "log.write", FAILS) \
    X(LOG_WRITTEN, serve, "log.written", GOES_ON) \
    X(LOG_SYNC, serve, "log.sync", FAILS) \
    X(LOG_SYNCED, serve, "log.synced", GOES_ON) \
    X(FRAME_DURABLE, serve, "frame.durable", GOES_ON) \
    X(BATCH_DECIDED, serve, "batch.decided", GOES_ON) \
    X(CLAIM_DECIDED, serve, "claim.decided", GOES_ON) \
    X(CHECKPOINT_CUT, serve, "checkpoint.cut", GOES_ON) \
    X(CHECKPOINT_BEGIN, serve, "checkpoint.begin", GOES_ON) \
    X(CHECKPOINT_COMMIT, serve, "checkpoint.commit", FAILS) \
    X(CHECKPOINT_COMMITTED, serve, "checkpoint.committed", GOES_ON) \
    X(CHECKPOINT_DROP_LOG, serve, "checkpoint.drop_log", GOES_ON) \
    X(LOAD_SLOT, bridge, "load.slot", FAILS) \
    X(LOAD_SLOT_MADE, bridge, "load.slot_made", GOES_ON) \
    X(LOAD_TABLE, bridge, "load.table", GOES_ON) \
    X(LOAD_COMMIT, bridge, "load.commit", GOES_ON) \
    X(LOAD_COMMITTED, bridge, "load.committed", GOES_ON) \
    X(FIRST_PUBLISHED, bridge, "first.published", GOES_ON) \
    X(CLAIM_SEND, bridge, "claim.send", FAILS) \
    X(CLAIM_ANSWERED, bridge, "claim.answered", GOES_ON) \
    X(PUBLISH_SEND, bridge, "publish.send", FAILS) \
    X(PUBLISH_ANSWERED, bridge, "publish.answered", GOES_ON) \
    X(TRANSACTION_END, bridge, "transaction.end", GOES_ON) \
    X(TRANSACTION_APPLIED, bridge, "transaction.applied", GOES_ON) \
    X(REPLICA_COMMIT, bridge, "replica.commit", FAILS) \
    X(REPLICA_COMMITTED, bridge, "replica.committed", GOES_ON) \
    X(SLOT_CONFIRM, bridge, "slot.confirm", FAILS) \
    X(SLOT_CONFIRMED, bridge, "slot.confirmed", GOES_ON) \
    X(SPILL_BEGIN, bridge, "spill.begin", GOES_ON) \
    X(SPOOL_SYNC, bridge, "spool.sync", FAILS) \
    X(SPOOL_SYNCED, bridge, "spool.synced", GOES_ON) \
    X(OUTGOING_COMMITTED, bridge, "outgoing.committed", GOES_ON) \
    X(OUTGOING_PART, bridge, "outgoing.part", GOES_ON) \
    X(OUTGOING_SENT, bridge, "outgoing.sent", GOES_ON) \
    X(RESYNC_LOCKED, bridge, "resync.locked", GOES_ON) \
    X(RESYNC_SNAPSHOT, bridge, "resync.snapshot", GOES_ON) \
    X(RESYNC_GATHERED, bridge, "resync.gathered", GOES_ON) \
    X(RESYNC_DIFFERENCE, bridge, "resync.difference", GOES_ON) \
    X(RESYNC_NOTE_SLOT, bridge, "resync.note_slot", GOES_ON) \
    X(RESYNC_SLOT_MADE, bridge, "resync.slot_made", GOES_ON) \
    X(RESYNC_RESTART, bridge, "resync.restart", FAILS) \
    X(RESYNC_RESTARTED, bridge, "resync.restarted", GOES_ON) \
    X(COMPARE_BEGIN, bridge, "compare.begin", GOES_ON) \
    X(COMPARE_READ, bridge, "compare.read", GOES_ON) \
    X(COMPARE_COMMITTED, bridge, "compare.committed", GOES_ON)
