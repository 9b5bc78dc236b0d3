/* What weir.revoked says, as the bridge writes it: State events in a stream below __weir, which
 * nobody but a writer reaches. A stream of the store's, so that it is as durable and as exact as
 * the rows.
 *
 * A row is kept by its key, for the next event about it, and by its subject, for questions. */
#include "access.h"

#include "weir/base/log.h"
#include "weir/base/path.h"

#include <jansson.h>
#include <stdlib.h>

struct revocations {
    json_t *by_key;     /* key -> row */
    json_t *by_subject; /* subject -> key -> row */
    struct stream *stream;
    uint64_t position;
    uint64_t batches; /* that were stored when it was last looked for */
};

struct revocations *revocations_new(void)
{
    struct revocations *all = calloc(1, sizeof *all);
    check(all != NULL);
    all->by_key = json_object();
    all->by_subject = json_object();
    check(all->by_key && all->by_subject);
    return all;
}

void revocations_free(struct revocations *all, struct store *store)
{
    if (!all)
        return;
    if (all->stream)
        store_drop(store, all->stream);
    json_decref(all->by_subject);
    json_decref(all->by_key);
    free(all);
}

/* ---- Taking in ---- */

static const char *text_in(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

static void forget(struct revocations *all, const char *key)
{
    const json_t *row = json_object_get(all->by_key, key);
    const char *subject = text_in(row, "subject");
    json_t *rows = subject ? json_object_get(all->by_subject, subject) : NULL;
    json_object_del(rows, key);
    if (rows && json_object_size(rows) == 0)
        json_object_del(all->by_subject, subject);
    json_object_del(all->by_key, key);
}

static void remember(struct revocations *all, const char *key, json_t *row)
{
    const char *subject = text_in(row, "subject");
    json_t *rows = json_object_get(all->by_subject, subject);
    if (!rows) {
        rows = json_object();
        check(json_object_set_new(all->by_subject, subject, rows) == 0);
    }
    check(json_object_set(rows, key, row) == 0 && json_object_set(all->by_key, key, row) == 0);
}

void revocations_apply(struct revocations *all, struct slice event)
{
    json_t *json = json_loadb(event.data, event.len, 0, NULL);
    const char *key = text_in(json, "key");
    const char *operation = text_in(json_object_get(json, "headers"), "operation");
    json_t *row = json_object_get(json, "value");
    if (key && operation) {
        forget(all, key);
        if (strcmp(operation, "delete") != 0 && text_in(row, "subject"))
            remember(all, key, row);
    }
    json_decref(json);
}

/* ---- Following ---- */

static void find_stream(struct revocations *all, struct server *server)
{
    struct stream *stream;
    if (all->stream || (all->batches && all->batches == server->counters.batches))
        return;
    all->batches = server->counters.batches;
    if (store_find(server->store, PATH_REVOKED, &stream) != FIND_OK)
        return;
    stream_hold(stream);
    all->stream = stream;
}

bool revocations_follow(struct revocations *all, struct server *server)
{
    struct page page;
    uint64_t before = all->position;
    find_stream(all, server);
    while (all->stream && all->position < stream_tail(all->stream)) {
        check(store_read(server->store, all->stream, all->position, server->settings->page_bytes,
                         &page) == READ_OK);
        for (size_t i = 0; i < page.count; i++)
            revocations_apply(all, page.messages[i]);
        all->position = page.end;
    }
    return all->position != before;
}

/* ---- Asking ---- */

/* Postgres writes RFC 3339, or "infinity"; what cannot be read is taken for that, too. */
static int64_t time_in(const json_t *row, const char *name)
{
    const char *text = text_in(row, name);
    int64_t wall_ms;
    if (text && strcmp(text, "-infinity") == 0)
        return INT64_MIN;
    return text && parse_time(slice_from_str(text), &wall_ms) ? wall_ms : INT64_MAX;
}

/* A token says when it was issued in whole seconds, most often, so one of the same second as the
 * row counts as older. */
static bool applies(const json_t *row, const struct token_claims *claims, int64_t now_ms)
{
    const char *id = text_in(row, "jti");
    if (time_in(row, "until") <= now_ms)
        return false;
    if (id)
        return claims->id && strcmp(id, claims->id) == 0;
    return claims->issued_ms <= time_in(row, "since");
}

bool revocations_has(const struct revocations *all, const struct token_claims *claims,
                     int64_t now_ms)
{
    json_t *rows = json_object_get(all->by_subject, claims->subject), *row;
    const char *key;
    json_object_foreach(rows, key, row)
    {
        if (applies(row, claims, now_ms))
            return true;
    }
    return false;
}
