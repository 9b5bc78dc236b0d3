/* Who sees a row, answered by running plans. */
#include "audience.h"
#include "ruleset_internal.h"

struct audience_collection {
    struct audience *audience;
    const struct shown_branch *shown;
};

static bool collect_member(struct evaluation *evaluation, struct slice subject)
{
    struct audience_collection *collection = evaluation->context;
    audience_add(collection->audience, collection->shown->channel, subject,
                 collection->shown->columns);
    return true;
}

void ruleset_audience(struct ruleset *rules, const struct state *state,
                      const struct relation *relation, struct row row, struct audience *audience)
{
    struct relation_rules *own = rules_of(rules, relation);
    struct evaluation *evaluation = &rules->evaluation;
    struct audience_collection collection = {audience, NULL};
    if (!own)
        return;
    evaluation->state = state;
    evaluation->emit = collect_member;
    evaluation->context = &collection;
    struct plan_list possible = plan_index_find(&own->branch_index, evaluation, row);
    for (size_t i = 0; i < possible.count; i++) {
        collection.shown = &own->branches[possible.items[i]];
        evaluation->rows[TARGET_SLOT] = row;
        plan_run(collection.shown->by_target, evaluation);
    }
    evaluation->context = NULL;
}

static bool note_found(struct evaluation *evaluation, struct slice subject)
{
    (void)subject;
    *(bool *)evaluation->context = true;
    return false;
}

static bool branch_shows(struct ruleset *rules, const struct rule_branch *branch, struct row row)
{
    bool found = false;
    rules->evaluation.context = &found;
    rules->evaluation.rows[TARGET_SLOT] = row;
    plan_run(branch->by_subject, &rules->evaluation);
    rules->evaluation.context = NULL;
    return found;
}

bool ruleset_is_visible(struct ruleset *rules, const struct state *state, struct row row,
                        const struct channel *channel, struct slice subject, struct arena *arena,
                        const uint64_t **columns)
{
    struct relation_rules *own = rules_of(rules, channel->relation);
    const struct rule *shown_by = NULL; /* the last one that was found to show it */
    if (!own)
        return false;
    rules->evaluation.state = state;
    rules->evaluation.emit = note_found;
    rules->evaluation.subject = subject;
    struct plan_list possible = plan_index_find(&own->branch_index, &rules->evaluation, row);
    for (size_t i = 0; i < possible.count; i++) {
        const struct shown_branch *shown = &own->branches[possible.items[i]];
        if (shown->rule == shown_by || !slice_eq(shown->rule->channel->identity, channel->identity))
            continue;
        if (!branch_shows(rules, shown->branch, row))
            continue;
        *columns = shown_by
                       ? columns_union(arena, channel->relation, *columns, shown->rule->columns)
                       : shown->rule->columns;
        shown_by = shown->rule;
        if (!*columns)
            return true;
    }
    return shown_by != NULL;
}

bool ruleset_has_channels(const struct ruleset *rules, const struct relation *relation)
{
    const struct relation_rules *own = rules_of(rules, relation);
    return own && own->branch_count > 0;
}

bool ruleset_target_columns_differ(const struct ruleset *rules, const struct relation *relation,
                                   struct row a, struct row b)
{
    const struct relation_rules *own = rules_of(rules, relation);
    return own && columns_differ(relation, own->target_columns, a, b);
}

static bool has_column_bit(const uint64_t *bits, size_t column)
{
    return bits && bits[column / 64] >> column % 64 & 1;
}

bool ruleset_reads_column(const struct ruleset *rules, const struct relation *relation,
                          size_t column)
{
    const struct relation_rules *read = rules_of(rules, relation);
    bool reads = read && has_column_bit(read->target_columns, column);
    for (size_t i = 0; read && !reads && i < read->dependency_count; i++)
        reads = has_column_bit(read->dependencies[i].columns, column);
    return reads;
}

bool ruleset_reads(const struct ruleset *rules, const struct relation *target,
                   const struct relation *other)
{
    const struct relation_rules *read = rules_of(rules, other);
    for (size_t i = 0; read && i < read->reader_count; i++) {
        if (read->readers[i] == target)
            return true;
    }
    return false;
}
