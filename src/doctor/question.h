/* What Postgres is asked: a question is a query whose rows are what is wrong. Inside src/doctor
 * only. */
#pragma once

#include "weir/bridge/examine.h"

struct question {
    const char *check;
    const char *fine; /* what to say when there is no row */
    const char
        *sql; /* rows of severity, message, mend; may use given: publication, slot, address */
};

/* Of what kind the server is; of the server and the role; of schema weir, the role's rights on it,
 * and its version; of the publication and its tables; of the slot. Each ends with one whose check
 * is NULL. */
extern const struct question questions_of_kind[], questions_of_server[], questions_of_schema[],
    questions_of_rights[], questions_of_version[], questions_of_publication[], questions_of_slot[];

/* Version of schema weir that the bridge works with: what sql/10_schema.sql makes. */
enum { SCHEMA_VERSION = 2 };
