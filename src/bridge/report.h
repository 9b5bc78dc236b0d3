/* The JSON text of a report. docs/protocol-extensions.md, "Reports". Pure. */
#pragma once

#include "figures.h"
#include "slot_watch.h"

#include "weir/base/buffer.h"

struct report {
    const char *slot_name, *publication;
    int64_t started_ms; /* wall clock */
    struct bridge_figures figures;
    uint64_t lag_us;
    bool is_lag_known;
    const struct slot_state *slot;
    struct slice answers; /* JSON objects with commas between; may be empty */
};

void report_write(const struct report *report, struct buffer *out);
