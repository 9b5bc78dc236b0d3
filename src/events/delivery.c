#include "delivery.h"

#include "weir/base/log.h"
#include "weir/base/path.h"
#include "weir/base/percent.h"

void delivery_next_row(struct delivery *delivery)
{
    delivery->form_count = 0;
    if (delivery->sink->next_row)
        delivery->sink->next_row(delivery->sink->context);
}

static bool same_columns(const struct relation *relation, const uint64_t *a, const uint64_t *b)
{
    if (!a || !b)
        return a == b;
    return memcmp(a, b, (relation->column_count / 64 + 1) * sizeof *a) == 0;
}

static uint32_t encoded(struct delivery *delivery, enum event_operation operation,
                        const struct channel *channel, struct row row, const uint64_t *columns)
{
    if (operation == EVENT_DELETE)
        columns = NULL; /* deletes show nothing, so all are the same */
    for (size_t i = 0; i < delivery->form_count; i++) {
        const struct encoded_event *form = &delivery->forms[i];
        if (form->operation == operation && slice_eq(form->type_json, channel->type_json) &&
            same_columns(channel->relation, form->columns, columns))
            return form->payload;
    }
    buffer_clear(&delivery->event);
    event_encode(&delivery->event, delivery->headers, operation, channel->type_json,
                 channel->relation, row, columns, &delivery->scratch);
    uint32_t payload =
        delivery->sink->add_payload(delivery->sink->context, buffer_slice(&delivery->event));
    if (delivery->form_count < ENCODED_FORMS_MAX)
        delivery->forms[delivery->form_count++] =
            (struct encoded_event){channel->type_json, operation, columns, payload};
    return payload;
}

/* An empty subject, one with control characters, or a very long one: nobody could ask for such a
 * stream, so nobody misses it. Said now and then, without the subject, which is a value. */
static void leave_out(struct delivery *delivery, const struct channel *channel)
{
    uint64_t n = ++delivery->undeliverable;
    if ((n & (n - 1)) == 0)
        log_event(LOG_WARN, "a subject that no stream path can carry was left out",
                  LOG_SLICE("relation", channel->relation->name), LOG_U("events", n));
}

/* Only Weir's own table reaches Weir's own stream. */
static bool may_deliver(const struct channel *channel, struct slice path)
{
    return path_is_canonical(path) ||
           (slice_eq_str(channel->relation->schema, "weir") && path_is_for_batches(path));
}

/* A subject of dots is escaped where it is a whole segment, and stays as it is where it is only a
 * part of one (`team-{subject}`): then the parts together have to be brought into the canonical
 * form. */
static struct slice path_for(struct delivery *delivery, const struct channel *channel,
                             struct slice subject)
{
    struct buffer *path = &delivery->path, *canonical = &delivery->canonical;
    buffer_clear(path);
    buffer_add_slice(path, channel->stream_prefix);
    percent_encode_segment(path, subject);
    buffer_add_slice(path, channel->stream_suffix);
    if (may_deliver(channel, buffer_slice(path)))
        return buffer_slice(path);
    buffer_clear(canonical);
    if (path_canonical(buffer_slice(path), canonical) == PATH_OK &&
        may_deliver(channel, buffer_slice(canonical)))
        return buffer_slice(canonical);
    return SLICE_NONE;
}

void delivery_send(struct delivery *delivery, enum event_operation operation,
                   const struct channel *channel, struct slice subject, struct row row,
                   const uint64_t *columns)
{
    struct slice path = path_for(delivery, channel, subject);
    if (!path.len) {
        leave_out(delivery, channel);
        return;
    }
    uint32_t payload = encoded(delivery, operation, channel, row, columns);
    delivery->sink->deliver(delivery->sink->context, path, payload);
}

static bool shows_column(const struct version *version, size_t column)
{
    return !version->columns || version->columns[column / 64] >> column % 64 & 1;
}

/* The column's index, or -1; most often it is the one behind the last. */
static int find_behind(const struct relation *relation, int last, struct slice name)
{
    size_t next = (size_t)(last + 1);
    if (next < relation->column_count && slice_eq(relation->columns[next].name, name))
        return (int)next;
    return relation_find_column(relation, name);
}

/* Of a table that has changed its shape, whose columns may stand in another order. */
static bool shows_other_columns(const struct version *a, const struct version *b)
{
    size_t shown = 0;
    int at = -1;
    for (size_t i = 0; i < a->relation->column_count; i++) {
        if (!shows_column(a, i))
            continue;
        at = find_behind(b->relation, at, a->relation->columns[i].name);
        if (at < 0 || !shows_column(b, (size_t)at) ||
            !slice_eq(row_column(a->relation, a->row, i),
                      row_column(b->relation, b->row, (size_t)at)))
            return true;
        shown++;
    }
    for (size_t i = 0; i < b->relation->column_count; i++)
        shown -= shows_column(b, i);
    return shown != 0;
}

/* The JSON that a version shows; borrowed from the row, or in out. */
static struct slice shown_json(struct buffer *out, const struct version *version)
{
    if (!version->columns)
        return row_json(version->relation, version->row);
    size_t start = out->len;
    row_json_of_columns(out, version->relation, version->row, version->columns);
    return slice_of(NULL, out->len - start);
}

bool delivery_shows_change(struct delivery *delivery, const struct version *a,
                           const struct version *b)
{
    if (a->relation != b->relation)
        return shows_other_columns(a, b);
    if (!a->columns && !b->columns)
        return !slice_eq(row_json(a->relation, a->row), row_json(b->relation, b->row));
    struct buffer *out = &delivery->compared;
    buffer_clear(out);
    struct slice json_a = shown_json(out, a);
    size_t start_b = out->len;
    struct slice json_b = shown_json(out, b);
    if (a->columns)
        json_a.data = out->data;
    if (b->columns)
        json_b.data = out->data + start_b;
    return !slice_eq(json_a, json_b);
}

void delivery_release(struct delivery *delivery)
{
    buffer_release(&delivery->event);
    buffer_release(&delivery->path);
    buffer_release(&delivery->canonical);
    buffer_release(&delivery->compared);
    arena_release(&delivery->scratch);
}
