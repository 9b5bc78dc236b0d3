/* What the files of the ruleset show one another: its parts, and what compiling needs.
 *
 *   ruleset.c       rules compiled, one after the other
 *   channel.c       stream patterns: where the events go
 *   dependency.c    which tables a rule reads, and the plans from their rows back to its target
 *   visible.c       who sees a row?
 *   affected.c      which rows and subjects does a change affect? */
#pragma once

#include "array.h"
#include "plan_index.h"

/* One conjunct of a rule with the plans that do not start from another table. */
struct rule_branch {
    struct plan *by_target;  /* who sees this row? */
    struct plan *by_subject; /* does the subject see this row? */
};

struct rule {
    struct rule_definition definition;
    uint64_t hash; /* of what same_definition() compares */
    bool is_active;
    bool is_edited; /* set by ruleset_affected_by_edit() */
    char *reason, *hint;
    const struct relation *relation;
    struct slice reads; /* which tables the names in the audience mean */
    struct channel *channel;
    const uint64_t *columns; /* bit set; NULL: all */
    struct rule_branch *branches;
    size_t branch_count;
    const struct source *target; /* the row that is shown, in the branches */
};

/* A table that a rule reads: what a change of its row affects. */
struct dependency {
    const struct rule *rule;
    const struct source *source;
    const uint64_t *columns; /* of the source that matter */
    struct plan *plan;       /* from the source's row to target rows and subjects */
    bool is_exact;           /* what the plan finds is visible; else only candidates */
};

/* One branch of an active rule that shows the relation. What each change asks for stands here: of a
 * thousand rules, those themselves are in no cache. */
struct shown_branch {
    const struct plan *by_target;
    struct channel *channel;
    const uint64_t *columns;
    const struct rule_branch *branch;
    struct rule *rule;
};

struct relation_rules {
    const struct relation *relation;
    struct shown_branch *branches; /* in the order of their rules */
    size_t branch_count;
    struct plan_index branch_index;
    uint64_t *target_columns;        /* that decide a row's own audience */
    struct dependency *dependencies; /* of rules that read the relation */
    size_t dependency_count;
    struct plan_index dependency_index;
    const struct relation **readers; /* the relations that those rules show, each once */
    size_t reader_count;
};

struct ruleset {
    struct arena arena;
    struct rule *rules;
    size_t rule_count;
    struct channel **channels;
    size_t channel_count;
    struct channel *
        *refused; /* of refused rules, which may have shown rows before: type and stream */
    size_t refused_count;
    struct relation_rules *relations;   /* as in the relation_set: what depends on their order is
                                           the same in every process */
    struct relation_rules **by_address; /* of their relation, to find them */
    size_t relation_count;
    struct built_plans built;
    struct evaluation evaluation;
};

struct compile_context {
    struct ruleset *rules;
    const struct relation_set *relations;
    struct replica *replica;
    const struct rule_literals *literals;
    struct err *err; /* of the replica */
};

/* NULL where it is not of the set that the rules were compiled for. */
struct relation_rules *rules_of(const struct ruleset *rules, const struct relation *relation);

/* Sets of columns, as bits. */
uint64_t *new_column_bits(struct arena *arena, const struct relation *relation);
void set_column_bit(uint64_t *bits, size_t column);
bool columns_differ(const struct relation *relation, const uint64_t *bits, struct row a,
                    struct row b);

/* channel.c: finds or makes the rule's channel. False with err set where its pattern is refused. */
bool ensure_channel(struct compile_context *context, struct rule *rule,
                    struct err *err) WEIR_MUST_CHECK;

/* Of a rule that is refused, for a table of this name. */
void note_refused_channel(struct ruleset *rules, const struct rule *rule, struct slice table);

/* dependency.c */

/* Sets the columns of the source that the conjunct looks at, its negations included. */
void conjunct_columns(const struct conjunct *conjunct, const struct source *source, uint64_t *bits);

/* Of one conjunct of the rule. False where the replica fails. */
bool add_dependencies(struct compile_context *context, const struct rule *rule,
                      const struct conjunct *conjunct, const struct source *target) WEIR_MUST_CHECK;
