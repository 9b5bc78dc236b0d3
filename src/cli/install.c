/* weir install: runs the files of sql/ in one transaction and says what that did. */
#include "commands.h"
#include "install_sql.h"

#include "weir/postgres/connection.h"

#include <stddef.h>
#include <stdlib.h>

struct settings {
    const char *db;
};

static const struct option_spec options[] = {
    {.name = "db",
     .kind = OPTION_STRING,
     .offset = offsetof(struct settings, db),
     .placeholder = "CONNINFO",
     .required = true,
     .help = "the database, as a libpq connection string or URL; its owner's rights are enough"},
    {.name = NULL},
};

/* What is in the database, to tell before from after. */
struct installed {
    int version; /* 0: not installed */
    bool has_publication;
    bool has_rules;            /* in the publication */
    unsigned long table_count; /* of the application, in the publication */
    unsigned long rule_count;
    bool is_logical; /* wal_level */
};

static const char publication_sql[] =
    "SELECT EXISTS (SELECT FROM pg_publication WHERE pubname = 'weir'),"
    "       EXISTS (SELECT FROM pg_publication_tables"
    "                WHERE pubname = 'weir' AND schemaname = 'weir' AND tablename = 'rules'),"
    "       (SELECT count(*) FROM pg_publication_tables"
    "         WHERE pubname = 'weir' AND schemaname <> 'weir'),"
    "       current_setting('wal_level') = 'logical',"
    "       CASE WHEN usable THEN to_regclass('weir.schema_version') IS NOT NULL END,"
    "       CASE WHEN usable THEN to_regclass('weir.rules') IS NOT NULL END"
    "  FROM has_schema_privilege(to_regnamespace('weir'), 'USAGE') AS usable";

static bool read_number(struct pg_connection *connection, const char *sql, unsigned long *number,
                        struct err *err)
{
    struct pg_rows *rows = pg_query(connection, err, sql, 0, NULL);
    if (rows)
        *number = pg_rows_count(rows) ? strtoul(pg_rows_str(rows, 0, 0), NULL, 10) : 0;
    pg_rows_free(rows);
    return rows != NULL;
}

static bool look(struct pg_connection *connection, struct installed *found, struct err *err)
{
    struct pg_rows *rows = pg_query(connection, err, publication_sql, 0, NULL);
    if (!rows)
        return false;
    bool is_true[6];
    for (size_t i = 0; i < 6; i++)
        is_true[i] = pg_rows_str(rows, 0, i)[0] == 't';
    *found = (struct installed){.has_publication = is_true[0],
                                .has_rules = is_true[1],
                                .table_count = strtoul(pg_rows_str(rows, 0, 2), NULL, 10),
                                .is_logical = is_true[3]};
    pg_rows_free(rows);
    unsigned long version = 0;
    if (is_true[4] &&
        !read_number(connection, "SELECT version FROM weir.schema_version", &version, err))
        return false;
    found->version = (int)version;
    return !is_true[5] ||
           read_number(connection, "SELECT count(*) FROM weir.rules", &found->rule_count, err);
}

static bool run_files(struct pg_connection *connection, struct err *err)
{
    /* Postgres's notices that something is there already are the normal case here. */
    if (!pg_execute(connection, err, "BEGIN; SET LOCAL client_min_messages = warning"))
        return false;
    for (const struct sql_file *file = install_sql; file->name; file++) {
        if (!pg_execute(connection, err, file->text))
            return err_prefix(err, "%s", file->name);
    }
    return pg_execute(connection, err, "COMMIT");
}

static void print_result(const struct installed *before, const struct installed *after)
{
    if (before->version == 0)
        printf("schema weir        made, version %d\n", after->version);
    else if (before->version != after->version)
        printf("schema weir        upgraded from version %d to %d\n", before->version,
               after->version);
    else
        printf("schema weir        there already, version %d\n", after->version);
    printf("weir.rules         %lu rule%s\n", after->rule_count, after->rule_count == 1 ? "" : "s");
    if (!before->has_publication)
        printf("publication weir   made, with weir.rules in it\n");
    else if (!before->has_rules)
        printf("publication weir   was there; weir.rules is in it now\n");
    else
        printf("publication weir   there already, with weir.rules and %lu other table%s\n",
               after->table_count, after->table_count == 1 ? "" : "s");
    if (!after->is_logical)
        printf("\nnote: the bridge needs wal_level = logical, and this server has another:\n"
               "  ALTER SYSTEM SET wal_level = 'logical';   -- and restart Postgres\n");
}

static void print_next_steps(const struct installed *after)
{
    if (after->table_count && after->rule_count)
        return;
    puts("\nnext, in psql, with your own tables:\n"
         "  ALTER PUBLICATION weir ADD TABLE todos;        -- what may leave the database\n"
         "  INSERT INTO weir.rules (name, relation, audience)\n"
         "  VALUES ('own todos', 'todos', 'SELECT todos.owner_id');   -- who may see a row\n"
         "then start weir serve and weir bridge; weir.rule_status tells what became of each rule.");
}

static bool install(const char *db, struct installed *before, struct installed *after,
                    struct err *err)
{
    struct pg_connection *connection = pg_connect(db, err);
    bool ok = connection && look(connection, before, err) && run_files(connection, err) &&
              look(connection, after, err);
    pg_close(connection);
    return ok;
}

static int install_main(int argc, char **argv)
{
    enum { EXIT_FAILED = 1, EXIT_USAGE = 2 };
    struct settings settings = {0};
    struct installed before = {0}, after = {0};
    struct err err = {.message = ""};
    enum option_result parsed = option_parse(&command_install, argc, argv, &settings, &err);
    if (parsed == OPTION_HELP) {
        option_help(&command_install, stdout);
        return 0;
    }
    if (parsed == OPTION_OK && install(settings.db, &before, &after, &err)) {
        print_result(&before, &after);
        print_next_steps(&after);
        return 0;
    }
    fprintf(stderr, "weir install: %s\n", err.message);
    if (err.hint[0])
        fprintf(stderr, "hint: %s\n", err.hint);
    return parsed == OPTION_OK ? EXIT_FAILED : EXIT_USAGE;
}

const struct command command_install = {
    .name = "install",
    .summary = "puts the rule table and the publication into a database, or upgrades them",
    .usage = "--db CONNINFO",
    .options = options,
    .run = install_main,
};
