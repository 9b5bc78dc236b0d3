/* What Postgres answers to the SQL of a rule, and which events lead from one answer to another. */
#pragma once

#include "world.h"

/* What a rule says of one state. */
struct answer {
    struct strings pairs; /* key, 0x1f, subject */
    struct strings subjects;
    struct strings rows; /* key, 0x1f, the row as JSON */
};

void pairs_add(struct strings *strings, struct arena *arena, struct slice a, struct slice b);
void pair_split(struct slice pair, struct slice *a, struct slice *b);

/* The pairs and subjects alone. False where Postgres refuses the audience. */
bool oracle_ask_pairs(struct world *world, const struct table *table, struct slice audience,
                      struct answer *answer, struct arena *arena, struct err *err);

/* The whole answer to an audience that Postgres has answered before; aborts where it does not. */
struct answer oracle_ask(struct world *world, const struct table *table, struct slice audience,
                         struct arena *arena);

/* The events' key of a row, as schema_key_expression() has it. */
struct slice row_event_key(const struct relation *relation, struct row row, struct arena *arena);

/* The deliveries that lead from a to b, as text (path, operation, type, key), added to expected. */
void oracle_expect_events(struct strings *expected, struct arena *arena, const char *table,
                          const struct answer *a, const struct answer *b);

/* Those that difference_run() makes, sorted. */
struct strings deliveries_of(struct replica *replica, struct change_set *changes,
                             struct ruleset *rules_a, struct ruleset *rules_b, struct arena *arena,
                             bool *has_duplicates);
