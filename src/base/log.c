#include "weir/base/log.h"

#include "weir/base/buffer.h"
#include "weir/base/clock.h"
#include "weir/base/json.h"
#include "weir/base/lsn.h"
#include "weir/base/utf8.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static enum log_level configured_level = LOG_INFO;
static enum log_format configured_format = LOG_LOGFMT;

static const char *const level_names[] = {"debug", "info", "warn", "error"};

void log_configure(enum log_level level, enum log_format format)
{
    configured_level = level;
    configured_format = format;
}

bool log_level_parse(const char *text, enum log_level *level)
{
    for (size_t i = 0; i < sizeof level_names / sizeof *level_names; i++) {
        if (strcmp(text, level_names[i]) == 0) {
            *level = (enum log_level)i;
            return true;
        }
    }
    return false;
}

bool log_format_parse(const char *text, enum log_format *format)
{
    if (strcmp(text, "logfmt") == 0)
        *format = LOG_LOGFMT;
    else if (strcmp(text, "json") == 0)
        *format = LOG_JSON;
    else
        return false;
    return true;
}

static bool needs_quotes(struct slice text)
{
    if (text.len == 0)
        return true;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7f)
            return true;
    }
    return false;
}

/* A string token that is valid in both formats, whatever the bytes. */
static void add_quoted(struct buffer *out, struct slice text)
{
    if (utf8_is_valid(text))
        json_add_string(out, text);
    else
        json_add_string(out, SLICE("(not UTF-8)"));
}

static void add_text(struct buffer *out, struct slice text)
{
    if (configured_format == LOG_LOGFMT && !needs_quotes(text))
        buffer_add_slice(out, text);
    else
        add_quoted(out, text);
}

static void add_name(struct buffer *out, const char *name)
{
    if (configured_format == LOG_JSON) {
        buffer_printf(out, "%s\"%s\":", out->len ? "," : "{", name);
        return;
    }
    buffer_printf(out, "%s%s=", out->len ? " " : "", name);
}

static void add_field(struct buffer *out, const struct log_field *field)
{
    char text[LSN_TEXT_SIZE];
    add_name(out, field->name);
    switch (field->kind) {
    case LOG_FIELD_STR:
        add_text(out, field->str);
        break;
    case LOG_FIELD_INT:
        buffer_printf(out, "%" PRId64, field->i);
        break;
    case LOG_FIELD_UINT:
        buffer_add_uint(out, field->u);
        break;
    case LOG_FIELD_LSN:
        add_text(out, slice_from_str(lsn_format(field->u, text)));
        break;
    }
}

static void add_time(struct buffer *out)
{
    int64_t now_ms = clock_wall_ms();
    time_t seconds = (time_t)(now_ms / 1000);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    char text[40];
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    add_name(out, "time");
    if (configured_format == LOG_JSON)
        buffer_printf(out, "\"%s.%03dZ\"", text, (int)(now_ms % 1000));
    else
        buffer_printf(out, "%s.%03dZ", text, (int)(now_ms % 1000));
}

void log_event_(enum log_level level, const char *message, const struct log_field *fields)
{
    if (level < configured_level)
        return;
    struct buffer line = BUFFER_INIT;
    add_time(&line);
    add_field(&line, &LOG_STR("level", level_names[level]));
    add_field(&line, &LOG_STR("msg", message));
    for (; fields->name; fields++)
        add_field(&line, fields);
    buffer_add_str(&line, configured_format == LOG_JSON ? "}\n" : "\n");
    /* One write, so that lines of several threads do not mix. A log that cannot be written has
     * nowhere to say so. */
    ssize_t ignored = write(STDERR_FILENO, line.data, line.len);
    (void)ignored;
    buffer_release(&line);
}

void log_err(enum log_level level, const char *what, const struct err *err)
{
    if (err->hint[0])
        log_event(level, what, LOG_STR("error", err->message), LOG_STR("hint", err->hint));
    else
        log_event(level, what, LOG_STR("error", err->message));
}
