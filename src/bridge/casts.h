/* What Postgres makes of values whose types have functions of their own to make them json, such as
 * hstore; remembered, as the same ones come again. Inside src/bridge only. */
#pragma once

#include "rule_table.h"

#include "weir/events/convert.h"

struct casts {
    struct rule_table *table; /* whose connection asks; lost_connection is set where it cannot */
    struct json_casts asking; /* for the converter */
    struct arena arena;       /* the answers; thrown away when they become too many */
    struct answer **buckets;
};

void casts_init(struct casts *casts, struct rule_table *table);
void casts_release(struct casts *casts);
