/* Logging: one line a message, on standard error, as logfmt or JSON.
 *
 * A message is constant text; what varies goes into fields. Values of rows, tokens and passwords
 * never appear. Any thread may log; a line is written whole. */
#pragma once

#include "weir/base/err.h"
#include "weir/base/slice.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_LOGFMT, LOG_JSON };

enum log_field_kind { LOG_FIELD_STR, LOG_FIELD_INT, LOG_FIELD_UINT, LOG_FIELD_LSN };

struct log_field {
    const char *name; /* NULL ends a list */
    enum log_field_kind kind;
    union {
        struct slice str;
        int64_t i;
        uint64_t u;
    };
};

#define LOG_STR(n, v) \
    ((struct log_field){.name = (n), .kind = LOG_FIELD_STR, .str = slice_from_str(v)})
#define LOG_SLICE(n, v) ((struct log_field){.name = (n), .kind = LOG_FIELD_STR, .str = (v)})
#define LOG_I(n, v)     ((struct log_field){.name = (n), .kind = LOG_FIELD_INT, .i = (int64_t)(v)})
#define LOG_U(n, v)     ((struct log_field){.name = (n), .kind = LOG_FIELD_UINT, .u = (uint64_t)(v)})
#define LOG_LSN(n, v)   ((struct log_field){.name = (n), .kind = LOG_FIELD_LSN, .u = (uint64_t)(v)})

/* log_event(LOG_INFO, "slot created", LOG_STR("slot", name), LOG_LSN("lsn", lsn)); */
#define log_event(level, ...)  log_event_(level, LOG_FIRST_(__VA_ARGS__, 0), LOG_REST_(__VA_ARGS__))
#define LOG_FIRST_(first, ...) first
#define LOG_REST_(first, ...) \
    (const struct log_field[]) \
    { \
        __VA_ARGS__ __VA_OPT__(, ) \
        { \
            .name = NULL \
        } \
    }

void log_event_(enum log_level level, const char *message, const struct log_field *fields);

/* An err with its hint, as one line. */
void log_err(enum log_level level, const char *what, const struct err *err);

void log_configure(enum log_level level, enum log_format format);
bool log_level_parse(const char *text, enum log_level *level) WEIR_MUST_CHECK;
bool log_format_parse(const char *text, enum log_format *format) WEIR_MUST_CHECK;
