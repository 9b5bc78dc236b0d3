#include "weir/base/clock.h"

#include <stddef.h>
#include <time.h>

static uint64_t (*replaced_monotonic_us)(void);
static int64_t (*replaced_wall_ms)(void);

uint64_t clock_monotonic_us(void)
{
    if (replaced_monotonic_us)
        return replaced_monotonic_us();
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t clock_monotonic_ms(void)
{
    return clock_monotonic_us() / 1000;
}

int64_t clock_wall_ms(void)
{
    if (replaced_wall_ms)
        return replaced_wall_ms();
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void clock_replace(uint64_t (*monotonic_us)(void), int64_t (*wall_ms)(void))
{
    replaced_monotonic_us = monotonic_us;
    replaced_wall_ms = wall_ms;
}
