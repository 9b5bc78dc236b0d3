#include "history.h"

#include "report.h"

#include "weir/base/clock.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>

enum column {
    COLUMN_TIME,
    COLUMN_REQUESTS,
    COLUMN_MESSAGES,
    COLUMN_BYTES_OUT,
    COLUMN_READERS,
    COLUMN_COMMITS,
    COLUMN_COMMIT_SECONDS,
    COLUMN_LAG_SECONDS,
    COLUMN_LAG_BYTES,
    COLUMN_ROW_CHANGES,
    COLUMN_DELIVERIES,
    COLUMNS,
};

static const char *const names[COLUMNS] = {
    [COLUMN_TIME] = "time",
    [COLUMN_REQUESTS] = "requests",
    [COLUMN_MESSAGES] = "messages",
    [COLUMN_BYTES_OUT] = "bytes_out",
    [COLUMN_READERS] = "readers",
    [COLUMN_COMMITS] = "commits",
    [COLUMN_COMMIT_SECONDS] = "commit_seconds",
    [COLUMN_LAG_SECONDS] = "lag_seconds",
    [COLUMN_LAG_BYTES] = "lag_bytes",
    [COLUMN_ROW_CHANGES] = "row_changes",
    [COLUMN_DELIVERIES] = "deliveries",
};

struct history {
    double rows[HISTORY_ROWS][COLUMNS];
    size_t first, count;
    uint64_t due_ms;
};

struct history *history_new(void)
{
    struct history *history = calloc(1, sizeof *history);
    check(history != NULL);
    return history;
}

void history_free(struct history *history)
{
    free(history);
}

/* The worst lag, the sum of the counters. NAN: no bridge says. */
static void add_reports(const struct reports *reports, double *row)
{
    static const struct {
        const char *name;
        enum column column;
        bool is_worst;
    } fields[] = {
        {"lag_seconds", COLUMN_LAG_SECONDS, true},
        {"lag_bytes", COLUMN_LAG_BYTES, true},
        {"row_changes", COLUMN_ROW_CHANGES, false},
        {"deliveries", COLUMN_DELIVERIES, false},
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        double *value = &row[fields[i].column];
        *value = NAN;
        for (size_t j = 0; j < REPORTS_MAX; j++) {
            const json_t *field = json_object_get(reports->reports[j].report, fields[i].name);
            double one = json_number_value(field);
            if (!json_is_number(field))
                continue;
            if (isnan(*value))
                *value = one;
            else
                *value = !fields[i].is_worst ? *value + one : one > *value ? one : *value;
        }
    }
}

void history_tick(struct history *history, const struct server *server, uint64_t now_ms)
{
    if (now_ms < history->due_ms)
        return;
    history->due_ms = now_ms + HISTORY_INTERVAL_MS;
    struct store_counters store = store_counters(server->store);
    double *row = history->rows[(history->first + history->count) % HISTORY_ROWS];
    if (history->count < HISTORY_ROWS)
        history->count++;
    else
        history->first = (history->first + 1) % HISTORY_ROWS;
    row[COLUMN_TIME] = (double)clock_wall_ms();
    row[COLUMN_REQUESTS] = (double)server->counters.requests;
    row[COLUMN_MESSAGES] = (double)store.messages;
    row[COLUMN_BYTES_OUT] = (double)server->counters.body_bytes_out;
    row[COLUMN_READERS] = (double)server->counters.live_readers;
    row[COLUMN_COMMITS] = (double)store.commits;
    row[COLUMN_COMMIT_SECONDS] = (double)store.commit_us / 1e6;
    add_reports(server->reports, row);
}

void history_write(const struct history *history, struct buffer *out)
{
    for (size_t column = 0; column < COLUMNS; column++) {
        buffer_printf(out, "%s\"%s\":[", column ? "," : "{", names[column]);
        for (size_t i = 0; i < history->count; i++) {
            double value = history->rows[(history->first + i) % HISTORY_ROWS][column];
            buffer_add_str(out, i ? "," : "");
            if (isnan(value))
                buffer_add_str(out, "null");
            else
                buffer_printf(out, "%.15g", value);
        }
        buffer_add_char(out, ']');
    }
    buffer_add_char(out, '}');
}
