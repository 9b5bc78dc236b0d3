#include "candidates.h"
#include "delivery.h"

#include "weir/base/check.h"

#include <stdlib.h>

struct difference {
    struct event_sink sink;
    struct delivery delivery;
    struct candidates candidates;
    struct arena arena; /* audiences of one row */
    size_t row_max;
};

/* Where a table takes over the type of another one's rows, what leaves goes first: a row of the one
 * and a row of the other with the same key are the same row to a stream. */
enum pass { PASS_ALL, PASS_DELETES, PASS_OTHERS };

/* One difference being worked out. */
struct sides {
    struct state a, b;
    struct ruleset *rules_a, *rules_b;
    struct change_set *changes;
    enum pass pass;
};

struct difference *difference_new(const struct event_sink *sink, size_t memory, size_t row_max)
{
    struct difference *difference = calloc(1, sizeof *difference);
    check(difference != NULL);
    difference->sink = *sink;
    difference->candidates.memory = memory;
    difference->row_max = row_max;
    difference->delivery.sink = &difference->sink;
    return difference;
}

void difference_free(struct difference *difference)
{
    if (!difference)
        return;
    delivery_release(&difference->delivery);
    candidates_release(&difference->candidates);
    arena_release(&difference->arena);
    free(difference);
}

static bool is_too_large(const struct difference *difference, const struct relation *relation,
                         struct row row)
{
    return row_exists(row) && row_json(relation, row).len > difference->row_max;
}

static void park(const struct difference *difference, const struct relation *relation,
                 struct row row, size_t bytes)
{
    if (difference->sink.park)
        difference->sink.park(difference->sink.context, relation, row, bytes);
}

static void park_entry(const struct difference *difference, const struct change_entry *entry)
{
    if (is_too_large(difference, entry->relation, entry->new_row))
        park(difference, entry->relation, entry->new_row,
             row_json(entry->relation, entry->new_row).len);
    else if (is_too_large(difference, entry->relation, entry->old_row))
        park(difference, entry->relation, entry->old_row, 0);
}

static void audience_of(struct difference *difference, struct ruleset *rules,
                        const struct state *state, const struct relation *relation, struct row row,
                        struct audience *audience)
{
    audience_init(audience, &difference->arena);
    if (row_exists(row) && !is_too_large(difference, relation, row))
        ruleset_audience(rules, state, relation, row, audience);
}

/* Whether an update cannot have changed who sees the row: the rules, the columns they look at and
 * all other tables they read are as before. */
static bool keeps_audience(const struct difference *difference, const struct sides *sides,
                           const struct change_entry *entry, bool reads_changed)
{
    return !is_too_large(difference, entry->relation, entry->old_row) &&
           !is_too_large(difference, entry->relation, entry->new_row) &&
           sides->rules_a == sides->rules_b && !reads_changed && row_exists(entry->old_row) &&
           row_exists(entry->new_row) &&
           !ruleset_target_columns_differ(sides->rules_a, entry->relation, entry->old_row,
                                          entry->new_row);
}

static void send(struct difference *difference, const struct sides *sides,
                 enum event_operation operation, const struct audience_member *member,
                 struct row row)
{
    bool is_delete = operation == EVENT_DELETE;
    if (sides->pass == PASS_ALL || is_delete == (sides->pass == PASS_DELETES))
        delivery_send(&difference->delivery, operation, member->channel, member->subject, row,
                      is_delete ? NULL : member->columns);
}

static void update_all(struct difference *difference, const struct sides *sides,
                       const struct change_entry *entry)
{
    struct audience audience;
    struct delivery *delivery = &difference->delivery;
    audience_of(difference, sides->rules_a, &sides->a, entry->relation, entry->old_row, &audience);
    for (size_t i = 0; i < audience.count; i++) {
        const struct audience_member *member = audience.members[i];
        struct version was = {entry->relation, entry->old_row, member->columns};
        struct version is = {entry->relation, entry->new_row, member->columns};
        if (delivery_shows_change(delivery, &was, &is))
            send(difference, sides, EVENT_UPDATE, member, entry->new_row);
    }
}

static void compare_audiences(struct difference *difference, const struct sides *sides,
                              struct version was, struct version is)
{
    struct audience before, after;
    struct delivery *delivery = &difference->delivery;
    audience_of(difference, sides->rules_a, &sides->a, was.relation, was.row, &before);
    audience_of(difference, sides->rules_b, &sides->b, is.relation, is.row, &after);
    for (size_t i = 0; i < before.count; i++) {
        const struct audience_member *old = before.members[i];
        const struct audience_member *new = audience_find(&after, old->channel, old->subject);
        if (!new) {
            send(difference, sides, EVENT_DELETE, old, was.row);
            continue;
        }
        was.columns = old->columns;
        is.columns = new->columns;
        if (delivery_shows_change(delivery, &was, &is))
            send(difference, sides, EVENT_UPDATE, new, is.row);
    }
    for (size_t i = 0; i < after.count; i++) {
        const struct audience_member *new = after.members[i];
        if (!audience_find(&before, new->channel, new->subject))
            send(difference, sides, EVENT_INSERT, new, is.row);
    }
}

static bool reads_any_change(const struct sides *sides, const struct relation *relation)
{
    const struct changed_relation *changed = sides->changes->relations;
    for (; changed; changed = changed->next) {
        if (ruleset_reads(sides->rules_a, relation, changed->relation) ||
            ruleset_reads(sides->rules_b, relation, changed->relation))
            return true;
    }
    return false;
}

/* A table that changes its shape has its rows twice in the change set: the old ones leave by its
 * predecessor, the new ones come by its successor. Rows with the same key are one row. */
static void deliver_entry(struct difference *difference, const struct sides *sides,
                          const struct change_entry *entry)
{
    const struct relation *relation = entry->relation;
    struct version was = {relation, entry->old_row, NULL}, is = {relation, entry->new_row, NULL};
    struct change_entry other;
    if (relation->successor &&
        change_set_look(sides->changes, relation->successor, entry->key, &other) &&
        row_exists(other.new_row))
        return; /* it is looked at from the other side */
    if (relation->predecessor && !row_exists(entry->old_row) &&
        change_set_look(sides->changes, relation->predecessor, entry->key, &other))
        was = (struct version){relation->predecessor, other.old_row, NULL};
    compare_audiences(difference, sides, was, is);
}

static bool has_channels(const struct sides *sides, const struct relation *relation)
{
    return ruleset_has_channels(sides->rules_a, relation) ||
           ruleset_has_channels(sides->rules_b, relation) ||
           (relation->predecessor && ruleset_has_channels(sides->rules_a, relation->predecessor)) ||
           (relation->successor && ruleset_has_channels(sides->rules_b, relation->successor));
}

static void deliver_changed_rows(struct difference *difference, const struct sides *sides)
{
    const struct changed_relation *changed = sides->changes->relations;
    for (; changed; changed = changed->next) {
        const struct relation *relation = changed->relation;
        if (!has_channels(sides, relation))
            continue;
        bool reads_changed = reads_any_change(sides, relation);
        struct change_walk walk;
        const struct change_entry *entry;
        change_walk_begin(&walk, sides->changes, changed);
        while ((entry = change_walk_next(&walk))) {
            if (change_entry_is_noop(entry) && !reads_changed && sides->rules_a == sides->rules_b)
                continue;
            delivery_next_row(&difference->delivery);
            if (sides->pass != PASS_DELETES)
                park_entry(difference, entry);
            if (keeps_audience(difference, sides, entry, reads_changed))
                update_all(difference, sides, entry);
            else
                deliver_entry(difference, sides, entry);
            arena_clear(&difference->arena);
        }
        change_walk_end(&walk);
    }
}

/* Candidates: rows that did not change themselves */

struct collecting {
    struct difference *difference;
    const struct sides *sides;
    bool in_b;
};

static void collect(void *context, const struct channel *channel, struct row target,
                    struct slice subject, bool is_visible)
{
    struct collecting *collecting = context;
    candidates_add(&collecting->difference->candidates, collecting->sides->a.replica,
                   collecting->sides->changes, channel, target, subject, collecting->in_b,
                   is_visible && !channel->has_column_lists);
}

static void collect_affected(struct difference *difference, const struct sides *sides)
{
    struct collecting in_a = {difference, sides, false}, in_b = {difference, sides, true};
    const struct changed_relation *changed = sides->changes->relations;
    for (; changed; changed = changed->next) {
        const struct relation *relation = changed->relation;
        struct change_walk walk;
        const struct change_entry *entry;
        change_walk_begin(&walk, sides->changes, changed);
        while ((entry = change_walk_next(&walk))) {
            if (change_entry_is_noop(entry))
                continue;
            if (row_exists(entry->old_row))
                ruleset_affected(sides->rules_a, &sides->a, relation, entry->old_row,
                                 entry->new_row, collect, &in_a);
            if (row_exists(entry->new_row))
                ruleset_affected(sides->rules_b, &sides->b, relation, entry->new_row,
                                 entry->old_row, collect, &in_b);
        }
        change_walk_end(&walk);
    }
    if (sides->rules_a == sides->rules_b)
        return;
    ruleset_affected_by_edit(sides->rules_a, sides->rules_b, &sides->a, collect, &in_a);
    ruleset_affected_by_edit(sides->rules_b, sides->rules_a, &sides->b, collect, &in_b);
}

static bool sees(struct difference *difference, struct ruleset *rules, const struct state *state,
                 struct row row, const struct candidate *candidate, bool is_known,
                 const uint64_t **columns)
{
    *columns = NULL;
    if (is_too_large(difference, candidate->channel->relation, row))
        return false;
    return is_known || ruleset_is_visible(rules, state, row, candidate->channel, candidate->subject,
                                          &difference->arena, columns);
}

static void deliver_candidate(struct difference *difference, const struct sides *sides,
                              struct row row, const struct candidate *candidate)
{
    struct audience_member was = {.channel = candidate->channel, .subject = candidate->subject},
                           is = was;
    bool was_seen = sees(difference, sides->rules_a, &sides->a, row, candidate, candidate->is_in_a,
                         &was.columns);
    bool is_seen = sees(difference, sides->rules_b, &sides->b, row, candidate, candidate->is_in_b,
                        &is.columns);
    struct version before = {candidate->channel->relation, row, was.columns};
    struct version after = {candidate->channel->relation, row, is.columns};
    if (was_seen && !is_seen)
        send(difference, sides, EVENT_DELETE, &was, row);
    else if (is_seen && !was_seen)
        send(difference, sides, EVENT_INSERT, &is, row);
    else if (was_seen && delivery_shows_change(&difference->delivery, &before, &after))
        send(difference, sides, EVENT_UPDATE, &is, row);
}

static void deliver_candidates(struct difference *difference, const struct sides *sides)
{
    struct candidate_walk walk;
    const struct candidate *candidate;
    struct row row = ROW_NONE;
    bool is_next_row;
    candidate_walk_begin(&walk, &difference->candidates);
    while ((candidate = candidate_walk_next(&walk, &is_next_row))) {
        if (is_next_row) {
            arena_clear(&difference->arena);
            delivery_next_row(&difference->delivery);
            row = state_get(&sides->a, candidate->row->relation, candidate->row->key);
            check(row_exists(row)); /* it did not change, so it is in A as well as in B */
            if (sides->rules_a != sides->rules_b && sides->pass != PASS_DELETES &&
                is_too_large(difference, candidate->row->relation, row))
                park(difference, candidate->row->relation, row,
                     row_json(candidate->row->relation, row).len);
        }
        deliver_candidate(difference, sides, row, candidate);
    }
    candidate_walk_end(&walk);
    arena_clear(&difference->arena);
}

void difference_run(struct difference *difference, struct replica *replica,
                    struct change_set *changes, struct ruleset *rules_a, struct ruleset *rules_b,
                    const struct event_headers *headers)
{
    struct sides sides = {.a = state_before(replica, changes),
                          .b = state_after(replica, changes),
                          .rules_a = rules_a,
                          .rules_b = rules_b,
                          .changes = changes};
    difference->delivery.headers = headers;
    bool is_ordered = rules_a != rules_b && ruleset_hands_over(rules_a, rules_b);
    sides.pass = is_ordered ? PASS_DELETES : PASS_ALL;
    deliver_changed_rows(difference, &sides);
    collect_affected(difference, &sides);
    deliver_candidates(difference, &sides);
    if (is_ordered) {
        sides.pass = PASS_OTHERS;
        deliver_changed_rows(difference, &sides);
        deliver_candidates(difference, &sides);
    }
    candidates_clear(&difference->candidates);
}

void difference_first(struct difference *difference, struct replica *replica, struct ruleset *rules,
                      const struct relation *relation, struct row row,
                      const struct event_headers *headers)
{
    struct state state = {.replica = replica};
    struct audience audience;
    difference->delivery.headers = headers;
    delivery_next_row(&difference->delivery);
    if (is_too_large(difference, relation, row))
        park(difference, relation, row, row_json(relation, row).len);
    audience_of(difference, rules, &state, relation, row, &audience);
    for (size_t i = 0; i < audience.count; i++)
        delivery_send(&difference->delivery, EVENT_INSERT, audience.members[i]->channel,
                      audience.members[i]->subject, row, audience.members[i]->columns);
    arena_clear(&difference->arena);
}
