/* JSON that Postgres keeps as it was written, as jsonb would hold it. For convert.c alone. Pure. */
#pragma once

#include "weir/base/buffer.h"

/* Appends a number as numeric prints it: no exponent, no "-0", its digits kept. What numeric could
 * not hold stays as it is. */
void convert_number(struct buffer *out, struct slice text);

/* Appends a value of type json: no white space, numbers as above, and of members with the same name
 * the last one. Text that nests deeper than the scanner goes stays as it is. */
void convert_json(struct buffer *out, struct slice text);
