/* Whether a server of the standard dialect lets the bridge write, tried out. */
#pragma once

#include "weir/http/pool.h"
#include "weir/publish/publisher.h"

/* Makes a stream that nobody reads, appends to it and deletes it; where it cannot be deleted it
 * expires within a minute. Blocks for at most about 30 s. Nothing else is under way in pool. */
enum publisher_claim standard_try_writing(struct http_pool *pool, const char *root,
                                          const char *producer, struct err *err) WEIR_MUST_CHECK;
