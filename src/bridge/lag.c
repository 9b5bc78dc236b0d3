#include "lag.h"

uint64_t lag_send(struct lag *lag, uint64_t now_us)
{
    lag->sent++;
    lag->sent_us[lag->sent % LAG_PROBES] = now_us;
    return lag->sent;
}

void lag_unsend(struct lag *lag)
{
    lag->sent--;
}

void lag_store(struct lag *lag, uint64_t number, uint64_t now_us)
{
    if (number <= lag->stored || number > lag->sent)
        return;
    lag->stored = number;
    if (lag->sent - number < LAG_PROBES)
        lag->last_us = now_us - lag->sent_us[number % LAG_PROBES];
}

uint64_t lag_us(const struct lag *lag, uint64_t now_us)
{
    if (lag->sent == lag->stored)
        return lag->last_us;
    uint64_t oldest =
        lag->sent - lag->stored < LAG_PROBES ? lag->stored + 1 : lag->sent + 1 - LAG_PROBES;
    uint64_t under_way = now_us - lag->sent_us[oldest % LAG_PROBES];
    return under_way > lag->last_us ? under_way : lag->last_us;
}
