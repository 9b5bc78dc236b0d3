/* The order of the checks: what a check stands on comes before it, and where that is wrong it is
 * left out, so that one fault is not said five times. */
#include "weir/doctor/doctor.h"

#include "question.h"

#include "weir/http/http.h"

#include <ftw.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { LOCK_TIMEOUT_MS = 3000, SERVER_TIMEOUT_MS = 10000 };

struct doctor {
    const struct bridge_settings *settings;
    struct pg_connection *connection;
    struct buffer address;
    finding_fn *fn;
    void *context;
    size_t faults;
};

static void pass_on(void *context, const struct finding *finding)
{
    struct doctor *doctor = context;
    doctor->faults += finding->severity != FINDING_OK;
    doctor->fn(doctor->context, finding);
}

static void found(struct doctor *doctor, const char *check, enum finding_severity severity,
                  const struct err *err)
{
    pass_on(doctor, &(struct finding){check, severity, err->message, err->hint});
}

static void fine(struct doctor *doctor, const char *check, const char *text)
{
    pass_on(doctor, &(struct finding){check, FINDING_OK, text, ""});
}

/* ---- Questions to Postgres ---- */

static void ask(struct doctor *doctor, const struct question *question)
{
    struct err err;
    struct buffer sql = BUFFER_INIT;
    const char *given[] = {doctor->settings->publication, doctor->settings->slot,
                           buffer_str(&doctor->address)};
    buffer_printf(
        &sql,
        "WITH given(publication, slot, address) AS (VALUES ($1::text, $2::text, $3::text)) "
        "%s",
        question->sql);
    struct pg_rows *rows = pg_query(doctor->connection, &err, buffer_str(&sql), 3, given);
    buffer_release(&sql);
    if (!rows) {
        found(doctor, question->check, FINDING_ERROR, &err);
        return;
    }
    for (size_t i = 0; i < pg_rows_count(rows); i++) {
        bool is_error = pg_rows_str(rows, i, 0)[0] == 'e';
        pass_on(doctor,
                &(struct finding){question->check, is_error ? FINDING_ERROR : FINDING_WARNING,
                                  pg_rows_str(rows, i, 1), pg_rows_str(rows, i, 2)});
    }
    if (pg_rows_count(rows) == 0)
        fine(doctor, question->check, question->fine);
    pg_rows_free(rows);
}

/* Whether none of them found anything. */
static bool ask_all(struct doctor *doctor, const struct question *questions)
{
    size_t before = doctor->faults;
    for (const struct question *question = questions; question->check; question++)
        ask(doctor, question);
    return doctor->faults == before;
}

/* ---- wal2json ---- */

/* Whether a slot of wal2json can be made and takes the options. False with err; a connection has
 * one try, as an error ends its temporary slot. */
static bool try_options(struct doctor *doctor, const struct replication_option *options,
                        size_t count, bool *is_blocked, struct err *err)
{
    struct replication *replication;
    struct replication_slot created = {.is_blocked = false};
    char slot[40];
    bool is_busy;
    snprintf(slot, sizeof slot, "weir_doctor_%ld", (long)getpid());
    bool ok = replication_try_connect(doctor->settings->db, &replication, err) == PG_CONNECTED;
    if (!ok)
        return false;
    ok =
        replication_create_temporary_slot(replication, slot, LOCK_TIMEOUT_MS, &created, err) &&
        replication_start(replication, slot, created.consistent_lsn, options, count, &is_busy, err);
    *is_blocked = created.is_blocked;
    replication_close(replication);
    return ok;
}

static void try_wal2json(struct doctor *doctor)
{
    struct replication_option options[BRIDGE_SLOT_OPTIONS];
    const struct replication_option of_2_6 = {"numeric-data-types-as-string", "1"};
    struct err err;
    bool is_blocked = false;
    bridge_slot_options("weir.rules", options);
    if (!try_options(doctor, options, BRIDGE_SLOT_OPTIONS, &is_blocked, &err)) {
        found(doctor, "wal2json", is_blocked ? FINDING_WARNING : FINDING_ERROR, &err);
        return;
    }
    bool is_newer = try_options(doctor, &of_2_6, 1, &is_blocked, &err);
    fine(doctor, "wal2json",
         is_newer
             ? "wal2json decodes (2.6 or later)"
             : "wal2json decodes (2.5 or earlier: NaN and infinities of numbers arrive as null)");
}

/* ---- The publication ---- */

static int remove_file(const char *path, const struct stat *info, int kind, struct FTW *at)
{
    (void)info, (void)kind, (void)at;
    return remove(path);
}

static void examine_publication(struct doctor *doctor)
{
    char scratch[600];
    const char *folder = getenv("TMPDIR");
    snprintf(scratch, sizeof scratch, "%s/weir-doctor-XXXXXX", folder ? folder : "/tmp");
    if (!mkdtemp(scratch)) {
        struct err err;
        err_set(&err, "rules cannot be tried out: there is no room for a folder %s", scratch);
        err_hint(&err, "export TMPDIR=/var/tmp # or another folder that can be written to");
        found(doctor, "rules", FINDING_WARNING, &err);
        return;
    }
    bridge_examine_publication(doctor->settings, doctor->connection, scratch, pass_on, doctor);
    nftw(scratch, remove_file, 4, FTW_DEPTH | FTW_PHYS);
}

static void examine_database(struct doctor *doctor)
{
    struct err err;
    char text[200];
    if (pg_try_connect(doctor->settings->db, &doctor->connection, &err) != PG_CONNECTED) {
        found(doctor, "connection", FINDING_ERROR, &err);
        return;
    }
    pg_add_address(doctor->connection, &doctor->address);
    int version = pg_server_version(doctor->connection);
    snprintf(text, sizeof text, "connected to PostgreSQL %d.%d, encoding UTF8", version / 10000,
             version % 10000);
    fine(doctor, "connection", text);
    if (!ask_all(doctor, questions_of_kind)) {
        pg_close(doctor->connection);
        doctor->connection = NULL;
        return;
    }
    if (ask_all(doctor, questions_of_server))
        try_wal2json(doctor);
    if (ask_all(doctor, questions_of_schema) && ask_all(doctor, questions_of_rights) &&
        ask_all(doctor, questions_of_version)) {
        ask_all(doctor, questions_of_publication);
        examine_publication(doctor);
    }
    ask_all(doctor, questions_of_slot);
}

/* ---- The stream server ---- */

static bool is_near(const char *url)
{
    static const char *const near[] = {"127.", "localhost", "[::1]"};
    const char *host = strstr(url, "://");
    for (size_t i = 0; host && i < sizeof near / sizeof *near; i++) {
        if (strncmp(host + 3, near[i], strlen(near[i])) == 0)
            return true;
    }
    return false;
}

/* What it lets one do who has no token. */
static void examine_access(struct doctor *doctor)
{
    const char *streams = doctor->settings->streams;
    const atomic_ullong never = 0;
    struct http_settings settings = {.ca_file = doctor->settings->ca_file, .abort_at_ms = &never};
    struct http *http = http_new(&settings);
    struct buffer url = BUFFER_INIT;
    struct slice answer;
    struct err err;
    long status = 0;
    buffer_printf(&url, "%s/__weir/producers/doctor", streams);
    bool is_answered = http_get(http, buffer_str(&url), SERVER_TIMEOUT_MS, &status, &answer, &err);
    if (is_answered && status == 401) {
        fine(doctor, "access", "the stream server asks everybody for a token");
    } else if (is_answered && is_near(streams)) {
        fine(doctor, "access", "the stream server asks nobody for a token, on this machine only");
    } else if (is_answered) {
        err_set(&err,
                "the stream server at %s lets everybody who reaches it read and write every "
                "stream",
                streams);
        err_hint(&err,
                 "weir serve --auth jwt --auth-secret-file FILE --writer-token-file FILE ... # "
                 "see docs/access.md");
        found(doctor, "access", FINDING_WARNING, &err);
    }
    if (is_answered && !is_near(streams) && strncmp(streams, "http://", 7) == 0) {
        err_set(&err, "the bridge's token and all rows go to %s unencrypted", streams);
        err_hint(&err,
                 "weir serve --tls-cert FILE --tls-key FILE ... # and --streams https://..., or "
                 "a proxy with TLS");
        found(doctor, "access", FINDING_WARNING, &err);
    }
    buffer_release(&url);
    http_free(http);
}

void doctor_run(const struct bridge_settings *settings, finding_fn *fn, void *context)
{
    struct doctor doctor = {
        .settings = settings, .address = BUFFER_INIT, .fn = fn, .context = context};
    examine_database(&doctor);
    bridge_examine_start(settings, doctor.connection, pass_on, &doctor);
    if (settings->streams)
        examine_access(&doctor);
    pg_close(doctor.connection);
    buffer_release(&doctor.address);
}
