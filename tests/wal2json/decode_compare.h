/* A decoded wal2json message against what jansson makes of the same bytes. */
#pragma once

#include "weir/wal2json/decode.h"

/* NULL when they agree, else what differs. Where jansson cannot be the judge they agree: a number
 * beyond a double, a NUL in a key (json_oracle.h); a member that comes twice, of which it knows
 * only one; a key written with escapes, which wal2json never does and the decoder takes for
 * another. */
const char *decode_compare(const struct change *change, struct slice message);

/* Whether the message is one that the decoder has to take, going by jansson's tree alone. */
bool decode_is_due(struct slice message);
