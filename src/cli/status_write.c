#include "status.h"

#include "weir/base/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct page {
    struct status_size size;
    struct buffer *out;
    size_t line_count;
};

static const char plain[] = "", bold[] = "\033[1m", red[] = "\033[31m", yellow[] = "\033[33m",
                  green[] = "\033[32m", off[] = "\033[0m";

/* How much of the text fits into so many characters, whole ones. */
static size_t fit(struct slice text, size_t columns)
{
    size_t at = 0;
    while (at < text.len) {
        bool begins = ((unsigned char)text.data[at] & 0xc0) != 0x80;
        if (begins && columns-- == 0)
            break;
        at++;
    }
    return at;
}

/* Names and reasons are anybody's: what would move the cursor becomes a space. */
static void add_visible(struct buffer *out, struct slice text)
{
    bool is_text = utf8_is_valid(text);
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        bool is_c1 = c == 0xc2 && i + 1 < text.len && (unsigned char)text.data[i + 1] < 0xa0;
        bool is_control = c < 0x20 || c == 0x7f || is_c1 || (!is_text && c >= 0x80);
        buffer_add_char(out, is_control ? ' ' : text.data[i]);
        i += is_c1;
    }
}

static void line(struct page *page, const char *colour, const char *name, const char *fmt, ...)
    WEIR_PRINTF(4, 5);
static void line(struct page *page, const char *colour, const char *name, const char *fmt, ...)
{
    char text[2048];
    struct buffer whole = BUFFER_INIT;
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    buffer_printf(&whole, "%-10s", name);
    add_visible(&whole, slice_from_str(text));
    struct slice visible = buffer_slice(&whole);
    if (page->size.columns)
        visible.len = fit(visible, page->size.columns);
    bool has_colour = page->size.has_colours && *colour;
    buffer_add_str(page->out, has_colour ? colour : "");
    buffer_add_slice(page->out, visible);
    buffer_add_str(page->out, has_colour ? off : "");
    buffer_add_char(page->out, '\n');
    buffer_release(&whole);
    page->line_count++;
}

static void error_line(struct page *page, const char *name, const json_t *source)
{
    line(page, red, name, "%s", json_string_value(json_object_get(source, "error")));
    const char *hint = json_string_value(json_object_get(source, "hint"));
    if (hint && *hint)
        line(page, plain, "", "hint: %s", hint);
}

/* ---- Values ---- */

static double number(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return json_is_number(value) ? json_number_value(value) : 0;
}

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

enum { QUANTITY_SIZE = 32 };

static const char *bytes(double value, char out[QUANTITY_SIZE])
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    size_t unit = 0;
    while (value >= 10000 && unit + 1 < sizeof units / sizeof *units) {
        value /= 1024;
        unit++;
    }
    snprintf(out, QUANTITY_SIZE, "%.0f %s", value, units[unit]);
    return out;
}

/* Of the last interval of the server's history; no rate before it has two. */
static const char *rate(const json_t *history, const char *name, bool is_bytes,
                        char out[QUANTITY_SIZE])
{
    const json_t *times = json_object_get(history, "time"),
                 *values = json_object_get(history, name);
    size_t count = json_array_size(times);
    snprintf(out, QUANTITY_SIZE, "-");
    if (count < 2 || json_array_size(values) != count)
        return out;
    const json_t *ends[] = {json_array_get(values, count - 2), json_array_get(values, count - 1)};
    double seconds = (json_number_value(json_array_get(times, count - 1)) -
                      json_number_value(json_array_get(times, count - 2))) /
                     1000;
    double grown = json_number_value(ends[1]) - json_number_value(ends[0]);
    if (!json_is_number(ends[0]) || !json_is_number(ends[1]) || seconds <= 0 || grown < 0)
        return out; /* a bridge that is new, or gone */
    if (is_bytes)
        return bytes(grown / seconds, out);
    snprintf(out, QUANTITY_SIZE, grown / seconds < 10 ? "%.1f" : "%.0f", grown / seconds);
    return out;
}

/* ---- What the stream server says ---- */

static void write_bridge(struct page *page, const json_t *bridge)
{
    enum { SILENT_MS = 10000 };
    const json_t *report = json_object_get(bridge, "report");
    const char *phase = text_of(report, "phase"), *waiting = text_of(report, "waiting");
    double age_ms = number(bridge, "age_ms");
    bool is_silent = age_ms > SILENT_MS, is_following = strcmp(phase, "following") == 0;
    char behind[QUANTITY_SIZE], kept[QUANTITY_SIZE], lag[QUANTITY_SIZE] = "not measured yet";
    if (json_object_get(report, "lag_seconds"))
        snprintf(lag, sizeof lag, "%.3f s", number(report, "lag_seconds"));
    line(page,
         is_silent      ? red
         : is_following ? green
                        : yellow,
         "bridge", "%s: %s%s; heard of %.1f s ago", text_of(bridge, "producer"), phase,
         is_silent ? ", when last heard of" : "", age_ms / 1000);
    if (*waiting)
        line(page, yellow, "", "waits: %s", waiting);
    line(page, plain, "lag", "%s, %s of WAL not read, %s kept for the slot", lag,
         bytes(number(report, "lag_bytes"), behind),
         bytes(number(report, "retained_wal_bytes"), kept));
    line(page, number(report, "rules_refused") > 0 ? yellow : plain, "follows",
         "%.0f tables, %.0f rules, %.0f refused; %.0f resyncs", number(report, "tables"),
         number(report, "rules_active"), number(report, "rules_refused"),
         number(report, "resyncs"));
}

static void write_rates(struct page *page, const json_t *history)
{
    char text[5][QUANTITY_SIZE];
    line(page, plain, "rates",
         "%s row changes/s, %s deliveries/s, %s messages/s, %s requests/s, %s/s out",
         rate(history, "row_changes", false, text[0]), rate(history, "deliveries", false, text[1]),
         rate(history, "messages", false, text[2]), rate(history, "requests", false, text[3]),
         rate(history, "bytes_out", true, text[4]));
}

static void write_server(struct page *page, const json_t *streams)
{
    const json_t *overview = json_object_get(streams, "overview");
    const json_t *server = json_object_get(overview, "server");
    char log[QUANTITY_SIZE];
    size_t index;
    json_t *bridge;
    if (json_object_get(streams, "error")) {
        error_line(page, "streams", streams);
        return;
    }
    line(page, json_is_true(json_object_get(server, "disk_full")) ? red : bold, "streams",
         "%s, weir %s%s", text_of(streams, "url"), text_of(server, "version"),
         json_is_true(json_object_get(server, "disk_full")) ? ", the disk is full" : "");
    line(page, plain, "", "%.0f connections, %.0f live readers, %.0f streams in memory, %s of log",
         number(server, "connections"), number(server, "readers"),
         number(server, "streams_in_memory"), bytes(number(server, "log_bytes"), log));
    json_array_foreach(json_object_get(overview, "bridges"), index, bridge)
        write_bridge(page, bridge);
    if (index == 0)
        line(page, yellow, "bridge", "none has been heard of");
    write_rates(page, json_object_get(overview, "history"));
}

/* ---- What Postgres says ---- */

static void write_slot(struct page *page, const json_t *slot)
{
    char held[QUANTITY_SIZE];
    const char *status = text_of(slot, "wal_status");
    if (!json_is_object(slot)) {
        line(page, yellow, "slot", "there is none yet");
        return;
    }
    bool is_active = json_is_true(json_object_get(slot, "active"));
    bool is_lost = strcmp(status, "lost") == 0;
    line(page,
         is_lost     ? red
         : is_active ? green
                     : yellow,
         "slot", "%s: %s, WAL %s, confirmed to %s, %s held back", text_of(slot, "name"),
         is_active ? "in use" : "not in use", status, text_of(slot, "confirmed"),
         bytes(number(slot, "held_back"), held));
}

/* Whether one more line of a list fits, keeping room for what says how many there are besides. */
static bool has_room(struct page *page, size_t left, const char *what)
{
    if (!page->size.lines || left == 0 || page->line_count + 2 < page->size.lines)
        return true;
    if (page->line_count + 1 < page->size.lines)
        line(page, plain, "", "and %zu more %s", left, what);
    return false;
}

static void write_rules(struct page *page, const json_t *rules)
{
    size_t index, count = json_array_size(rules);
    json_t *rule;
    json_array_foreach(rules, index, rule)
    {
        const char *state = text_of(rule, "state"), *reason = text_of(rule, "reason");
        bool is_active = strcmp(state, "active") == 0;
        if (!has_room(page, count - index, "rules"))
            break;
        line(page, is_active ? plain : yellow, index ? "" : "rules", "%s on %s: %s%s%s",
             text_of(rule, "name"), text_of(rule, "relation"), state, *reason ? ", " : "", reason);
    }
}

static void write_tables(struct page *page, const json_t *tables)
{
    size_t index, count = json_array_size(tables);
    char size[QUANTITY_SIZE];
    json_t *table;
    json_array_foreach(tables, index, table)
    {
        if (!has_room(page, count - index, "tables"))
            break;
        line(page, plain, index ? "" : "tables", "%s: about %.0f rows, %s", text_of(table, "name"),
             number(table, "rows"), bytes(number(table, "bytes"), size));
    }
}

static void write_busy(struct page *page, const json_t *streams)
{
    const json_t *busy = json_object_get(json_object_get(streams, "overview"), "busy");
    size_t index, count = json_array_size(busy);
    char size[QUANTITY_SIZE];
    json_t *stream;
    json_array_foreach(busy, index, stream)
    {
        if (!has_room(page, count - index, "streams"))
            break;
        line(page, plain, index ? "" : "read most", "%s: %.0f live, %s", text_of(stream, "path"),
             number(stream, "readers"), bytes(number(stream, "bytes"), size));
    }
}

void status_write(const json_t *status, struct status_size size, struct buffer *out)
{
    struct page page = {size, out, 0};
    const json_t *streams = json_object_get(status, "streams");
    const json_t *postgres = json_object_get(status, "postgres");
    write_server(&page, streams);
    if (postgres && json_object_get(postgres, "error")) {
        error_line(&page, "postgres", postgres);
    } else if (postgres) {
        write_slot(&page, json_object_get(postgres, "slot"));
        write_rules(&page, json_object_get(postgres, "rules"));
        write_tables(&page, json_object_get(postgres, "tables"));
    }
    write_busy(&page, streams);
}
