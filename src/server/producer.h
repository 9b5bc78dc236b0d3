/* The producers of batches, as requests. docs/protocol-extensions.md. */
#pragma once

#include "internal.h"

/* Below __weir/producers/: what stands behind that. */
void route_producer(struct request *request, struct slice name);

void reply_fenced(struct request *request, uint64_t epoch);
