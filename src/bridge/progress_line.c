#include "progress_line.h"

#include "weir/base/clock.h"
#include "weir/base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

enum { TERMINAL_INTERVAL_MS = 100, LOG_INTERVAL_MS = 5000, BAR_WIDTH = 32, LOOK_EVERY = 256 };

void progress_line_begin(struct progress_line *line, const char *what, uint64_t total)
{
    uint64_t now = clock_monotonic_ms();
    *line = (struct progress_line){.what = what,
                                   .total = total,
                                   .is_terminal = isatty(STDERR_FILENO) == 1,
                                   .started_ms = now,
                                   .shown_ms = now};
}

static unsigned percent_of(const struct progress_line *line, uint64_t rows)
{
    if (!line->total)
        return 0;
    return rows >= line->total ? 99 : (unsigned)(rows * 100 / line->total);
}

static void draw_bar(const struct progress_line *line, uint64_t rows, unsigned percent)
{
    char bar[BAR_WIDTH + 1];
    for (unsigned i = 0; i < BAR_WIDTH; i++)
        bar[i] = i * 100 < percent * BAR_WIDTH ? '#' : '.';
    bar[BAR_WIDTH] = '\0';
    fprintf(stderr, "\r%s [%s] %3u %%  %" PRIu64 " rows\033[K", line->what, bar, percent, rows);
}

void progress_line_show(struct progress_line *line, uint64_t rows)
{
    if (rows % LOOK_EVERY)
        return;
    uint64_t now = clock_monotonic_ms();
    uint64_t interval = line->is_terminal ? TERMINAL_INTERVAL_MS : LOG_INTERVAL_MS;
    if (now - line->shown_ms < interval)
        return;
    line->shown_ms = now;
    if (line->is_terminal)
        draw_bar(line, rows, percent_of(line, rows));
    else
        log_event(LOG_INFO, line->what, LOG_U("rows", rows),
                  LOG_U("percent", percent_of(line, rows)));
}

void progress_line_end(struct progress_line *line, uint64_t rows)
{
    if (line->is_terminal) {
        draw_bar(line, rows, 100);
        fputc('\n', stderr);
    }
    log_event(LOG_INFO, line->what, LOG_U("rows", rows), LOG_U("percent", 100),
              LOG_U("ms", clock_monotonic_ms() - line->started_ms));
}
