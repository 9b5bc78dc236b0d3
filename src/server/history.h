/* struct history: the last hour as a row of figures every five seconds, for the console's plots.
 * Counters are kept as they are; who draws them takes differences. Loop thread. */
#pragma once

#include "internal.h"

enum { HISTORY_INTERVAL_MS = 5000, HISTORY_ROWS = 720 };

struct history;

struct history *history_new(void);
void history_free(struct history *history);

/* Adds a row when one is due. */
void history_tick(struct history *history, const struct server *server, uint64_t now_ms);

/* Appends {"time":[…],"appends":[…],…}: times in milliseconds since 1970, null where unknown. */
void history_write(const struct history *history, struct buffer *out);
