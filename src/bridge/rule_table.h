/* weir.rules as the replica holds it: read, compiled, and reported on in weir.rule_status. */
#pragma once

#include "answers.h"
#include "catalog.h"

#include "weir/rules/ruleset.h"

struct rule_table {
    struct catalog *catalog;
    struct replica *replica;
    const char *conninfo;
    struct pg_connection *connection; /* for literals and reports; opened when needed */
    struct answers *answers;          /* NULL: asks anew each time */
    enum { OWN_UNKNOWN, OWN_NONE, OWN_SOME } own_meanings; /* during this compilation */
    bool lost_connection; /* of the last compile: it says nothing about the rules */
    bool owes_report;     /* it failed, and is tried again with the next look */
};

void rule_table_release(struct rule_table *table);
void rule_table_disconnect(struct rule_table *table); /* the next question connects again */

/* The connection for small questions, opened again where it is broken; NULL with err. It waits for
 * no lock for long: what it asks for may be behind an ALTER TABLE that itself waits for another
 * connection of ours, and Postgres sees no deadlock in that. */
struct pg_connection *rule_table_connection(struct rule_table *table, struct err *err);

/* What a rule's literals mean, as Postgres says; lost_connection is set where it cannot. */
struct rule_literals rule_table_literals(struct rule_table *table);

/* Compiles the rules as they are in the state. False when the replica or Postgres fails. */
bool rule_table_compile(struct rule_table *table, const struct state *state, struct ruleset **rules,
                        struct err *err) WEIR_MUST_CHECK;

/* Whether a compilation has asked Postgres what the replica does not hold yet: then nothing may be
 * sent before rule_table_save() and a commit. */
bool rule_table_has_news(const struct rule_table *table);
bool rule_table_save(struct rule_table *table, struct err *err) WEIR_MUST_CHECK;

/* The index of the first rule that somebody wrote: the bridge's own one has no name. */
size_t rules_first(const struct ruleset *rules);

/* Writes to weir.rule_status and the log which rules are refused and why. What fails here is logged
 * and otherwise passed over: rows are shown or not by the rules, not by the report. */
void rule_table_report(struct rule_table *table, const struct ruleset *rules);

/* What a report could not write for a reason that passes, as a lock on weir.rule_status. */
void rule_table_report_owed(struct rule_table *table, const struct ruleset *rules);
