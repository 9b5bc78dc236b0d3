/* Percent-encoding of one path segment, RFC 3986 section 2.1. Pure. */
#pragma once

#include "weir/base/buffer.h"
#include "weir/base/check.h"

/* Appends bytes with everything but unreserved characters encoded (upper-case hexadecimal). The
 * segments "." and ".." are encoded whole, as clients and proxies fold them otherwise. */
void percent_encode_segment(struct buffer *out, struct slice bytes);

/* Appends the decoded bytes; false where a '%' is not followed by two hexadecimal digits. */
bool percent_decode(struct buffer *out, struct slice text) WEIR_MUST_CHECK;
