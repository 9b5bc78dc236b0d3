/* What the bridge says of itself to the reporter, and the probes that come back. */
#include "bridge_internal.h"

#include "weir/base/clock.h"
#include "weir/base/json.h"

#include <stdio.h>

enum { SHOW_INTERVAL_MS = 200 };

static void count_rules(const struct ruleset *rules, struct bridge_figures *figures)
{
    figures->rules_active = figures->rules_refused = 0;
    for (size_t i = rules ? rules_first(rules) : 0; rules && i < ruleset_rule_count(rules); i++) {
        if (ruleset_rule_status(rules, i).is_active)
            figures->rules_active++;
        else
            figures->rules_refused++;
    }
}

static void show(struct bridge *bridge)
{
    struct bridge_figures *figures = &bridge->figures;
    figures->events = bridge->outbox.events;
    figures->deliveries = bridge->outbox.deliveries;
    figures->applied_lsn = bridge->applied_lsn;
    figures->received_lsn =
        bridge->server_lsn > bridge->applied_lsn ? bridge->server_lsn : bridge->applied_lsn;
    figures->stored_lsn = publisher_stored(bridge->publisher).lsn;
    figures->confirmed_lsn = bridge->replica_lsn;
    figures->replica_bytes = replica_size(bridge->replica);
    figures->tables = bridge->catalog ? bridge->catalog->relations.count : 0;
    count_rules(bridge->rules, figures);
    bridge->last_show_ms = clock_monotonic_ms();
    reporter_show(bridge->reporter, figures);
}

void bridge_show(struct bridge *bridge, const char *phase)
{
    bridge->figures.phase = phase;
    bridge->figures.waiting[0] = '\0';
    show(bridge);
}

void bridge_show_waiting(struct bridge *bridge, const struct err *why)
{
    bridge->figures.phase = "waiting";
    snprintf(bridge->figures.waiting, sizeof bridge->figures.waiting, "%s", why->message);
    show(bridge);
}

static void look_for_probe(struct bridge *bridge)
{
    if (!bridge->probe ||
        progress_cmp(publisher_stored(bridge->publisher), bridge->probe_position) < 0)
        return;
    reporter_probe_stored(bridge->reporter, bridge->probe);
    bridge->probe = 0;
}

void bridge_show_if_due(struct bridge *bridge)
{
    look_for_probe(bridge);
    if (clock_monotonic_ms() - bridge->last_show_ms >= SHOW_INTERVAL_MS)
        show(bridge);
}

bool bridge_take_message(struct bridge *bridge, struct slice message)
{
    struct change change;
    struct err ignored;
    struct buffer scratch = BUFFER_INIT;
    uint64_t number;
    if (!slice_starts_with(message, SLICE("{\"action\":\"M\"")))
        return false;
    /* Anybody may write messages of this prefix: what is no probe, or not even JSON, is passed
     * over. */
    if (change_decode(bridge->decoder, message, &change, &ignored) &&
        reporter_is_probe(bridge->reporter, json_text(change.content, &scratch), &number)) {
        bridge->probe = number;
        bridge->probe_position = bridge->outbox.gathered;
        look_for_probe(bridge);
    }
    buffer_release(&scratch);
    return true;
}
