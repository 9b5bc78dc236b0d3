/* Whether two JSON texts are the same value, digits included: 1.0 and 1.00 are two values, the
 * order of an object's members does not matter, duplicate names never match. */
#pragma once

#include "weir/base/json.h"

bool json_same(struct slice a, struct slice b);

/* The member's value in an object, or SLICE_NONE. */
struct slice json_member(struct slice object, struct slice name);
