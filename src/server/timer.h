/* Timers of one duration: a list in order of deadline, as each is added at the end. */
#pragma once

#include "weir/base/check.h"

#include <stddef.h>
#include <stdint.h>

struct timer {
    struct timer *previous, *next; /* next is NULL at the end */
    struct timer_list *list;       /* NULL: not set */
    uint64_t deadline_ms;          /* clock_monotonic_ms() */
};

struct timer_list {
    struct timer *first, *last;
};

static inline void timer_clear(struct timer *timer)
{
    struct timer_list *list = timer->list;
    if (!list)
        return;
    *(timer->previous ? &timer->previous->next : &list->first) = timer->next;
    *(timer->next ? &timer->next->previous : &list->last) = timer->previous;
    *timer = (struct timer){0};
}

static inline void timer_set(struct timer *timer, struct timer_list *list, uint64_t deadline_ms)
{
    timer_clear(timer);
    timer->list = list;
    timer->deadline_ms = deadline_ms;
    timer->previous = list->last;
    *(list->last ? &list->last->next : &list->first) = timer;
    list->last = timer;
}
