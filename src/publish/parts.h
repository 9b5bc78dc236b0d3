/* A batch as one request, or as several where it is larger than a request should be. Inside
 * src/publish only.
 *
 * Parts hold whole transactions while they fit. A transaction that does not fit by itself is
 * divided by streams, so that each stream still has all of it in one append; a stream's events that
 * do not fit by themselves come in several appends.
 *
 * The parts of one transaction have progress of their own, below the transaction's: its LSN less
 * one, and their number; or, where the transaction has the LSN of what is before it (the first
 * publication), steps behind that. Which parts a transaction has depends on nothing but its events,
 * so a bridge that comes back after a crash makes the same parts and leaves out those stored. */
#pragma once

#include "weir/publish/batch.h"

enum { PART_BYTES = 32 * 1024 * 1024 };

struct parts;

/* The batch must not change until parts_free(). part_bytes is PART_BYTES but in tests. */
struct parts *parts_new(struct batch *batch, struct progress before, struct progress after,
                        size_t part_bytes);
void parts_free(struct parts *parts);

/* The next part that reaches beyond `stored`, as the request that begins there. *body stays until
 * the next call. False when there is none. */
bool parts_next(struct parts *parts, struct slice producer, uint64_t epoch, struct progress stored,
                struct slice *body, struct progress *after);
