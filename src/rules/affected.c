/* What a change affects: of a row that rules read, or of the rules. */
#include "ruleset_internal.h"

struct affected_collection {
    const struct rule *rule;
    bool is_visible;
    ruleset_affected_fn *fn;
    void *context;
};

static bool report_affected(struct evaluation *evaluation, struct slice subject)
{
    struct affected_collection *collection = evaluation->context;
    collection->fn(collection->context, collection->rule->channel, evaluation->rows[TARGET_SLOT],
                   subject, collection->is_visible);
    return true;
}

void ruleset_affected(struct ruleset *rules, const struct state *state,
                      const struct relation *relation, struct row row, struct row other,
                      ruleset_affected_fn *fn, void *context)
{
    struct relation_rules *read = rules_of(rules, relation);
    struct evaluation *evaluation = &rules->evaluation;
    struct affected_collection collection = {NULL, false, fn, context};
    if (!read)
        return;
    evaluation->state = state;
    evaluation->emit = report_affected;
    evaluation->context = &collection;
    struct plan_list possible = plan_index_find(&read->dependency_index, evaluation, row);
    for (size_t i = 0; i < possible.count; i++) {
        const struct dependency *dependency = &read->dependencies[possible.items[i]];
        if (row_exists(other) && !columns_differ(relation, dependency->columns, row, other))
            continue;
        collection.rule = dependency->rule;
        collection.is_visible = dependency->is_exact;
        evaluation->rows[dependency->source->slot] = row;
        plan_run(dependency->plan, evaluation);
    }
    evaluation->context = NULL;
}

/* A name comes to mean another table when one goes, or comes, that is nearer. */
static bool same_definition(const struct rule *a, const struct rule *b)
{
    return a->is_active && b->is_active && a->hash == b->hash && a->relation == b->relation &&
           slice_eq(a->definition.audience, b->definition.audience) &&
           slice_eq(a->reads, b->reads) && slice_eq(a->definition.columns, b->definition.columns) &&
           slice_eq(a->definition.type, b->definition.type) &&
           slice_eq(a->definition.stream, b->definition.stream);
}

static bool holds_rule(const struct ruleset *rules, const struct rule *rule)
{
    for (size_t i = 0; i < rules->rule_count; i++) {
        if (same_definition(&rules->rules[i], rule))
            return true;
    }
    return false;
}

static bool shows_edited(const struct relation_rules *own)
{
    for (size_t i = 0; i < own->branch_count; i++) {
        if (own->branches[i].rule->is_edited)
            return true;
    }
    return false;
}

/* One walk over the table for all its edited rules. */
static void report_edited(struct ruleset *rules, struct relation_rules *own,
                          const struct state *state)
{
    struct evaluation *evaluation = &rules->evaluation;
    struct affected_collection *collection = evaluation->context;
    struct access all = {.kind = ACCESS_ALL, .relation = own->relation};
    struct state_read read;
    struct row row;
    state_read_begin(&read, state, &all, SLICE_NONE);
    while (state_read_next(&read, &row)) {
        struct plan_list possible = plan_index_find(&own->branch_index, evaluation, row);
        for (size_t i = 0; i < possible.count; i++) {
            const struct shown_branch *shown = &own->branches[possible.items[i]];
            if (!shown->rule->is_edited)
                continue;
            collection->rule = shown->rule;
            evaluation->rows[TARGET_SLOT] = row;
            plan_run(shown->by_target, evaluation);
        }
    }
    state_read_end(&read);
}

void ruleset_affected_by_edit(struct ruleset *rules, const struct ruleset *other,
                              const struct state *state, ruleset_affected_fn *fn, void *context)
{
    struct evaluation *evaluation = &rules->evaluation;
    struct affected_collection collection = {NULL, true, fn, context};
    evaluation->state = state;
    evaluation->emit = report_affected;
    evaluation->context = &collection;
    for (size_t i = 0; i < rules->rule_count; i++) {
        struct rule *rule = &rules->rules[i];
        rule->is_edited = rule->is_active && !holds_rule(other, rule);
    }
    for (size_t i = 0; i < rules->relation_count; i++) {
        if (shows_edited(&rules->relations[i]))
            report_edited(rules, &rules->relations[i], state);
    }
    evaluation->context = NULL;
}
