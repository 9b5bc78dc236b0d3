/* Random rules over a random schema, within what the documentation says an audience may hold. */
#pragma once

#include "schema.h"

/* Appends the audience of a rule on the table. Postgres may still refuse it, rarely. */
void generate_audience(const struct schema *schema, const struct table *target,
                       struct random *random, struct buffer *sql);
