/* The streams brought to what the replica says, by difference: after the replica, or what tied it
 * to the streams, was lost.
 *
 * Every other difference takes state A from the replica. Here A is what the streams themselves
 * hold, read back and folded; B is the replica. What B calls for is the difference from nothing to
 * it, as in the first publication, but each event is held against what its stream has of that row:
 * the same value is passed over, another becomes an update. What is left of A afterwards is shown
 * to nobody in B, and deleted.
 *
 * Nothing is sent before the whole of it is durable in the spool, with the note that the replica
 * follows (src/bridge/outgoing.c): a crash before that compares again, one behind it sends the
 * rest. With the note goes a new source, under which the producer's progress begins anew, so that
 * positions of the history that was left and of this one never meet. */
#include "bridge_internal.h"

#include "held.h"

#include "weir/base/check.h"
#include "weir/base/fault.h"
#include "weir/base/json.h"
#include "weir/base/log.h"

#include <stdlib.h>

/* An event of the row at hand in one of its forms, before it is known who lacks it. */
struct form {
    struct buffer event;
    struct hash128 row, value;
    uint32_t insert, update; /* in the outbox, + 1; 0: not yet */
};

struct comparison {
    struct bridge *bridge;
    struct scratch *scratch;
    struct event_sink sink; /* of the outbox */
    struct difference *difference;
    struct form *forms;
    uint32_t form_count, form_capacity;
    uint64_t rows, inserts, updates, deletes;
};

static uint32_t add_form(void *context, struct slice event)
{
    struct comparison *comparison = context;
    struct held_event read;
    if (comparison->form_count == comparison->form_capacity) {
        comparison->form_capacity = comparison->form_capacity ? 2 * comparison->form_capacity : 8;
        comparison->forms =
            realloc(comparison->forms, comparison->form_capacity * sizeof *comparison->forms);
        check(comparison->forms != NULL);
        memset(comparison->forms + comparison->form_count, 0,
               (comparison->form_capacity - comparison->form_count) * sizeof *comparison->forms);
    }
    struct form *form = &comparison->forms[comparison->form_count];
    buffer_clear(&form->event);
    buffer_add_slice(&form->event, event);
    check(held_event_read(event, &read));
    form->row = held_row(&read);
    form->value = held_value(read.value);
    form->insert = form->update = 0;
    return comparison->form_count++;
}

/* The event was made as an insert, and both words have the same length. */
static void set_operation(const struct comparison *comparison, struct form *form, bool is_update)
{
    enum { WORD = 6, QUOTE = 1 };
    size_t behind = comparison->bridge->headers.tail_len + QUOTE;
    memcpy(form->event.data + form->event.len - behind - WORD, is_update ? "update" : "insert",
           WORD);
}

static uint32_t payload_of(struct comparison *comparison, struct form *form, bool is_update)
{
    uint32_t *payload = is_update ? &form->update : &form->insert;
    if (!*payload) {
        set_operation(comparison, form, is_update);
        *payload =
            1 + comparison->sink.add_payload(comparison->sink.context, buffer_slice(&form->event));
    }
    return *payload - 1;
}

static void deliver_unless_held(void *context, struct slice path, uint32_t index)
{
    struct comparison *comparison = context;
    struct form *form = &comparison->forms[index];
    struct held_id id = {held_path(path), form->row};
    struct hash128 value;
    bool is_held = held_find(comparison->scratch, &id, &value);
    if (is_held)
        held_remove(comparison->scratch, &id);
    if (is_held && memcmp(&value, &form->value, sizeof value) == 0)
        return;
    comparison->inserts += !is_held;
    comparison->updates += is_held;
    comparison->sink.deliver(comparison->sink.context, path, payload_of(comparison, form, is_held));
}

static void next_row(void *context)
{
    struct comparison *comparison = context;
    comparison->sink.next_row(comparison->sink.context);
}

static void park(void *context, const struct relation *relation, struct row row, size_t bytes)
{
    struct comparison *comparison = context;
    comparison->sink.park(comparison->sink.context, relation, row, bytes);
}

static void delete_held(void *context, struct slice path, struct slice type, struct slice key)
{
    struct comparison *comparison = context;
    const struct event_headers *headers = &comparison->bridge->headers;
    struct buffer event = BUFFER_INIT;
    check(path.data != NULL);
    buffer_printf(&event, "{\"type\":%.*s,\"key\":%.*s,\"headers\":{\"operation\":\"delete\"",
                  SLICE_ARG(type), SLICE_ARG(key));
    buffer_add(&event, headers->tail, headers->tail_len);
    comparison->sink.deliver(
        comparison->sink.context, path,
        comparison->sink.add_payload(comparison->sink.context, buffer_slice(&event)));
    buffer_release(&event);
    comparison->deletes++;
}

static enum bridge_end compare_relation(struct comparison *comparison,
                                        const struct relation *relation, struct err *err)
{
    struct bridge *bridge = comparison->bridge;
    struct replica_range range;
    struct slice key;
    struct row row;
    enum bridge_end end = BRIDGE_DONE;
    if (!ruleset_has_channels(bridge->rules, relation))
        return BRIDGE_DONE;
    replica_range_begin(&range, bridge->replica, relation, NULL, SLICE_NONE);
    while (end == BRIDGE_DONE && replica_range_next(&range, &key, &row)) {
        comparison->form_count = 0;
        comparison->rows++;
        difference_first(comparison->difference, bridge->replica, bridge->rules, relation, row,
                         &bridge->headers);
        bridge_show_if_due(bridge);
        if (*bridge->stop)
            end = BRIDGE_STOPPED;
        else if (!scratch_is_sound(comparison->scratch, err))
            end = BRIDGE_FAILED;
    }
    replica_range_end(&range);
    return end;
}

static enum bridge_end compare_rows(struct comparison *comparison, struct err *err)
{
    struct bridge *bridge = comparison->bridge;
    const struct relation_set *relations = &bridge->catalog->relations;
    outbox_spool(&bridge->outbox);
    for (size_t i = 0; i < relations->count; i++) {
        enum bridge_end end = compare_relation(comparison, relations->relations[i], err);
        if (end != BRIDGE_DONE)
            return end;
    }
    held_each(comparison->scratch, delete_held, comparison);
    scratch_empty(comparison->scratch, SCRATCH_HELD);
    return scratch_is_sound(comparison->scratch, err) ? BRIDGE_DONE : BRIDGE_FAILED;
}

/* Events say when it was that their rows were found to be so. */
static bool set_headers(struct bridge *bridge, struct err *err)
{
    struct pg_connection *connection = rule_table_connection(&bridge->rule_table, err);
    struct pg_rows *now =
        connection ? pg_query(connection, err, "SELECT now()::text", 0, NULL) : NULL;
    if (!now)
        return false;
    event_headers_set(&bridge->headers, 0, pg_rows_slice(now, 0, 0));
    pg_rows_free(now);
    return true;
}

/* What an earlier process meant to send is in the replica, and so in B. */
static bool begin(struct bridge *bridge, struct err *err)
{
    bool ok = meta_set_phase(bridge->replica, PHASE_COMPARING, err) &&
              replica_set_meta(bridge->replica, "outgoing", SLICE(""), err) &&
              replica_commit(bridge->replica, err);
    scratch_clear(replica_scratch(bridge->replica));
    return ok;
}

static enum bridge_end run(struct comparison *comparison, struct err *err)
{
    struct bridge *bridge = comparison->bridge;
    enum bridge_end end = bridge_claim(bridge, err);
    if (end != BRIDGE_DONE)
        return end;
    if (!begin(bridge, err))
        return BRIDGE_FAILED;
    if (!set_headers(bridge, err))
        return BRIDGE_RETRY;
    fault_step(FAULT_COMPARE_BEGIN);
    bridge->parking.lsn = bridge->replica_lsn;
    end = held_read(bridge, err);
    fault_step(FAULT_COMPARE_READ);
    if (end == BRIDGE_DONE)
        end = compare_rows(comparison, err);
    if (end == BRIDGE_DONE)
        end = bridge_write_parked(bridge, err);
    if (end != BRIDGE_DONE)
        return end;
    if (!bridge_begin_history(bridge, true, err) ||
        !meta_set_phase(bridge->replica, PHASE_FOLLOWING, err) ||
        !meta_set_rule_language(bridge->replica, err) ||
        !bridge_commit_outgoing(bridge, bridge->replica_lsn, err))
        return BRIDGE_FAILED;
    fault_step(FAULT_COMPARE_COMMITTED);
    log_event(LOG_INFO, "compared with the streams", LOG_U("rows", comparison->rows),
              LOG_U("inserts", comparison->inserts), LOG_U("updates", comparison->updates),
              LOG_U("deletes", comparison->deletes), LOG_LSN("lsn", bridge->replica_lsn));
    return bridge_send_outgoing(bridge, err);
}

enum bridge_end bridge_compare(struct bridge *bridge, struct err *err)
{
    struct comparison comparison = {.bridge = bridge,
                                    .scratch = replica_scratch(bridge->replica),
                                    .sink = outbox_sink(&bridge->outbox)};
    struct event_sink sieve = {&comparison, add_form, deliver_unless_held, next_row, park};
    comparison.difference =
        difference_new(&sieve, bridge->settings->transaction_memory, bridge->settings->event_max);
    enum bridge_end end = run(&comparison, err);
    difference_free(comparison.difference);
    for (uint32_t i = 0; i < comparison.form_capacity; i++)
        buffer_release(&comparison.forms[i].event);
    free(comparison.forms);
    return end;
}
