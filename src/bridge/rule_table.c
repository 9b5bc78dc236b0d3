#include "rule_table.h"

#include "own_meaning.h"

#include "weir/base/check.h"
#include "weir/base/json.h"
#include "weir/base/log.h"

#include <stdlib.h>

void rule_table_disconnect(struct rule_table *table)
{
    pg_close(table->connection);
    table->connection = NULL;
}

void rule_table_release(struct rule_table *table)
{
    rule_table_disconnect(table);
    answers_free(table->answers);
    table->answers = NULL;
}

struct pg_connection *rule_table_connection(struct rule_table *table, struct err *err)
{
    if (table->connection && pg_is_broken(table->connection))
        rule_table_disconnect(table);
    if (table->connection)
        return table->connection;
    table->connection = pg_connect(table->conninfo, err);
    /* What is written here can be worked out again, so that nothing waits for standbys. */
    if (table->connection &&
        !pg_execute(table->connection, err,
                    "SET lock_timeout = '500ms'; SET synchronous_commit = local"))
        rule_table_disconnect(table);
    return table->connection;
}

/* sql: with the literal as its parameter, of type text; without one where that is SLICE_NONE. */
static bool ask_postgres(struct rule_table *table, const char *sql, struct slice literal,
                         struct buffer *out, struct err *err)
{
    struct pg_connection *connection = rule_table_connection(table, err);
    if (!connection) {
        table->lost_connection = true;
        return false;
    }
    struct arena arena = ARENA_INIT;
    const char *parameter = arena_copy(&arena, literal).data;
    struct pg_rows *rows = pg_query(connection, err, sql, literal.data ? 1 : 0, &parameter);
    if (rows)
        buffer_add_slice(out, pg_rows_slice(rows, 0, 0));
    else if (pg_may_retry(connection))
        table->lost_connection = true;
    pg_rows_free(rows);
    arena_release(&arena);
    return rows != NULL;
}

static bool ask_literal(struct rule_table *table, const char *sql, struct slice literal,
                        struct buffer *out, struct err *err)
{
    bool ok;
    if (table->answers && answers_find(table->answers, sql, literal, &ok, out, err))
        return ok;
    struct buffer text = BUFFER_INIT;
    struct err error = {.message = ""};
    ok = ask_postgres(table, sql, literal, &text, &error);
    if (table->answers && !table->lost_connection)
        answers_add(table->answers, sql, literal, ok, buffer_slice(&text), &error);
    if (ok)
        buffer_add_slice(out, buffer_slice(&text));
    else
        *err = error;
    buffer_release(&text);
    return ok;
}

/* The literal as a value of the type, in the text form that rows have: by its input and output
 * function, which a cast of the application's has no say in. */
static bool canonical_literal(void *context, const struct value_type *type, struct slice literal,
                              struct buffer *out, struct err *err)
{
    struct arena arena = ARENA_INIT;
    const char *sql = arena_printf(
        &arena, type->kind == VALUE_BOOL ? "SELECT ($1::%s)::text" : "SELECT concat($1::%s)",
        type->name);
    bool ok = ask_literal(context, sql, literal, out, err);
    arena_release(&arena);
    return ok;
}

static bool literal_elements(void *context, const struct value_type *type, struct slice literal,
                             struct buffer *out, struct err *err)
{
    struct arena arena = ARENA_INIT;
    const char *sql = arena_printf(&arena, "SELECT to_json($1::%s[])::text", type->name);
    bool ok = ask_literal(context, sql, literal, out, err);
    arena_release(&arena);
    return ok;
}

/* Postgres says how it is by now, or was when the rule was written, and not as of the catalog. */
static bool has_table(void *context, struct slice name, bool *has, struct err *err)
{
    struct rule_table *table = context;
    struct buffer text = BUFFER_INIT;
    bool ok = ask_literal(context, "SELECT (to_regclass($1) IS NOT NULL)::text", name, &text, err);
    *has = slice_eq_str(buffer_slice(&text), "true");
    if (ok && *has != catalog_hides(table->catalog, name))
        table->catalog->is_doubtful = true;
    buffer_release(&text);
    return ok;
}

/* Whether there is anything of the kind: one question for all rules of a compilation, and yet an
 * answer that each of them keeps. */
static bool has_own(struct rule_table *table, bool *has, struct err *err)
{
    struct buffer found = BUFFER_INIT;
    bool ok = true;
    bool is_kept = table->answers &&
                   answers_find(table->answers, own_meaning_list_sql, SLICE(""), &ok, &found, err);
    if (!is_kept && table->own_meanings == OWN_UNKNOWN) {
        ok = ask_postgres(table, own_meaning_list_sql, SLICE_NONE, &found, err);
        if (ok)
            table->own_meanings = found.len ? OWN_SOME : OWN_NONE;
    }
    *has = is_kept ? found.len > 0 : table->own_meanings == OWN_SOME;
    if (ok && !is_kept && table->answers)
        answers_add(table->answers, own_meaning_list_sql, SLICE(""), true,
                    *has ? SLICE("some") : SLICE(""), err);
    buffer_release(&found);
    return ok;
}

static bool own_meaning(void *context, enum value_use use, struct slice schema,
                        const uint32_t *types, size_t count, struct buffer *what, struct err *err)
{
    bool has;
    if (!has_own(context, &has, err))
        return false;
    if (!has)
        return true;
    struct arena arena = ARENA_INIT;
    bool ok = ask_literal(context, own_meaning_sql(&arena, use, types, count), schema, what, err);
    arena_release(&arena);
    return ok;
}

static struct slice text_column(const struct rule_table *table, struct row row, const char *name,
                                struct arena *arena)
{
    const struct relation *relation = table->catalog->rules;
    int column = relation_find_column(relation, slice_from_str(name));
    if (column < 0)
        return SLICE_NONE;
    struct slice json = row_column(relation, row, (size_t)column);
    if (json.data[0] != '"')
        return SLICE_NONE;
    struct buffer scratch = BUFFER_INIT;
    struct slice text = arena_copy(arena, json_text(json, &scratch));
    buffer_release(&scratch);
    return text;
}

static uint32_t oid_column(const struct rule_table *table, struct row row, struct arena *arena)
{
    struct slice text = text_column(table, row, "relation_oid", arena);
    return text.data ? (uint32_t)strtoul(text.data, NULL, 10) : 0;
}

static struct slice json_column(const struct rule_table *table, struct row row, const char *name,
                                struct arena *arena)
{
    const struct relation *relation = table->catalog->rules;
    int column = relation_find_column(relation, slice_from_str(name));
    return column < 0 ? SLICE("null")
                      : arena_copy(arena, row_column(relation, row, (size_t)column));
}

/* The revocations go to the stream server the way that rows go to people: by a rule, which nobody
 * could write, as its name is empty and its stream reserved. Everything that keeps the streams
 * exact keeps them exact. */
static struct rule_definition revocation_rule(const struct relation *revoked)
{
    return (struct rule_definition){
        .name = SLICE(""),
        .relation = SLICE("weir.revoked"),
        .relation_oid = revoked->oid,
        .audience = SLICE("SELECT 'revoked'"),
        .columns = SLICE("[\"id\",\"subject\",\"jti\",\"since\",\"until\"]"),
        .stream = SLICE("__weir/{subject}"),
    };
}

static int by_name(const void *a, const void *b)
{
    const struct rule_definition *x = a, *y = b;
    return slice_cmp(x->name, y->name);
}

static void begin_rule(void *context, const struct rule_definition *rule)
{
    const struct rule_table *table = context;
    if (table->answers)
        answers_begin_rule(table->answers, rule->relation_oid, rule->audience);
}

struct rule_literals rule_table_literals(struct rule_table *table)
{
    return (struct rule_literals){canonical_literal, literal_elements, has_table,
                                  own_meaning,       begin_rule,       table};
}

bool rule_table_has_news(const struct rule_table *table)
{
    return table->answers && answers_have_changed(table->answers);
}

bool rule_table_save(struct rule_table *table, struct err *err)
{
    if (!rule_table_has_news(table))
        return true;
    struct buffer saved = BUFFER_INIT;
    answers_save(table->answers, &saved);
    bool ok = replica_set_meta(table->replica, "answers", buffer_slice(&saved), err);
    buffer_release(&saved);
    if (ok)
        answers_note_saved(table->answers);
    return ok;
}

bool rule_table_compile(struct rule_table *table, const struct state *state, struct ruleset **rules,
                        struct err *err)
{
    struct arena arena = ARENA_INIT;
    struct rule_definition *definitions = NULL;
    size_t count = 0;
    struct access all = {.kind = ACCESS_ALL, .relation = table->catalog->rules};
    struct state_read read;
    struct row row;
    const struct relation *revoked =
        relation_set_find(&table->catalog->relations, SLICE("weir"), SLICE("revoked"));
    state_read_begin(&read, state, &all, SLICE_NONE);
    while (state_read_next(&read, &row)) {
        definitions = realloc(definitions, (count + 1) * sizeof *definitions);
        check(definitions != NULL);
        definitions[count++] = (struct rule_definition){
            .name = text_column(table, row, "name", &arena),
            .relation = text_column(table, row, "relation", &arena),
            .relation_oid = oid_column(table, row, &arena),
            .audience = text_column(table, row, "audience", &arena),
            .columns = json_column(table, row, "columns", &arena),
            .type = text_column(table, row, "type", &arena),
            .stream = text_column(table, row, "stream", &arena),
        };
    }
    state_read_end(&read);
    if (revoked) {
        definitions = realloc(definitions, (count + 1) * sizeof *definitions);
        check(definitions != NULL);
        definitions[count++] = revocation_rule(revoked);
    }
    if (count)
        qsort(definitions, count, sizeof *definitions, by_name);
    struct rule_literals literals = rule_table_literals(table);
    table->lost_connection = false;
    table->own_meanings = OWN_UNKNOWN;
    if (table->answers)
        answers_begin(table->answers);
    bool ok = ruleset_compile(definitions, count, &table->catalog->relations, table->replica,
                              &literals, rules, err);
    if (ok && table->lost_connection) {
        ruleset_free(*rules);
        *rules = NULL;
        ok = err_set(err, "the connection to Postgres was lost while rules were compiled");
    }
    free(definitions);
    arena_release(&arena);
    return ok;
}

size_t rules_first(const struct ruleset *rules)
{
    return ruleset_rule_count(rules) > 0 && ruleset_rule_status(rules, 0).name.len == 0;
}

static void log_refusals(const struct ruleset *rules)
{
    size_t refused = 0;
    for (size_t i = rules_first(rules); i < ruleset_rule_count(rules); i++) {
        struct rule_status status = ruleset_rule_status(rules, i);
        if (status.is_active)
            continue;
        refused++;
        log_event(LOG_WARN, "rule refused: it shows no rows to anybody",
                  LOG_SLICE("rule", status.name), LOG_STR("reason", status.reason),
                  LOG_STR("hint", status.hint ? status.hint : ""));
    }
    log_event(LOG_INFO, "rules compiled",
              LOG_U("active", ruleset_rule_count(rules) - rules_first(rules) - refused),
              LOG_U("refused", refused));
}

/* All statuses as one JSON array, so that one statement makes the table agree with it. */
static void add_statuses(struct buffer *out, const struct ruleset *rules)
{
    buffer_add_char(out, '[');
    for (size_t i = rules_first(rules); i < ruleset_rule_count(rules); i++) {
        struct rule_status status = ruleset_rule_status(rules, i);
        buffer_add_str(out, out->len > 1 ? ",{\"name\":" : "{\"name\":");
        json_add_string(out, status.name);
        buffer_printf(out,
                      ",\"state\":\"%s\",\"reason\":", status.is_active ? "active" : "refused");
        if (status.is_active) {
            buffer_add_str(out, "null}");
            continue;
        }
        struct buffer reason = BUFFER_INIT;
        buffer_add_str(&reason, status.reason);
        if (status.hint)
            buffer_printf(&reason, " (hint: %s)", status.hint);
        json_add_string(out, buffer_slice(&reason));
        buffer_add_char(out, '}');
        buffer_release(&reason);
    }
    buffer_add_char(out, ']');
}

static void write_statuses(struct rule_table *table, const struct ruleset *rules)
{
    static const char sql[] =
        "WITH status AS (SELECT * FROM jsonb_to_recordset($1::jsonb)"
        "    AS s(name text, state text, reason text)),"
        " gone AS (DELETE FROM weir.rule_status r"
        "    WHERE NOT EXISTS (SELECT 1 FROM status s WHERE s.name = r.name))"
        " INSERT INTO weir.rule_status AS r (name, state, reason, updated_at)"
        " SELECT name, state, reason, now() FROM status"
        " ON CONFLICT (name) DO UPDATE"
        "    SET state = excluded.state, reason = excluded.reason, updated_at = now()"
        "    WHERE (r.state, r.reason) IS DISTINCT FROM (excluded.state, excluded.reason)";
    struct err err = {.message = ""};
    struct buffer statuses = BUFFER_INIT;
    add_statuses(&statuses, rules);
    const char *parameter = buffer_str(&statuses);
    struct pg_connection *connection = rule_table_connection(table, &err);
    struct pg_rows *rows = connection ? pg_query(connection, &err, sql, 1, &parameter) : NULL;
    if (!rows && !table->owes_report)
        log_err(LOG_WARN, "cannot write weir.rule_status", &err);
    table->owes_report = !rows;
    pg_rows_free(rows);
    buffer_release(&statuses);
}

void rule_table_report(struct rule_table *table, const struct ruleset *rules)
{
    log_refusals(rules);
    write_statuses(table, rules);
}

void rule_table_report_owed(struct rule_table *table, const struct ruleset *rules)
{
    if (table->owes_report)
        write_statuses(table, rules);
}
