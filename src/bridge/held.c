#include "held.h"

#include "weir/base/json.h"
#include "weir/base/log.h"
#include "weir/publish/stream_reader.h"

bool held_event_read(struct slice message, struct held_event *event)
{
    struct json_scan scan = json_scan_of(message);
    struct json_value value, headers = {.kind = JSON_NULL};
    struct slice key;
    *event = (struct held_event){.is_delete = false};
    bool first = true, is_object = json_object_begin(&scan);
    for (; is_object && json_object_next(&scan, first, &key, &value) == JSON_STEP_ITEM;
         first = false) {
        if (slice_eq_str(key, "\"type\"") && value.kind == JSON_STRING)
            event->type = value.raw;
        else if (slice_eq_str(key, "\"key\"") && value.kind == JSON_STRING)
            event->key = value.raw;
        else if (slice_eq_str(key, "\"value\""))
            event->value = value.raw;
        else if (slice_eq_str(key, "\"headers\""))
            headers = value;
    }
    if (!event->type.len || !event->key.len || headers.kind != JSON_OBJECT)
        return false;
    scan = json_scan_of(headers.raw);
    is_object = json_object_begin(&scan);
    for (first = true; is_object && json_object_next(&scan, first, &key, &value) == JSON_STEP_ITEM;
         first = false) {
        if (slice_eq_str(key, "\"operation\""))
            event->is_delete = slice_eq_str(value.raw, "\"delete\"");
    }
    return event->is_delete || event->value.len > 0;
}

struct hash128 held_path(struct slice path)
{
    return hash128(hash_process_key(), path);
}

/* By the texts, however they are escaped. */
struct hash128 held_row(const struct held_event *event)
{
    struct buffer text = BUFFER_INIT;
    json_unescape(&text, event->type);
    buffer_add_char(&text, '\0');
    json_unescape(&text, event->key);
    struct hash128 hash = hash128(hash_process_key(), buffer_slice(&text));
    buffer_release(&text);
    return hash;
}

/* Whatever the order of its members, as columns may come to stand in another one: a sum
 * of theirs. */
struct hash128 held_value(struct slice json)
{
    struct json_scan scan = json_scan_of(json);
    struct json_value value;
    struct slice key;
    struct hash128 sum = {0};
    enum json_step step = json_object_begin(&scan) ? JSON_STEP_ITEM : JSON_STEP_INVALID;
    for (bool first = true; step == JSON_STEP_ITEM; first = false) {
        step = json_object_next(&scan, first, &key, &value);
        if (step != JSON_STEP_ITEM)
            break;
        size_t len = (size_t)(value.raw.data + value.raw.len - key.data);
        struct hash128 member = hash128(hash_process_key(), slice_of(key.data, len));
        sum.low += member.low;
        sum.high += member.high;
    }
    return step == JSON_STEP_END ? sum : hash128(hash_process_key(), json);
}

static struct slice key_of(const struct held_id *id)
{
    return slice_of((const char *)id, sizeof *id);
}

bool held_find(struct scratch *scratch, const struct held_id *id, struct hash128 *value)
{
    struct slice found = scratch_get(scratch, SCRATCH_HELD, key_of(id));
    if (found.len < sizeof *value)
        return false;
    memcpy(value, found.data, sizeof *value);
    return true;
}

void held_remove(struct scratch *scratch, const struct held_id *id)
{
    scratch_remove(scratch, SCRATCH_HELD, key_of(id));
}

static void put(struct scratch *scratch, const struct held_id *id, const struct held_event *event,
                struct buffer *entry)
{
    struct hash128 value = held_value(event->value);
    buffer_clear(entry);
    buffer_add(entry, (const char *)&value, sizeof value);
    buffer_add_u32(entry, (uint32_t)event->type.len);
    buffer_add_slice(entry, event->type);
    buffer_add_slice(entry, event->key);
    scratch_put(scratch, SCRATCH_HELD, key_of(id), buffer_slice(entry));
}

void held_each(struct scratch *scratch,
               void (*visit)(void *context, struct slice path, struct slice type, struct slice key),
               void *context)
{
    enum { TYPE_AT = sizeof(struct hash128) + 4 };
    struct scratch_walk walk;
    struct slice key, value;
    scratch_walk_begin(&walk, scratch, SCRATCH_HELD, SLICE_NONE);
    while (scratch_walk_next(&walk, &key, &value)) {
        size_t type_len = load_u32(value.data + sizeof(struct hash128));
        const char *type = value.data + TYPE_AT;
        visit(context,
              scratch_get(scratch, SCRATCH_PATHS, slice_of(key.data, sizeof(struct hash128))),
              slice_of(type, type_len), slice_of(type + type_len, value.len - TYPE_AT - type_len));
    }
    scratch_walk_end(&walk);
}

struct held_reading {
    struct bridge *bridge;
    struct stream_reader *reader;
    struct scratch *scratch;
    struct buffer entry;
    uint64_t streams, events;
};

static enum bridge_end end_of(enum reading reading)
{
    return reading == READING_UNREACHABLE ? BRIDGE_RETRY : BRIDGE_FAILED;
}

static void fold(struct held_reading *reading, struct slice path, bool is_own, struct slice message)
{
    struct held_event event;
    if (!held_event_read(message, &event) ||
        (!is_own && !ruleset_may_have_written(reading->bridge->rules, path, event.type)))
        return;
    struct held_id id = {held_path(path), held_row(&event)};
    reading->events++;
    if (event.is_delete)
        held_remove(reading->scratch, &id);
    else
        put(reading->scratch, &id, &event, &reading->entry);
}

static bool fold_page(struct held_reading *reading, struct slice path, bool is_own,
                      struct slice page)
{
    struct json_scan scan = json_scan_of(page);
    struct json_value message;
    enum json_step step = JSON_STEP_INVALID;
    if (json_array_begin(&scan)) {
        for (bool first = true; (step = json_array_next(&scan, first, &message)) == JSON_STEP_ITEM;
             first = false)
            fold(reading, path, is_own, message.raw);
    }
    return step == JSON_STEP_END;
}

static enum bridge_end read_stream(struct held_reading *reading, struct slice path, bool is_own,
                                   struct err *err)
{
    struct slice page;
    struct hash128 hash = held_path(path);
    enum reading result;
    scratch_put_new(reading->scratch, SCRATCH_PATHS, slice_of((const char *)&hash, sizeof hash),
                    path);
    while ((result = stream_reader_page(reading->reader, &page, err)) == READING_ITEM) {
        if (!fold_page(reading, path, is_own, page)) {
            err_set(err, "a page of a stream that is read back is not a JSON array");
            return BRIDGE_FAILED;
        }
    }
    return result == READING_END ? BRIDGE_DONE : end_of(result);
}

static enum bridge_end read_all(struct held_reading *reading, struct err *err)
{
    struct slice path;
    bool is_own;
    enum reading result;
    while ((result = stream_reader_next(reading->reader, &path, &is_own, err)) == READING_ITEM) {
        enum bridge_end end = read_stream(reading, path, is_own, err);
        if (end == BRIDGE_DONE && *reading->bridge->stop)
            end = BRIDGE_STOPPED;
        if (end != BRIDGE_DONE)
            return end;
        reading->streams++;
        bridge_show_if_due(reading->bridge);
    }
    return result == READING_END ? BRIDGE_DONE : end_of(result);
}

enum bridge_end held_read(struct bridge *bridge, struct err *err)
{
    struct held_reading reading = {.bridge = bridge,
                                   .reader = stream_reader_new(bridge->publisher),
                                   .scratch = replica_scratch(bridge->replica)};
    log_event(LOG_INFO, "reading back what the streams hold");
    enum bridge_end end = read_all(&reading, err);
    stream_reader_free(reading.reader);
    buffer_release(&reading.entry);
    if (end == BRIDGE_DONE && !scratch_is_sound(reading.scratch, err))
        end = BRIDGE_FAILED;
    if (end == BRIDGE_DONE)
        log_event(LOG_INFO, "read back", LOG_U("streams", reading.streams),
                  LOG_U("events", reading.events));
    return end;
}
