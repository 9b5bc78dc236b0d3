/* Whose rows a transaction's are: before it is delivered, the catalog has to be what it was. */
#include "bridge_internal.h"

#include "weir/base/clock.h"

enum { VISIBLE_MS = 5000, ASK_AGAIN_MS = 2 };

/* Once more where the connection was lost while nobody needed it. */
static bool ask(struct bridge *bridge, struct err *err)
{
    for (int attempts = 2; attempts; attempts--) {
        struct pg_connection *connection = rule_table_connection(&bridge->rule_table, err);
        if (!connection)
            return false;
        if (watch_has_looked(&bridge->watch) ? watch_ask(&bridge->watch, connection, err)
                                             : bridge_look(bridge, err))
            return true;
        if (!pg_is_broken(connection))
            return false;
    }
    return false;
}

/* Postgres shows a transaction a moment after it is in the WAL; one that waits for a standby to
 * have it, that much later. */
static enum bridge_end wait_until_shown(struct bridge *bridge, struct err *err)
{
    uint64_t give_up_ms = clock_monotonic_ms() + VISIBLE_MS;
    while (!watch_covers(&bridge->watch, bridge->xid)) {
        if (!ask(bridge, err) || *bridge->stop)
            return *bridge->stop ? BRIDGE_STOPPED : BRIDGE_RETRY;
        if (watch_covers(&bridge->watch, bridge->xid))
            break;
        if (clock_monotonic_ms() >= give_up_ms) {
            err_set(err, "transaction %u is in the WAL, and Postgres does not show it yet",
                    bridge->xid);
            err_hint(err, "see whether synchronous_standby_names has it wait for a standby");
            return BRIDGE_RETRY;
        }
        bridge_wait(bridge, ASK_AGAIN_MS);
    }
    return BRIDGE_DONE;
}

/* A table that the transaction changed and of which this has become by now, if there is one. */
static const struct relation *find_changed(const struct bridge *bridge, enum table_change change)
{
    const struct relation_set *relations = &bridge->catalog->relations;
    for (size_t i = 0; i < relations->count; i++) {
        if (bridge->watch.tables[i] == change &&
            change_set_of(&bridge->transaction.changes, relations->relations[i]))
            return relations->relations[i];
    }
    return NULL;
}

/* A transaction that other tables' changes do not concern need not wait for them, if these have
 * to. */
enum bridge_end bridge_check_catalog(struct bridge *bridge, struct err *err)
{
    const struct watch *watch = &bridge->watch;
    enum bridge_end end = wait_until_shown(bridge, err);
    if (end == BRIDGE_DONE && !watch_is_quiet(watch) && !bridge_look(bridge, err))
        end = BRIDGE_RETRY;
    if (end != BRIDGE_DONE || !watch->is_other)
        return end;
    const struct relation *other = find_changed(bridge, TABLE_OTHER);
    const struct relation *grown = find_changed(bridge, TABLE_GROWN);
    if (!other && !grown && !watch->shows_other_rows &&
        clock_monotonic_ms() < bridge->catalog_pause_ms)
        return BRIDGE_DONE;
    bridge->is_held_up = other || grown;
    if (other) {
        err_set(err, "table %.*s.%.*s is another one by now, or published otherwise",
                SLICE_ARG(other->schema), SLICE_ARG(other->name));
        catalog_mark_misfit(bridge->catalog, other);
        bridge->resyncs = 0; /* the next one is another change of the catalog */
    } else {
        err_set(err, BRIDGE_CATALOG_CHANGED);
    }
    return BRIDGE_RESYNC;
}
