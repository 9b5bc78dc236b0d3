/* What the parts of a running bridge share. Inside src/bridge only.
 *
 *   phase       the replica says             on start
 *   loading     nothing is complete          drop the slot, wipe, load again
 *   publishing  all rows as of lsn           deliver them, from the server's progress on
 *   comparing   all rows as of lsn           deliver what the streams do not hold already
 *   following   all rows as of lsn           follow the slot from lsn */
#pragma once

/* How a stage ended. */
enum bridge_end {
    BRIDGE_DONE,
    BRIDGE_STOPPED, /* the operator wants it */
    BRIDGE_RETRY,   /* the connection to Postgres is gone, or something is in the way; err says */
    BRIDGE_FAILED,  /* waiting does not help; err says */
    BRIDGE_RESYNC,  /* a table is not what the replica has of it; err says */
    BRIDGE_REOPEN,  /* to be gone on with as if the bridge had just been started */
};

#include "casts.h"
#include "catalog.h"
#include "figures.h"
#include "outbox.h"
#include "reporter.h"
#include "rule_table.h"
#include "sent.h"
#include "table_reader.h"
#include "transaction.h"
#include "watch.h"

#include "weir/bridge/bridge.h"
#include "weir/postgres/origin.h"
#include "weir/postgres/replication.h"

struct bridge {
    const struct bridge_settings *settings;
    const volatile sig_atomic_t *stop;
    int wake_fd; /* written to by signals and the publisher */

    struct replica *replica;
    struct publisher *publisher;
    struct outbox outbox;
    struct parking parking;
    struct event_sink sink;
    struct difference *difference;
    struct catalog *catalog;
    struct rule_table rule_table;
    struct casts casts;
    struct watch watch;
    struct ruleset *rules;
    struct transaction transaction;
    struct change_decoder *decoder;
    struct replication *replication;
    bool has_plain_numbers; /* the plugin cannot write numbers as strings, and so not NaN */

    uint64_t replica_lsn; /* durable in the replica: what may be confirmed */
    uint64_t applied_lsn; /* in the replica, perhaps not durable yet */
    bool is_claimed;
    struct progress published; /* the server had this when this process claimed the producer */
    uint64_t replayed_to;  /* an earlier process may have published up to this, if the server keeps
                              no progress; else 0 */
    struct sent_note sent; /* for the next one */
    uint64_t server_lsn;   /* Postgres has sent everything before it */

    bool in_transaction;
    bool skips_transaction; /* applied already */
    uint32_t xid;
    uint64_t end_lsn; /* of the transaction at hand */
    struct event_headers headers;

    struct pg_origin origin;         /* of the connection that was last asked */
    char walsender[PG_BACKEND_SIZE]; /* who holds the slot for us */
    bool wants_compare;              /* the operator wants everything compared with the streams */
    bool cannot_replay;              /* what has been delivered cannot be worked out again */
    bool needs_slot;                 /* it is gone or lost: everything is read again */
    char resync_reason[120];         /* said already */
    bool wants_resync;               /* that, or the catalog has changed, or: */
    bool is_held_up;                 /* the transaction at hand cannot go on without that */
    unsigned resyncs;                /* for misfits, since a transaction was last applied */
    uint64_t next_catalog_ms;
    uint64_t catalog_pause_ms; /* until then a changed catalog waits for transactions to end */
    char catalog_complaint[ERR_MESSAGE_SIZE]; /* why it could not be looked at; said already */
    uint64_t said_complaints;                 /* a hash of those about tables; 0: none */

    uint64_t dirty_since_ms; /* 0: nothing applied since the last checkpoint */
    uint64_t last_checkpoint_ms;
    uint64_t last_feedback_ms;
    uint64_t last_message_ms;
    uint64_t last_flush_ms;

    struct reporter *reporter;
    struct bridge_figures figures;
    uint64_t last_show_ms;
    uint64_t probe; /* has come, and waits until what was before it is stored; 0: none */
    struct progress probe_position;
};

/* show.c: what the reporter is to know. */
void bridge_show(struct bridge *bridge, const char *phase);
void bridge_show_waiting(struct bridge *bridge, const struct err *why);
void bridge_show_if_due(struct bridge *bridge);

/* Takes what pg_logical_emit_message() has written: it may be a probe. False when the message is
 * something else. */
bool bridge_take_message(struct bridge *bridge, struct slice message);

/* load.c: a new slot and its snapshot into an empty replica. */
enum bridge_end bridge_load(struct bridge *bridge, struct err *err) WEIR_MUST_CHECK;

/* first.c: every row that is loaded to everybody who may see it. */
enum bridge_end bridge_publish_first(struct bridge *bridge, struct err *err) WEIR_MUST_CHECK;

/* follow.c: the slot, until something ends it. */
enum bridge_end bridge_follow(struct bridge *bridge, struct err *err) WEIR_MUST_CHECK;

/* whose_rows.c: whether the rows of the transaction at hand are what they are taken for, and may be
 * shown to whom the rules say. Asks Postgres, as long as it does not show the transaction.
 * BRIDGE_RESYNC where the catalog is another one. */
enum bridge_end bridge_check_catalog(struct bridge *bridge, struct err *err) WEIR_MUST_CHECK;

/* look.c */

#define BRIDGE_CATALOG_CHANGED \
    "the published tables, their columns or what their names mean have changed"

/* Sets watch: whether tables have been added, dropped or altered. False, and said once, where it
 * cannot be looked at. */
bool bridge_look(struct bridge *bridge, struct err *err) WEIR_MUST_CHECK;

/* Every catalog_interval. BRIDGE_RESYNC where it is another one. */
enum bridge_end bridge_look_if_due(struct bridge *bridge, struct err *err) WEIR_MUST_CHECK;

/* checks.c: whether Postgres, the replica and the streams go together, and so what is to
 * be done. */
enum bridge_way {
    WAY_LOAD,    /* the replica is of no use: everything from a new snapshot */
    WAY_PUBLISH, /* the first publication */
    WAY_COMPARE, /* the replica is good, and what the streams hold is not known */
    WAY_RESYNC, /* the replica says what the streams hold, and is to be brought to a new snapshot */
    WAY_FOLLOW,
};

/* Looks at all three and changes none. Sets origin, needs_slot and, unless the producer is claimed,
 * published. A BRIDGE_FAILED is a refusal. */
enum bridge_end bridge_decide(struct bridge *bridge, enum bridge_way *way,
                              struct err *err) WEIR_MUST_CHECK;

/* The same of what is known already: published and the publisher's source (no publisher: nothing).
 * A state folder that is not there yet has no replica. why: what calls for a resync, or NULL. */
enum bridge_end bridge_weigh(struct bridge *bridge, struct pg_connection *connection,
                             enum bridge_way *way, const char **why,
                             struct err *err) WEIR_MUST_CHECK;

/* Whether another connection has reached the history that was decided on. */
bool bridge_is_same_origin(const struct bridge *bridge, const struct pg_origin *origin,
                           struct err *err) WEIR_MUST_CHECK;

/* Puts down in the replica where its rows come from from now on: the history of Postgres, and a new
 * source for the producer. restarts: progress begins anew with what is committed together with this
 * to be sent (outgoing.c); else it goes on. */
bool bridge_begin_history(struct bridge *bridge, bool restarts, struct err *err) WEIR_MUST_CHECK;

/* slot.c: our own slot */

/* Not while somebody else holds it: BRIDGE_RETRY, and err says who. A walsender that this bridge
 * has left behind is ended. */
enum bridge_end bridge_wait_for_slot(struct bridge *bridge, struct err *err) WEIR_MUST_CHECK;

/* Drops it where it is there; a walsender that this bridge has left behind is ended first. Refuses
 * one that is another database's. */
enum bridge_end bridge_drop_slot(struct bridge *bridge, struct pg_connection *connection,
                                 struct err *err) WEIR_MUST_CHECK;

/* Notes who holds the slot, so that it can be ended when the connection is lost without its
 * knowing. */
bool bridge_note_walsender(struct bridge *bridge, struct err *err) WEIR_MUST_CHECK;
void bridge_end_walsender(struct bridge *bridge);

/* compare.c: the streams to what the replica says. */
enum bridge_end bridge_compare(struct bridge *bridge, struct err *err) WEIR_MUST_CHECK;

/* bridge.c: makes the publisher, which does not connect yet; with a reporter, which does. */
bool bridge_open_publisher(struct bridge *bridge, bool has_reporter,
                           struct err *err) WEIR_MUST_CHECK;

/* Connects to the slot and starts it from the replica's position. */
enum bridge_end bridge_start_replication(struct bridge *bridge, struct err *err) WEIR_MUST_CHECK;

/* resync.c: the replica and the streams to a new snapshot of the catalog and what has changed. */
enum bridge_end bridge_resync(struct bridge *bridge, struct err *err) WEIR_MUST_CHECK;

/* outgoing.c */

/* What is in the spool and everything up to lsn into the replica, in one commit. */
bool bridge_commit_outgoing(struct bridge *bridge, uint64_t lsn, struct err *err) WEIR_MUST_CHECK;

/* Sends what has been committed so and may not have been published, and waits until it
 * is stored. */
enum bridge_end bridge_send_outgoing(struct bridge *bridge, struct err *err) WEIR_MUST_CHECK;

/* bridge.c: takes the producer's name over, once, when it is sure that this bridge is the one to
 * publish: another bridge that had it is fenced by that, for good. */
enum bridge_end bridge_claim(struct bridge *bridge, struct err *err) WEIR_MUST_CHECK;

/* For a server that keeps no progress: transactions may have been sent up to here from now on. */
bool bridge_note_sent(struct bridge *bridge, uint64_t lsn, struct err *err) WEIR_MUST_CHECK;

/* Begins progress anew on the stream server, once, where the replica's commit calls for that. */
enum bridge_end bridge_restart_progress(struct bridge *bridge, struct err *err) WEIR_MUST_CHECK;

enum bridge_end bridge_end_of(enum publisher_claim result);

/* Lets the outbox spool events that are too many for memory. */
void bridge_allow_spool(struct bridge *bridge);

/* checkpoint.c */

/* Writes down what has been parked, before what goes with it is sent; waits for Postgres. */
enum bridge_end bridge_write_parked(struct bridge *bridge, struct err *err) WEIR_MUST_CHECK;

/* Submits the batch in hand, waiting for room; answers keep-alives meanwhile. */
enum bridge_end bridge_submit(struct bridge *bridge, struct err *err) WEIR_MUST_CHECK;

/* Submits the batch in hand, and waits until everything submitted is stored. */
enum bridge_end bridge_wait_until_stored(struct bridge *bridge, struct err *err) WEIR_MUST_CHECK;

/* Everything up to lsn stored by the server, then in the replica, then confirmed to Postgres. */
enum bridge_end bridge_checkpoint(struct bridge *bridge, uint64_t lsn,
                                  struct err *err) WEIR_MUST_CHECK;

/* Forgets the transaction at hand and what was worked out about it, unless that is to be sent. */
void bridge_drop_changes(struct bridge *bridge);

/* Tells Postgres what is durable, if that was not done within the last second. False: no
 * connection. */
bool bridge_feedback(struct bridge *bridge, bool at_once, struct err *err) WEIR_MUST_CHECK;

/* Waits for wake_fd, at most timeout_ms. */
void bridge_wait(struct bridge *bridge, uint64_t timeout_ms);

/* meta.c: the replica's notes about itself */
enum replica_phase { PHASE_NEW, PHASE_LOADING, PHASE_PUBLISHING, PHASE_COMPARING, PHASE_FOLLOWING };

enum replica_phase meta_phase(struct replica *replica);
bool meta_set_phase(struct replica *replica, enum replica_phase phase,
                    struct err *err) WEIR_MUST_CHECK;
uint64_t meta_lsn(struct replica *replica);
bool meta_set_lsn(struct replica *replica, uint64_t lsn, struct err *err) WEIR_MUST_CHECK;

/* Of the history that the rows come from; 0: an older version did not say. */
uint32_t meta_timeline(struct replica *replica);
bool meta_set_timeline(struct replica *replica, uint32_t timeline, struct err *err) WEIR_MUST_CHECK;

/* Whether the rules that the streams are brought up to were understood as this program does. Noted
 * in the commit that calls for bringing them there, and else never. */
bool meta_has_rule_language(struct replica *replica);
bool meta_set_rule_language(struct replica *replica, struct err *err) WEIR_MUST_CHECK;
