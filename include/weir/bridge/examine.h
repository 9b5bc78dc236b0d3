/* What a start of the bridge would meet, found out without changing anything: for weir doctor.
 *
 * These are the bridge's own checks, run for all they find instead of for the first. One thread;
 * blocks on Postgres and the stream server. */
#pragma once

#include "weir/bridge/bridge.h"
#include "weir/postgres/replication.h"

enum finding_severity { FINDING_OK, FINDING_WARNING, FINDING_ERROR };

struct finding {
    const char *check; /* which one: "tables" */
    enum finding_severity severity;
    const char *message;
    const char
        *mend; /* the SQL or command that mends it, to be run as it is; "" when all is well */
};

/* The strings are borrowed for the call. */
typedef void finding_fn(void *context, const struct finding *finding);

/* The publication's tables, and the rules in them, as the bridge would read them now. The folder is
 * an empty one for scratch; connection may read weir.rules. */
void bridge_examine_publication(const struct bridge_settings *settings,
                                struct pg_connection *connection, const char *scratch,
                                finding_fn *fn, void *context);

/* The state folder and the streams, as far as settings->state and settings->streams are given, and
 * whether they go with each other and the slot. connection may be NULL. */
void bridge_examine_start(const struct bridge_settings *settings, struct pg_connection *connection,
                          finding_fn *fn, void *context);

/* What wal2json is asked for, with the tables as its add-tables wants them. */
enum { BRIDGE_SLOT_OPTIONS = 8 };
void bridge_slot_options(const char *tables,
                         struct replication_option options[BRIDGE_SLOT_OPTIONS]);
