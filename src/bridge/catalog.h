/* Reading Postgres's catalog: which tables the publication holds, their columns, keys and types.
 *
 * What Weir cannot follow exactly is refused here, with the statement that mends it. Reads in the
 * connection's current transaction, so that it agrees with a snapshot set there. */
#pragma once

#include "weir/postgres/connection.h"
#include "weir/base/buffer.h"
#include "weir/replica/relation.h"

/* A published table that is left out, and the SQL that mends it. */
struct catalog_complaint {
    const char *message;
    const char *hint;
    bool is_implicit; /* published with all tables, or all of its schema */
};

struct catalog {
    struct arena arena;
    struct relation_set relations;
    const struct relation *rules; /* weir.rules */
    /* Tables that are not published and have the name of a published one in public: where a rule's
     * own schema has them, its names mean them. Each qualified and quoted, with a space between.
     * And the schemas that the bridge may not look into. */
    struct slice hiding;
    /* The application's operators and casts that concern rules, as text. */
    struct slice own_meanings;
    /* A rule goes by an answer of Postgres about such a table that was given at another time, and
     * is not what hiding says: though the next look finds hiding as it is here, the rule is to be
     * compiled anew. */
    bool is_doubtful;
    double *row_estimates;                /* for each relation, for progress; none when restored */
    struct catalog_complaint *complaints; /* none when restored */
    size_t complaint_count;
    struct catalog *older; /* whose relations this one may still point to */
};

/* What to do about a table that cannot be followed: fail, or leave it out and complain. */
enum catalog_strictness { CATALOG_STRICT, CATALOG_LENIENT };

/* NULL on failure. */
struct catalog *catalog_load(struct pg_connection *connection, const char *publication,
                             enum catalog_strictness strictness, struct err *err) WEIR_MUST_CHECK;
void catalog_free(struct catalog *catalog); /* NULL is allowed */

/* The catalog as bytes, for the replica, and back: the replica's rows can be read only with the
 * catalog that they were stored by. NULL with err where the bytes are damaged. */
void catalog_save(const struct catalog *catalog, struct buffer *out);
struct catalog *catalog_restore(struct slice bytes, struct err *err) WEIR_MUST_CHECK;

/* Whether both hold the same tables in the same shape, and names mean the same, also to the rules
 * that were compiled with one of them. */
bool catalog_equals(const struct catalog *a, const struct catalog *b);

/* What has become of a table of before. */
enum table_change {
    TABLE_SAME,
    TABLE_GROWN, /* it has got partitions, and the others are what they were */
    TABLE_OTHER,
};
enum table_change catalog_table_change(const struct catalog *now, const struct relation *before);

/* Whether the very partition is among the table's. */
bool relation_has_leaf(const struct relation *relation, const struct leaf *leaf);

/* Whether by now others may be shown of the tables of before: a table is not published, or in
 * another way; rules may be refused. */
bool catalog_shows_other_rows(const struct catalog *before, const struct catalog *now);

/* Whether hiding has the name, which is qualified and quoted. */
bool catalog_hides(const struct catalog *catalog, struct slice name);

/* Makes catalog the follower of older, which it takes over: relations of the same shape become one
 * and the same, with the older one's partitions until catalog_renew(), others of the same table
 * know each other as predecessor and successor, until catalog_settle(). */
void catalog_succeed(struct catalog *catalog, struct catalog *older);
void catalog_renew(struct catalog *catalog);
void catalog_settle(struct catalog *catalog);

/* There may be several, which are found one after the other. */
void catalog_mark_misfit(struct catalog *catalog, const struct relation *relation);

/* Whether the very relation is in the catalog. */
bool catalog_holds(const struct catalog *catalog, const struct relation *relation);
