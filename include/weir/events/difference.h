/* The one idea: every delivery is the difference between two committed states.
 *
 * State A is the replica, state B the replica with a transaction's changes. For every row that may
 * be affected, directly or through the rules' joins, the audience in A is compared with that in B:
 * who lost the row gets a delete, who gained it an insert, who kept it an update if what they see
 * of it changed. An edit of the rules is the same with another ruleset in B.
 *
 * What is looked at: changed rows; and rows reached from a changed row of another table, with the
 * old version in A and the new one in B. A right that is lost had a derivation in A with an old
 * version in it, a right that is gained has one in B with a new version, so nothing is missed.
 *
 * One thread; nothing may be put into the replica meanwhile. */
#pragma once

#include "weir/events/event.h"
#include "weir/rules/ruleset.h"

/* Where events go. A payload is added once and delivered to any number of streams. */
struct event_sink {
    void *context;
    uint32_t (*add_payload)(void *context, struct slice event);
    void (*deliver)(void *context, struct slice path, uint32_t payload);
    void (*next_row)(void *context); /* what was added before is delivered no more; may be NULL */
    /* A row of so many bytes is too large to be shown, so nobody sees it; 0: it was, and is no
     * longer, or is gone. May be NULL. */
    void (*park)(void *context, const struct relation *relation, struct row row, size_t bytes);
};

struct difference;

/* A row whose JSON is larger than row_max is for nobody. What it reaches of rows that did not
 * change themselves is kept in the replica's scratch when it takes more than so many bytes; whoever
 * runs it asks the scratch afterwards whether it is sound. */
struct difference *difference_new(const struct event_sink *sink, size_t memory, size_t row_max);
void difference_free(struct difference *difference); /* NULL is allowed */

/* Delivers what leads from A under rules_a to B under rules_b (the same pointer where no rule
 * changed), in an order that only depends on the arguments. */
void difference_run(struct difference *difference, struct replica *replica,
                    struct change_set *changes, struct ruleset *rules_a, struct ruleset *rules_b,
                    const struct event_headers *headers);

/* Delivers an insert of one stored row to its audience: the difference from nothing to state A. */
void difference_first(struct difference *difference, struct replica *replica, struct ruleset *rules,
                      const struct relation *relation, struct row row,
                      const struct event_headers *headers);
