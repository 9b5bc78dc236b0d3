/* UTF-8, RFC 3629. Pure. */
#pragma once

#include "weir/base/slice.h"

/* Valid, without surrogates and over-long forms. The empty slice is valid. */
bool utf8_is_valid(struct slice bytes);

/* Writes the code point to out (room for 4) and returns how many bytes. */
size_t utf8_encode(uint32_t code_point, char *out);
