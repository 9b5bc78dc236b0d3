/* Random rules over a random schema, within what the documentation says an audience may hold. */
#pragma once

#include "schema.h"

/* Appends the audience of a rule on the table. Postgres may still refuse it, rarely. */
void generate_audience(const struct schema *schema, const struct table *target,
                       struct random *random, struct buffer *sql);

/* Appends a constant to compare a column of the type with, as SQL may write it. */
void generate_constant(struct random *random, const struct type *type, struct buffer *sql);

/* Appends one of many audiences that are alike and differ in their constants: `column = constant`
 * of the row or of a joined one, IN, = ANY, and what stands beside them. */
void generate_constant_audience(const struct schema *schema, const struct table *target,
                                struct random *random, struct buffer *sql);
