#include "status.h"

#include "weir/base/file.h"
#include "weir/http/http.h"
#include "weir/postgres/connection.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { TIMEOUT_MS = 5000 };

struct status_source {
    const struct status_settings *settings;
    struct http *http;
    struct buffer url;
    struct pg_connection *connection;
};

static const atomic_ullong never;

/* Rows from pg_publication_tables have estimates, as counting takes a while. */
static const char postgres_sql[] =
    "SELECT json_build_object("
    " 'slot', (SELECT json_build_object('name', slot_name, 'active', active, 'pid', active_pid,"
    "                  'wal_status', wal_status, 'confirmed', confirmed_flush_lsn,"
    "                  'held_back', pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn))"
    "            FROM pg_replication_slots WHERE slot_name = $2),"
    " 'tables', (SELECT coalesce(json_agg(json_build_object('name', quote_ident(t.schemaname) || '.'"
    "                  || quote_ident(t.tablename), 'rows', greatest(c.reltuples, 0)::bigint,"
    "                  'bytes', pg_table_size(c.oid)) ORDER BY pg_table_size(c.oid) DESC), '[]')"
    "              FROM pg_publication_tables t JOIN pg_namespace n ON n.nspname = t.schemaname"
    "              JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = t.tablename"
    "             WHERE t.pubname = $1 AND t.schemaname <> 'weir'),"
    " 'rules', (SELECT coalesce(json_agg(json_build_object('name', r.name, 'relation',"
    "                  r.relation::text, 'state', coalesce(s.state, 'not reached'), 'reason',"
    "                  s.reason) ORDER BY s.state DESC, r.name), '[]')"
    "             FROM weir.rules r LEFT JOIN weir.rule_status s USING (name)))::text";

struct status_source *status_source_open(const struct status_settings *settings, struct err *err)
{
    struct buffer secrets = BUFFER_INIT;
    struct slice rest, token;
    char text[SECRET_MAX + 1] = "";
    if (settings->token_file && !secret_file_read(settings->token_file, &secrets, err))
        return NULL;
    rest = buffer_slice(&secrets);
    bool has_token = secret_next(&rest, &token);
    if (has_token)
        memcpy(text, token.data, token.len);
    struct status_source *source = calloc(1, sizeof *source);
    check(source != NULL);
    source->settings = settings;
    buffer_printf(&source->url, "%s/__weir/overview", settings->streams);
    source->http = http_new(&(struct http_settings){
        .token = has_token ? text : NULL, .ca_file = settings->ca_file, .abort_at_ms = &never});
    explicit_bzero(text, sizeof text);
    if (secrets.len)
        explicit_bzero(secrets.data, secrets.len);
    buffer_release(&secrets);
    return source;
}

void status_source_close(struct status_source *source)
{
    pg_close(source->connection);
    http_free(source->http);
    buffer_release(&source->url);
    free(source);
}

static json_t *error_of(const struct err *err)
{
    return json_pack("{s:s,s:s}", "error", err->message, "hint", err->hint);
}

static json_t *look_at_streams(struct status_source *source)
{
    struct slice answer;
    struct err err;
    long status;
    if (!http_get(source->http, buffer_str(&source->url), TIMEOUT_MS, &status, &answer, &err))
        return error_of(&err);
    json_t *overview = status == 200 ? json_loadb(answer.data, answer.len, 0, NULL) : NULL;
    if (json_is_object(overview))
        return json_pack("{s:o}", "overview", overview);
    json_decref(overview);
    err_set(&err, "%s answered %ld", buffer_str(&source->url), status);
    if (status == 401 || status == 403)
        err_hint(&err, "give the server's --admin-token-file");
    else
        err_hint(&err, "--streams must be the root of a weir serve");
    return error_of(&err);
}

static json_t *look_at_postgres(struct status_source *source)
{
    const struct status_settings *settings = source->settings;
    const char *given[] = {settings->publication, settings->slot};
    struct err err;
    if (source->connection && pg_is_broken(source->connection)) {
        pg_close(source->connection);
        source->connection = NULL;
    }
    if (!source->connection)
        source->connection = pg_connect(settings->db, &err);
    struct pg_rows *rows =
        source->connection ? pg_query(source->connection, &err, postgres_sql, 2, given) : NULL;
    if (!rows)
        return error_of(&err);
    json_t *found = json_loads(pg_rows_str(rows, 0, 0), 0, NULL);
    check(found != NULL);
    pg_rows_free(rows);
    return found;
}

json_t *status_look(struct status_source *source)
{
    json_t *streams = look_at_streams(source);
    json_object_set_new(streams, "url", json_string(source->settings->streams));
    json_t *status = json_pack("{s:o}", "streams", streams);
    if (source->settings->db)
        json_object_set_new(status, "postgres", look_at_postgres(source));
    return status;
}

bool status_is_whole(const json_t *status)
{
    return !json_object_get(json_object_get(status, "streams"), "error") &&
           !json_object_get(json_object_get(status, "postgres"), "error");
}
