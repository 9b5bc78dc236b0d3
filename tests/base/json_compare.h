/* Whether the scanner and jansson say the same of one text. */
#pragma once

#include "weir/base/slice.h"

/* NULL when they agree, else what they do not agree on. */
const char *json_compare(struct slice text);
