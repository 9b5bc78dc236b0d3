/* Whose rows a transaction's are: before it is delivered, its tables' names have to mean what they meant. */
#include "bridge_internal.h"

#include "weir/base/clock.h"

enum { VISIBLE_MS = 5000, ASK_AGAIN_MS = 2 };

/* Once more where the connection was lost while nobody needed it. */
static bool ask_names(struct bridge *bridge, struct err *err)
{
    for (int attempts = 2; attempts; attempts--) {
        struct pg_connection *connection = rule_table_connection(&bridge->rule_table, err);
        if (!connection)
            return false;
        if (names_ask(&bridge->names, bridge->catalog, bridge->settings->publication, connection, err))
            return true;
        if (!pg_is_broken(connection))
            return false;
    }
    return false;
}

/* Postgres shows a transaction a moment after it is in the WAL; one that waits for a standby to have it,
 * that much later. */
static enum bridge_end wait_for_names(struct bridge *bridge, struct err *err)
{
    uint64_t give_up_ms = clock_monotonic_ms() + VISIBLE_MS;
    while (!names_cover(&bridge->names, bridge->xid)) {
        if (!ask_names(bridge, err) || *bridge->stop)
            return *bridge->stop ? BRIDGE_STOPPED : BRIDGE_RETRY;
        if (names_cover(&bridge->names, bridge->xid))
            break;
        if (clock_monotonic_ms() >= give_up_ms) {
            err_set(err, "transaction %u is in the WAL, and Postgres does not show it yet", bridge->xid);
            err_hint(err, "see whether synchronous_standby_names has it wait for a standby");
            return BRIDGE_RETRY;
        }
        bridge_wait(bridge, ASK_AGAIN_MS);
    }
    return BRIDGE_DONE;
}

/* Rows whose name means another table by now may be that one's already, and they are not shown as rows
 * of the one that had it. */
enum bridge_end bridge_check_names(struct bridge *bridge, struct err *err)
{
    enum bridge_end end = wait_for_names(bridge, err);
    const struct relation_set *relations = &bridge->catalog->relations;
    for (size_t i = 0; end == BRIDGE_DONE && i < relations->count; i++) {
        const struct relation *relation = relations->relations[i];
        if (!bridge->names.is_other[i] || !change_set_of(&bridge->transaction.changes, relation))
            continue;
        err_set(err, "table %.*s.%.*s is another one by now, or not published",
                SLICE_ARG(relation->schema), SLICE_ARG(relation->name));
        bridge->misfit = relation;
        bridge->resyncs = 0; /* the next one is another name that has changed hands */
        end = BRIDGE_RESYNC;
    }
    return end;
}
