/* Progress of long work, for people: a bar on a terminal, a line now and then in a log. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct progress_line {
    const char *what;
    uint64_t total; /* an estimate; 0: unknown */
    bool is_terminal;
    uint64_t started_ms, shown_ms;
};

void progress_line_begin(struct progress_line *line, const char *what, uint64_t total);

/* Shows how many rows are done, if it is time to. Cheap. */
void progress_line_show(struct progress_line *line, uint64_t rows);
void progress_line_end(struct progress_line *line, uint64_t rows);
