/* confirmed LSN <= replica LSN <= published LSN: the one order in which progress is
 * made durable. */
#include "bridge_internal.h"

#include "weir/base/clock.h"
#include "weir/base/fault.h"
#include "weir/base/log.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

enum { FEEDBACK_INTERVAL_MS = 1000, STOP_PATIENCE_MS = 10000 };

void bridge_wait(struct bridge *bridge, uint64_t timeout_ms)
{
    struct pollfd wake = {.fd = bridge->wake_fd, .events = POLLIN};
    uint64_t ignored;
    if (poll(&wake, 1, (int)timeout_ms) == 1 && read(bridge->wake_fd, &ignored, sizeof ignored) < 0)
        return; /* somebody else has read it: then what it announced is there to be seen */
}

bool bridge_feedback(struct bridge *bridge, bool at_once, struct err *err)
{
    uint64_t now = clock_monotonic_ms();
    if (!bridge->replication || (!at_once && now - bridge->last_feedback_ms < FEEDBACK_INTERVAL_MS))
        return true;
    bridge->last_feedback_ms = now;
    if (fault_fails(FAULT_SLOT_CONFIRM))
        return err_set_errno(err, errno, "cannot confirm to the replication slot");
    bool ok = replication_confirm(bridge->replication, bridge->replica_lsn, false, err);
    fault_step(FAULT_SLOT_CONFIRMED);
    return ok;
}

/* A Postgres that is shut down closes the connections of queries at once, and waits for its
 * walsenders, and these for what they sent to be confirmed. That takes until the stream server is
 * back, so it would wait as long; nothing is lost by going. */
static bool is_postgres_leaving(struct bridge *bridge, struct err *err)
{
    struct pg_connection *connection = bridge->rule_table.connection;
    if (!bridge->replication || (connection && !pg_has_been_closed(connection)))
        return false;
    return !rule_table_connection(&bridge->rule_table, err);
}

/* Waits for the publisher, answering keep-alives. When the operator wants to stop and the server
 * does not answer, the wait ends: what is not stored is sent again by the next start. */
static enum bridge_end wait_for_publisher(struct bridge *bridge, uint64_t *stopping_since,
                                          struct err *err)
{
    if (!publisher_is_alive(bridge->publisher, err))
        return BRIDGE_FAILED;
    if (*bridge->stop) {
        uint64_t now = clock_monotonic_ms();
        if (!*stopping_since)
            *stopping_since = now;
        if (now - *stopping_since > STOP_PATIENCE_MS) {
            err_set(err, "the stream server did not store the last batch");
            return BRIDGE_STOPPED;
        }
    }
    bridge_wait(bridge, FEEDBACK_INTERVAL_MS);
    bridge_show_if_due(bridge);
    if (is_postgres_leaving(bridge, err))
        return BRIDGE_RETRY;
    return bridge_feedback(bridge, false, err) ? BRIDGE_DONE : BRIDGE_RETRY;
}

enum bridge_end bridge_write_parked(struct bridge *bridge, struct err *err)
{
    bridge->figures.parked = bridge->parking.rows;
    for (bool has_failed = false;; has_failed = true) {
        if (parking_write(&bridge->parking, &bridge->rule_table, bridge->settings->slot, err))
            return BRIDGE_DONE;
        if (*bridge->stop)
            return BRIDGE_STOPPED;
        /* The slot sends it again; who stayed would keep a Postgres that is shut down
         * from ending. */
        if (bridge->replication)
            return BRIDGE_RETRY;
        if (!has_failed)
            log_err(LOG_WARN, "cannot write weir.parked; retrying", err);
        bridge_wait(bridge, FEEDBACK_INTERVAL_MS);
    }
}

enum bridge_end bridge_submit(struct bridge *bridge, struct err *err)
{
    uint64_t stopping_since = 0;
    while (!outbox_submit(&bridge->outbox)) {
        enum bridge_end end = wait_for_publisher(bridge, &stopping_since, err);
        if (end != BRIDGE_DONE)
            return end;
    }
    return BRIDGE_DONE;
}

enum bridge_end bridge_wait_until_stored(struct bridge *bridge, struct err *err)
{
    uint64_t stopping_since = 0;
    enum bridge_end end = bridge_submit(bridge, err);
    while (end == BRIDGE_DONE && !outbox_is_stored(&bridge->outbox))
        end = wait_for_publisher(bridge, &stopping_since, err);
    return end;
}

void bridge_drop_changes(struct bridge *bridge)
{
    transaction_clear(&bridge->transaction);
    outbox_drop(&bridge->outbox);
    parking_drop(&bridge->parking);
    /* Where a commit has failed, nobody knows whether it is on the disk: the next start looks. */
    if (!replica_has_failed(bridge->replica) && replica_meta(bridge->replica, "outgoing").len == 0)
        scratch_clear(replica_scratch(bridge->replica));
}

enum bridge_end bridge_checkpoint(struct bridge *bridge, uint64_t lsn, struct err *err)
{
    uint64_t started_us = clock_monotonic_us();
    outbox_advance(&bridge->outbox, (struct progress){lsn, 0});
    enum bridge_end end = bridge_wait_until_stored(bridge, err);
    if (end != BRIDGE_DONE)
        return end;
    bool has_outgoing = replica_meta(bridge->replica, "outgoing").len > 0;
    if ((has_outgoing && (!replica_set_meta(bridge->replica, "outgoing", SLICE(""), err) ||
                          !replica_set_meta(bridge->replica, "source before", SLICE(""), err))) ||
        !rule_table_save(&bridge->rule_table, err) || !meta_set_lsn(bridge->replica, lsn, err) ||
        !replica_commit(bridge->replica, err))
        return BRIDGE_FAILED;
    if (has_outgoing)
        scratch_clear(replica_scratch(bridge->replica));
    bridge->replica_lsn = lsn;
    if (bridge->applied_lsn < lsn)
        bridge->applied_lsn = lsn;
    bridge->dirty_since_ms = 0;
    bridge->last_checkpoint_ms = clock_monotonic_ms();
    bridge->figures.checkpoints++;
    bridge->figures.checkpoint_us += clock_monotonic_us() - started_us;
    log_event(LOG_DEBUG, "checkpoint", LOG_LSN("lsn", lsn));
    return bridge_feedback(bridge, true, err) ? BRIDGE_DONE : BRIDGE_RETRY;
}
