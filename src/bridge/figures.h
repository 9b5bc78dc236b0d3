/* struct bridge_figures: what a bridge says of itself, for its reports to the stream server.
 *
 * Counters are since the process started. No values of rows: reports are shown to people. */
#pragma once

#include "weir/base/err.h"

#include <stddef.h>
#include <stdint.h>

struct bridge_figures {
    const char *phase; /* static text: "starting", "loading", "publishing", "following", … */
    char waiting[ERR_MESSAGE_SIZE];     /* what keeps it from going on; "" */
    uint64_t transactions, row_changes; /* of followed tables */
    uint64_t events, deliveries;        /* an event may be delivered to many streams */
    uint64_t checkpoints, checkpoint_us, difference_us, resyncs;
    uint64_t received_lsn, applied_lsn, stored_lsn, confirmed_lsn;
    uint64_t replica_bytes;
    uint64_t tables, rules_active, rules_refused;
    uint64_t parked; /* rows */
};
