/* One random schema three times: in Postgres, as its catalog describes it, and in a replica. */
#pragma once

#include "schema.h"

#include "bridge/catalog.h"
#include "weir/rules/ruleset.h"

struct world {
    struct pg_connection *connection;
    struct schema schema;
    struct catalog *catalog;
    struct replica *replica;
    char directory[64];
    enum { OWN_NOT_ASKED, OWN_THERE, OWN_NOT_THERE } own_meanings;
};

/* Makes a random schema and publishes it; the tables are filled, the replica is empty. */
void world_open(struct world *world, struct random *random, unsigned number);

/* The same of a schema that is there; tables: their names with the schema, and commas between. */
void world_connect(struct world *world);
void world_publish(struct world *world, const char *schema, const char *tables);
void world_close(struct world *world);

const struct relation *world_relation(const struct world *world, const char *table);

/* Collects into changes what leads from the replica to what is in Postgres now. */
void world_collect_changes(struct world *world, struct change_set *changes);

/* The rule as weir.rules would hold it. */
struct rule_definition world_rule(const struct world *world, const char *table,
                                  struct slice audience, struct arena *arena);

/* Compiles one rule; the status is that of ruleset_rule_status(). */
struct ruleset *world_compile(struct world *world, const struct rule_definition *definition,
                              size_t count);

/* Executes, or returns false where Postgres refuses it. */
bool world_try(struct world *world, const char *sql);
void world_execute(struct world *world, const char *sql);

/* A set of strings, sorted; items and bytes live in the arena. */
struct strings {
    struct slice *items;
    size_t count, capacity;
};

void strings_add(struct strings *strings, struct arena *arena, struct slice text);
void strings_sort(struct strings *strings); /* and each string once */
bool strings_hold(const struct strings *strings, struct slice text);
