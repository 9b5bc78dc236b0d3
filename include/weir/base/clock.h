/* Time, behind two functions that a test may replace. */
#pragma once

#include <stdint.h>

/* Milliseconds of a clock that never goes back; for timers and timeouts. */
uint64_t clock_monotonic_ms(void);
uint64_t clock_monotonic_us(void);

/* Milliseconds since 1970-01-01 UTC; for expiry and for people. */
int64_t clock_wall_ms(void);

/* A test's own clocks; NULL goes back to the system's. */
void clock_replace(uint64_t (*monotonic_us)(void), int64_t (*wall_ms)(void));
