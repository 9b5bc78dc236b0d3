/* Looking at the catalog: now and then, and when a transaction may be of another one. */
#include "bridge_internal.h"

#include "weir/base/clock.h"
#include "weir/base/hash.h"
#include "weir/base/log.h"

#include <stdio.h>
#include <string.h>

enum { CATALOG_SHARE = 5 /* looking takes no more than a fifth of the time */ };

/* Each once, and again when there are others. */
static void say_complaints(struct bridge *bridge, const struct catalog *catalog)
{
    uint64_t complaints = 0;
    for (size_t i = 0; i < catalog->complaint_count; i++)
        complaints = complaints * 31 +
                     hash64(hash_process_key(), slice_from_str(catalog->complaints[i].message));
    for (size_t i = 0; complaints != bridge->said_complaints && i < catalog->complaint_count; i++) {
        struct err err;
        err_set(&err, "%s", catalog->complaints[i].message);
        err_hint(&err, "%s", catalog->complaints[i].hint);
        log_err(LOG_WARN, "a published table cannot be followed: it shows no rows to anybody",
                &err);
    }
    bridge->said_complaints = complaints;
}

/* What cannot be followed is said once and left as it was: a new table that has no key shows
 * nothing, and the others go on. */
static void complain(struct bridge *bridge, const struct catalog *catalog, const struct err *err)
{
    if (catalog)
        say_complaints(bridge, catalog);
    else if (strcmp(bridge->catalog_complaint, err->message) != 0)
        log_err(LOG_WARN, "cannot look whether the published tables have changed", err);
    snprintf(bridge->catalog_complaint, sizeof bridge->catalog_complaint, "%s",
             catalog ? "" : err->message);
}

/* In one snapshot, so that what it says has been written by is not newer than what was read of
 * it. */
static struct catalog *load(struct bridge *bridge, struct pg_connection *connection,
                            struct err *err)
{
    const char *publication = bridge->settings->publication;
    struct err ignored = {.message = ""};
    if (!pg_execute(connection, err, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"))
        return NULL;
    struct catalog *catalog = catalog_load(connection, publication, CATALOG_LENIENT, err);
    if (catalog &&
        !watch_begin(&bridge->watch, bridge->catalog, catalog, publication, connection, err)) {
        catalog_free(catalog);
        catalog = NULL;
    }
    if (!pg_execute(connection, catalog ? err : &ignored, "ROLLBACK")) {
        catalog_free(catalog);
        catalog = NULL;
    }
    return catalog;
}

bool bridge_look(struct bridge *bridge, struct err *err)
{
    struct pg_connection *connection = rule_table_connection(&bridge->rule_table, err);
    struct catalog *catalog = connection ? load(bridge, connection, err) : NULL;
    bool has_looked = catalog != NULL;
    complain(bridge, catalog, err);
    catalog_free(catalog);
    return has_looked;
}

/* Nothing is read from the slot meanwhile, so with a Postgres that answers slowly the looks must
 * not follow one upon the other: the bridge would do nothing else. */
enum bridge_end bridge_look_if_due(struct bridge *bridge, struct err *err)
{
    uint64_t started = clock_monotonic_ms();
    if (started < bridge->next_catalog_ms || started < bridge->catalog_pause_ms)
        return BRIDGE_DONE;
    rule_table_report_owed(&bridge->rule_table, bridge->rules);
    bool is_other = bridge_look(bridge, err) && bridge->watch.is_other;
    uint64_t now = clock_monotonic_ms(), pause = (now - started) * (CATALOG_SHARE - 1);
    uint64_t interval = bridge->settings->catalog_interval;
    bridge->next_catalog_ms = now + (pause > interval ? pause : interval);
    if (!is_other)
        return BRIDGE_DONE;
    err_set(err, BRIDGE_CATALOG_CHANGED);
    return BRIDGE_RESYNC;
}
