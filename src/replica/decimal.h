/* Decimal numbers as text of any length: one canonical spelling, and their order.
 *
 * Input is what Postgres prints for int, numeric and float: [-]digits[.digits][e[+-]digits], or
 * NaN, Infinity, -Infinity. Pure. */
#pragma once

#include "weir/base/arena.h"

/* Without exponent, leading and trailing zeros, "-0" and a bare point: equal numbers have equal
 * bytes. In the arena, or text itself. */
struct slice decimal_canonical(struct slice text, struct arena *arena);

/* The order of two canonical texts. NaN is greater than all, as in Postgres. */
int decimal_cmp(struct slice a, struct slice b);
