/* What only Postgres can say about values: those whose types have functions of their own to make
 * them json, such as hstore; remembered, as the same ones come again. And numbers that wal2json 2.5
 * cannot write. Inside src/bridge only. */
#pragma once

#include "rule_table.h"

#include "weir/events/convert.h"

struct casts {
    struct rule_table *table; /* whose connection asks; lost_connection is set where it cannot */
    struct json_casts asking; /* for the converter */
    struct arena arena;       /* the answers; thrown away when they become too many */
    struct answer **buckets;
    const struct ruleset *delivered_by; /* what is asked about has been delivered, by these rules;
                                           or NULL */
    bool has_failed;                    /* Postgres refused a question, or cannot know any more */
};

void casts_init(struct casts *casts, struct rule_table *table);
void casts_release(struct casts *casts);

/* A number that cannot be NULL and has come as null is NaN or infinite: which, as JSON, by the row
 * as it is now. NaN where the row is gone or has another value by now, as then another change comes
 * that says so; null where it is NULL after all. key: the key's columns in JSON.
 *
 * What was delivered before a crash may have been another of them than the row has by now. The
 * answer is then spelled otherwise than any value that comes, so that the change that comes is
 * delivered. Where rules read the column, who has been shown the row cannot be told: it fails. */
bool casts_ask_number(struct casts *casts, const struct relation *relation, size_t column,
                      const struct slice *key, struct slice *json, struct err *err) WEIR_MUST_CHECK;
