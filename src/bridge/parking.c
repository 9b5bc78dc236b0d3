#include "parking.h"

#include "weir/base/json.h"
#include "weir/base/log.h"
#include "weir/base/lsn.h"
#include "weir/events/event.h"

#include <inttypes.h>

void parking_release(struct parking *parking)
{
    buffer_release(&parking->noted);
}

void parking_drop(struct parking *parking)
{
    buffer_clear(&parking->noted);
}

/* Now and then, and without the key, which is a value. */
static void say(struct parking *parking, const struct relation *relation, size_t bytes)
{
    uint64_t n = ++parking->rows;
    if ((n & (n - 1)) == 0)
        log_event(LOG_WARN, "a row is larger than --max-event: it is parked, and shown to nobody",
                  LOG_SLICE("schema", relation->schema), LOG_SLICE("table", relation->name),
                  LOG_U("bytes", bytes), LOG_LSN("lsn", parking->lsn), LOG_U("rows", n));
}

void parking_note(struct parking *parking, const struct relation *relation, struct row row,
                  size_t bytes)
{
    struct buffer *out = &parking->noted;
    char lsn[LSN_TEXT_SIZE];
    if (bytes)
        say(parking, relation, bytes);
    buffer_printf(out, "%s{\"lsn\":\"%s\",\"schema\":", out->len ? "," : "",
                  lsn_format(parking->lsn, lsn));
    json_add_string(out, relation->schema);
    buffer_add_str(out, ",\"name\":");
    json_add_string(out, relation->name);
    buffer_add_str(out, ",\"key\":");
    struct arena arena = ARENA_INIT;
    event_add_key(out, relation, row, &arena);
    arena_release(&arena);
    buffer_printf(out, ",\"bytes\":%zu}", bytes);
}

static const char write_sql[] =
    "WITH noted AS (SELECT lsn, format('%I.%I', schema, name) AS relation, key, bytes"
    "    FROM jsonb_to_recordset($1::jsonb)"
    "    AS n(lsn pg_lsn, schema text, name text, key text, bytes bigint)),"
    " ended AS (UPDATE weir.parked p SET ended_lsn ="
    "        (SELECT min(n.lsn) FROM noted n"
    "          WHERE n.relation = p.relation AND n.key = p.key AND n.lsn > p.lsn)"
    "    WHERE p.slot = $2 AND p.ended_lsn IS NULL AND EXISTS (SELECT 1 FROM noted n"
    "          WHERE n.relation = p.relation AND n.key = p.key AND n.lsn > p.lsn))"
    " INSERT INTO weir.parked (slot, lsn, relation, key, bytes, reason, ended_lsn)"
    " SELECT $2, lsn, relation, key, bytes, 'larger than --max-event',"
    "        (SELECT min(m.lsn) FROM noted m"
    "          WHERE m.relation = n.relation AND m.key = n.key AND m.lsn > n.lsn)"
    "   FROM noted n WHERE bytes > 0"
    " ON CONFLICT (slot, lsn, relation, md5(key)) DO NOTHING";

bool parking_write(struct parking *parking, struct rule_table *table, const char *slot,
                   struct err *err)
{
    if (!parking->noted.len)
        return true;
    struct pg_connection *connection = rule_table_connection(table, err);
    if (!connection)
        return false;
    struct buffer json = BUFFER_INIT;
    buffer_add_char(&json, '[');
    buffer_add_slice(&json, buffer_slice(&parking->noted));
    buffer_add_char(&json, ']');
    const char *parameters[] = {buffer_str(&json), slot};
    struct pg_rows *rows = pg_query(connection, err, write_sql, 2, parameters);
    bool ok = rows || !pg_may_retry(connection);
    if (!rows && ok && !parking->has_complained) {
        err_hint(err, "run weir install, and GRANT SELECT, INSERT, UPDATE ON weir.parked to the "
                      "bridge's role");
        log_err(LOG_WARN, "cannot write weir.parked", err);
        parking->has_complained = true;
    }
    if (ok)
        parking_drop(parking);
    pg_rows_free(rows);
    buffer_release(&json);
    return ok;
}
