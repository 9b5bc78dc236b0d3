/* struct lag: how far the streams are behind, by probes that are sent and come back. Pure. */
#pragma once

#include <stdint.h>

enum { LAG_PROBES = 64 };

struct lag {
    uint64_t sent, stored;        /* numbers of the last probes; 0: none yet */
    uint64_t sent_us[LAG_PROBES]; /* by number modulo LAG_PROBES */
    uint64_t last_us;             /* how long the last one took */
};

/* Returns the number of the probe that is sent now. */
uint64_t lag_send(struct lag *lag, uint64_t now_us);

/* A probe that could not be sent after all. */
void lag_unsend(struct lag *lag);
void lag_store(struct lag *lag, uint64_t number, uint64_t now_us);

/* What the last probe took, or how long the oldest that is under way has been, if that is longer. 0
 * while none has come back or is due. */
uint64_t lag_us(const struct lag *lag, uint64_t now_us);
