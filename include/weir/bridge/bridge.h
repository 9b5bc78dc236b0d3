/* The bridge: slot -> decode -> difference -> publish -> replica commit -> confirm.
 *
 * bridge_run() blocks until it is told to stop or meets something that waiting cannot mend. Always:
 *
 *   confirmed LSN <= replica LSN <= published LSN
 *
 * so after a crash of anything, what was published and is not in the replica is applied again
 * without being sent again, and everything else is sent. */
#pragma once

#include "weir/base/err.h"
#include "weir/publish/publisher.h"

#include <signal.h>
#include <stdint.h>

struct bridge_settings {
    const char *db;                 /* libpq connection string */
    const char *streams;            /* URL of the stream root */
    enum publisher_dialect dialect; /* the stream server's */
    uint64_t connections;           /* to one of the standard dialect */
    const char *token_file;         /* whose first line is the writer's token, or NULL */
    const char *ca_file;            /* for an https stream server, or NULL */
    const char *state;              /* folder of the replica */
    const char *publication;
    const char *slot;             /* also the producer's name */
    uint64_t replica_limit;       /* bytes of the replica's map */
    uint64_t batch_size;          /* bytes after which a batch is sent though more is waiting */
    uint64_t transaction_memory;  /* bytes; of a larger transaction the rest is kept in `state` */
    uint64_t event_max;           /* bytes of a row as JSON; a larger one is parked */
    uint64_t checkpoint_interval; /* ms */
    uint64_t catalog_interval;    /* ms between looks at which tables are published, and how */
    uint64_t probe_interval;      /* ms between probes of the lag; 0: none */
    bool resync; /* compare everything with the streams first, whatever they were made from */
};

/* *stop is set by a signal handler, which then writes to stop_fd, an eventfd. True when it stopped
 * because of that, with everything in hand published and committed; false with err otherwise. */
bool bridge_run(const struct bridge_settings *settings, int stop_fd,
                const volatile sig_atomic_t *stop, struct err *err) WEIR_MUST_CHECK;
