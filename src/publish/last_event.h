/* What a stream ends in, to find out whether an append is in it. Inside src/publish only; pure. */
#pragma once

#include "weir/base/hash.h"
#include "weir/base/slice.h"

/* Which event of a stream this is: a hash of its type, its key and the headers that Weir gave it.
 * Values are left out, as servers may write numbers their own way; so are other headers, which
 * servers may add. Two events of one transaction in one stream are about two rows. False when it is
 * no event. */
bool event_identity(struct slice event, struct hash128 *identity);

enum last_event { LAST_EVENT_FOUND, LAST_EVENT_NONE, LAST_EVENT_UNKNOWN };

/* tail: the end of a JSON array of events, as a server returns it. Unknown: the last event is not
 * one of ours, or does not begin in it. */
enum last_event last_event_of(struct slice tail, struct hash128 *identity);
