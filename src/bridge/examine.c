/* The bridge's own checks, for weir doctor: everything up to where a start would change something
 * that stays.
 *
 * Rules are compiled as the bridge compiles them, in a replica of nothing but the rule table, so
 * that what is refused is known before anything is started. */
#include "bridge_internal.h"

#include "weir/base/check.h"
#include "weir/bridge/examine.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

struct examination {
    struct bridge bridge;
    struct pg_connection *connection;
    finding_fn *fn;
    void *context;
};

static void found(const struct examination *examination, const char *check,
                  enum finding_severity severity, const struct err *err)
{
    struct finding finding = {check, severity, err->message, err->hint};
    examination->fn(examination->context, &finding);
}

static void fine(const struct examination *examination, const char *check, const char *fmt, ...)
    WEIR_PRINTF(3, 4);
static void fine(const struct examination *examination, const char *check, const char *fmt, ...)
{
    char text[ERR_MESSAGE_SIZE];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    struct finding finding = {check, FINDING_OK, text, ""};
    examination->fn(examination->context, &finding);
}

/* ---- Tables ---- */

static void examine_tables(const struct examination *examination, const struct catalog *catalog)
{
    size_t errors = 0, own = 0;
    for (size_t i = 0; i < catalog->complaint_count; i++) {
        const struct catalog_complaint *complaint = &catalog->complaints[i];
        struct finding finding = {"tables",
                                  complaint->is_implicit ? FINDING_WARNING : FINDING_ERROR,
                                  complaint->message, complaint->hint};
        errors += !complaint->is_implicit;
        examination->fn(examination->context, &finding);
    }
    for (size_t i = 0; i < catalog->relations.count; i++)
        own += slice_eq_str(catalog->relations.relations[i]->schema, "weir");
    if (!errors)
        fine(examination, "tables", "%zu table%s of the application can be followed",
             catalog->relations.count - own, catalog->relations.count - own == 1 ? "" : "s");
}

/* ---- Rules ---- */

static bool store_rule(void *replica, const struct relation *relation, struct slice key,
                       struct row row, struct err *err)
{
    return replica_put(replica, relation, key, ROW_NONE, row, err);
}

static bool read_rules(struct examination *examination, struct err *err)
{
    struct bridge *bridge = &examination->bridge;
    struct table_reader *reader = table_reader_new(bridge->replica);
    enum bridge_end end = table_read(reader, examination->connection, bridge->catalog->rules, NULL,
                                     store_rule, bridge->replica, err);
    table_reader_free(reader);
    return end == BRIDGE_DONE;
}

static void examine_rules(struct examination *examination, const struct ruleset *rules)
{
    size_t refused = 0, first = rules_first(rules);
    struct arena arena = ARENA_INIT;
    struct err err;
    for (size_t i = first; i < ruleset_rule_count(rules); i++) {
        struct rule_status status = ruleset_rule_status(rules, i);
        if (status.is_active)
            continue;
        refused++;
        err_set(&err, "rule \"%.*s\" is refused and shows nothing to anybody: %s",
                SLICE_ARG(status.name), status.reason);
        err_hint(&err, "DELETE FROM weir.rules WHERE name = %s; -- or write it anew%s%s",
                 pg_quote_literal(&arena, arena_copy(&arena, status.name).data),
                 status.hint ? ": " : "", status.hint ? status.hint : "");
        found(examination, "rules", FINDING_ERROR, &err);
    }
    if (!refused)
        fine(examination, "rules", "%zu rule%s can be followed", ruleset_rule_count(rules) - first,
             ruleset_rule_count(rules) - first == 1 ? "" : "s");
    arena_release(&arena);
}

/* A filter matters to the rules that read the table, and would be said of each of them. */
static void examine_filter(struct examination *examination, const struct relation *relation)
{
    struct bridge *bridge = &examination->bridge;
    struct rule_definition everybody = {.name = SLICE("row filter"),
                                        .relation_oid = relation->oid,
                                        .audience = SLICE("SELECT 'x'"),
                                        .columns = SLICE("null"),
                                        .stream = SLICE("{subject}")};
    struct rule_literals literals = rule_table_literals(&bridge->rule_table);
    struct ruleset *rules;
    struct err err;
    if (!relation->row_filter.len || !ruleset_compile(&everybody, 1, &bridge->catalog->relations,
                                                      bridge->replica, &literals, &rules, &err))
        return;
    struct rule_status status = ruleset_rule_status(rules, 0);
    if (!status.is_active && !bridge->rule_table.lost_connection) {
        struct arena arena = ARENA_INIT;
        const char *publication = pg_quote_identifier(&arena, bridge->settings->publication);
        const char *table =
            arena_printf(&arena, "%s.%s", pg_quote_identifier(&arena, relation->schema.data),
                         pg_quote_identifier(&arena, relation->name.data));
        err_set(&err, "%s", status.reason);
        err_hint(
            &err,
            "ALTER PUBLICATION %s DROP TABLE %s; ALTER PUBLICATION %s ADD TABLE %s; -- and put "
            "the condition into its rules",
            publication, table, publication, table);
        found(examination, "row_filters", FINDING_ERROR, &err);
        arena_release(&arena);
    }
    ruleset_free(rules);
}

static bool compile(struct examination *examination, const char *scratch, struct err *err)
{
    struct bridge *bridge = &examination->bridge;
    struct replica_settings replica = {scratch, (uint64_t)4 << 30, 0};
    struct ruleset *rules;
    bridge->replica = replica_open(&replica, err);
    if (!bridge->replica || !read_rules(examination, err))
        return false;
    bridge->rule_table = (struct rule_table){
        .catalog = bridge->catalog, .replica = bridge->replica, .conninfo = bridge->settings->db};
    struct state state = {.replica = bridge->replica};
    if (!rule_table_compile(&bridge->rule_table, &state, &rules, err))
        return false;
    examine_rules(examination, rules);
    ruleset_free(rules);
    for (size_t i = 0; i < bridge->catalog->relations.count; i++)
        examine_filter(examination, bridge->catalog->relations.relations[i]);
    return true;
}

void bridge_examine_publication(const struct bridge_settings *settings,
                                struct pg_connection *connection, const char *scratch,
                                finding_fn *fn, void *context)
{
    struct examination examination = {{.settings = settings}, connection, fn, context};
    struct bridge *bridge = &examination.bridge;
    struct err err = {.message = ""};
    bridge->catalog = catalog_load(connection, settings->publication, CATALOG_LENIENT, &err);
    if (!bridge->catalog) {
        found(&examination, "publication", FINDING_ERROR, &err);
        return;
    }
    examine_tables(&examination, bridge->catalog);
    if (!compile(&examination, scratch, &err))
        found(&examination, "rules", FINDING_ERROR, &err);
    rule_table_release(&bridge->rule_table);
    replica_close(bridge->replica);
    catalog_free(bridge->catalog);
}

/* ---- The state folder and the streams ---- */

/* A folder that is not there yet is made by the bridge, where it may. */
static bool check_new_state(const struct examination *examination, struct err *err)
{
    const char *state = examination->bridge.settings->state;
    char folder[600];
    struct stat info;
    snprintf(folder, sizeof folder, "%s", state);
    if (stat(state, &info) != 0) {
        char *slash = strrchr(folder, '/');
        if (!slash)
            strcpy(folder, ".");
        else
            slash[slash == folder] = '\0';
    }
    if (stat(folder, &info) != 0) {
        err_set_errno(err, errno, "the state folder %s cannot be made in %s", state, folder);
        return err_hint(err, "mkdir -p '%s'", folder);
    }
    if (access(folder, W_OK | X_OK) == 0)
        return true;
    err_set(err, "user %u may not write to the folder %s", (unsigned)geteuid(), folder);
    return err_hint(err, "chown %u '%s' # as root; or run the bridge as its owner",
                    (unsigned)geteuid(), folder);
}

/* Somebody follows the slot, and it is not a bridge on this state folder. */
static bool check_not_followed(const struct examination *examination, struct err *err)
{
    const char *slot = examination->bridge.settings->slot;
    struct pg_rows *rows =
        pg_query(examination->connection, err,
                 "SELECT active_pid, quote_literal(slot_name) FROM pg_replication_slots"
                 " WHERE slot_name = $1 AND active",
                 1, &slot);
    bool is_followed = rows && pg_rows_count(rows) > 0;
    if (is_followed) {
        err_set(err,
                "slot %s is in use by the process with pid %s, and no bridge is running on the "
                "state folder %s",
                slot, pg_rows_str(rows, 0, 0), examination->bridge.settings->state);
        err_hint(err,
                 "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE "
                 "slot_name = %s; -- once the bridge that has it is stopped",
                 pg_rows_str(rows, 0, 1));
    }
    pg_rows_free(rows);
    return rows && !is_followed;
}

/* Whether Postgres, the replica, when there is one, and the streams, as far as they are known, go
 * together. */
static bool examine_replica(struct examination *examination, struct err *err)
{
    struct bridge *bridge = &examination->bridge;
    struct pg_connection *connection = examination->connection;
    enum bridge_way way;
    const char *why;
    struct err warning;
    if (!connection)
        return true;
    if (!check_not_followed(examination, err) ||
        bridge_weigh(bridge, connection, &way, &why, err) != BRIDGE_DONE)
        return false;
    if (why) {
        err_set(&warning,
                "the bridge will read everything again when it starts, and append to the "
                "streams what differs: %s",
                why);
        err_hint(&warning, "nothing, if that is what has happened: docs/recovery.md");
        found(examination, "state", FINDING_WARNING, &warning);
    }
    return true;
}

enum state_found { STATE_USABLE, STATE_RUNNING, STATE_WRONG };

static enum state_found open_state(struct examination *examination, struct err *err)
{
    struct bridge *bridge = &examination->bridge;
    const char *state = bridge->settings->state;
    char path[600];
    struct stat info;
    snprintf(path, sizeof path, "%s/replica.mdb", state);
    if (stat(path, &info) != 0 && errno == ENOENT)
        return check_new_state(examination, err) ? STATE_USABLE : STATE_WRONG;
    struct replica_settings replica = {state, bridge->settings->replica_limit, 0};
    bridge->replica = replica_open(&replica, err);
    if (bridge->replica) {
        bridge->replica_lsn = bridge->applied_lsn = meta_lsn(bridge->replica);
        return STATE_USABLE;
    }
    return replica_is_in_use(state) ? STATE_RUNNING : STATE_WRONG;
}

static void examine_state(struct examination *examination)
{
    const struct bridge_settings *settings = examination->bridge.settings;
    struct err err = {.message = ""};
    enum state_found state = open_state(examination, &err);
    if (state == STATE_USABLE && !examine_replica(examination, &err))
        state = STATE_WRONG;
    if (state == STATE_WRONG)
        found(examination, "state", FINDING_ERROR, &err);
    else if (state == STATE_RUNNING)
        fine(examination, "state", "a bridge is running on the state folder %s", settings->state);
    else
        fine(examination, "state", "the state folder %s is %s slot %s", settings->state,
             examination->bridge.replica ? "that of" : "new, for", settings->slot);
}

static bool look_at_streams(struct examination *examination, struct err *err)
{
    struct bridge *bridge = &examination->bridge;
    bridge->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    check(bridge->wake_fd >= 0);
    struct progress own = {bridge->replica_lsn, 0};
    if (!bridge_open_publisher(bridge, false, err)) {
        if (!err->hint[0])
            err_hint(err,
                     "put the server's --writer-token-file there, readable by the bridge, or give "
                     "another --streams-token-file");
        return false;
    }
    bool ok =
        publisher_look(bridge->publisher, own, &bridge->published, err) == PUBLISHER_CLAIMED &&
        publisher_try_writing(bridge->publisher, err) == PUBLISHER_CLAIMED;
    if (ok)
        fine(examination, "streams", "the stream server at %s lets the bridge write%s",
             bridge->settings->streams,
             publisher_keeps_progress(bridge->publisher) ? "" : " (standard dialect)");
    else if (!err->hint[0])
        err_hint(err,
                 "weir serve --data DIR --auth jwt ... # start it there, or give its address as "
                 "--streams");
    return ok;
}

static void close_streams(struct bridge *bridge)
{
    if (!bridge->publisher)
        return;
    publisher_close(bridge->publisher);
    close(bridge->wake_fd);
    bridge->publisher = NULL;
}

void bridge_examine_start(const struct bridge_settings *settings, struct pg_connection *connection,
                          finding_fn *fn, void *context)
{
    struct examination examination = {{.settings = settings}, connection, fn, context};
    struct bridge *bridge = &examination.bridge;
    struct err err = {.message = ""};
    /* In the bridge's order: how far the streams are decides what may be done about a lost slot. */
    bool knows_streams = settings->streams && look_at_streams(&examination, &err);
    if (settings->streams && !knows_streams)
        found(&examination, "streams", FINDING_ERROR, &err);
    if (!knows_streams)
        close_streams(bridge);
    if (settings->state)
        examine_state(&examination);
    close_streams(bridge);
    replica_close(bridge->replica);
}
