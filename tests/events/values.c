/* Values by COPY and by wal2json against to_jsonb(), Postgres's own word on what `value` is.
 *
 * For each type a table with the plain value, arrays of it (with NULL, of two dimensions and odd
 * bounds), a domain over it, a composite that holds it, and arrays of those. The rows are the
 * samples and as many random values; the seed is printed, and taken from WEIR_SEED. */
#include "bridge/catalog.h"
#include "json_same.h"
#include "weir/events/convert.h"
#include "weir/wal2json/decode.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

struct type_case {
    const char *type;
    const char *samples; /* a VALUES list's rows, without NULL, which is always there */
    const char *random;  /* an expression */
};

#define RANDOM_TEXT \
    "(SELECT string_agg(substr(E'abAB\"\\\\''{}(),;: \\t\\n\\r\\b\\u0001\\u007fé€😀NUL', " \
    "1 + (random() * 30)::int, 1), '') FROM generate_series(0, g % 7))"

static const struct type_case cases[] = {
    {"boolean", "(true), (false)", "random() < 0.5"},
    {"smallint", "(0), (-32768), (32767)", "(random() * 60000 - 30000)::int2"},
    {"integer", "(0), (-2147483648), (2147483647)", "(random() * 4e9 - 2e9)::int4"},
    {"bigint", "(0), (-9223372036854775808), (9223372036854775807)",
     "(random() * 1e18 - 5e17)::int8"},
    {"numeric",
     "(0), ('NaN'), ('Infinity'), ('-Infinity'), (0.00), (-0.10), (1e-20), (1e130), (12.50),"
     " (repeat('1234567890', 10)::numeric), (-(repeat('9', 100) || '.' || repeat('90', "
     "60))::numeric)",
     "((random() - 0.5) * 10 ^ (random() * 30)::int)::numeric(60, 12) / (1 + g)"},
    {"numeric(10,2)", "(0), (1.5), (-12345678.90), ('NaN')", "(random() * 1e7)::numeric(10, 2)"},
    {"real",
     "('0'), ('-0'), ('1e-7'), ('3.4028235e38'), ('1e15'), ('NaN'), ('Infinity'),"
     " ('-Infinity'), ('1.1754944e-38'), ('1e6'), ('123456.7')",
     "((random() - 0.5) * 10.0 ^ (random() * 60 - 30)::int)::float4"},
    {"double precision",
     "('0'), ('-0'), ('1e-7'), ('1.7976931348623157e308'), ('5e-324'), ('1e15'), ('1e16'), ('NaN'),"
     " ('Infinity'), ('-Infinity'), ('-1.5e-10'), ('123456789012345680')",
     "(random() - 0.5) * 10.0 ^ (random() * 300 - 150)::int"},
    {"money", "('0'), ('-12.34'), ('$92233720368547758.07')", "(random() * 1e6)::numeric::money"},
    {"text",
     "(''), ('NULL'), ('null'), ('{}'), ('a,b'), (E'\\\\'), ('\"'), (E'tab\\tnl\\n'), (' x '),"
     " ('\\N'), ('\\.'), ('é€😀'), (E'\\u0001\\u007f')",
     RANDOM_TEXT},
    {"varchar(40)", "(''), ('NULL'), ('(a)'), ('  ')", RANDOM_TEXT},
    {"char(5)", "(''), ('ab'), ('abcde'), ('a b')", "substr(md5(random()::text), 1, g % 6)"},
    {"\"char\"", "(''), ('a'), ('\"'), ('\\')", "chr(33 + g % 90)::\"char\""},
    {"name", "(''), ('a'), ('with \"quotes\"')", "md5(random()::text)::name"},
    {"bytea", "(''), ('\\x00'), ('\\xdeadbeef'), ('abc')", "decode(md5(random()::text), 'hex')"},
    {"date",
     "('2026-11-23'), ('infinity'), ('-infinity'), ('0044-03-15 BC'), ('4714-11-24 BC'),"
     " ('5874897-12-31'), ('0001-01-01')",
     "date '2000-01-01' + (random() * 2e6 - 1e6)::int"},
    {"time", "('00:00'), ('24:00'), ('23:59:59.999999'), ('12:34:56.7')",
     "time '00:00' + random() * interval '24 hours'"},
    {"time(0)", "('12:34:56.7')", "(time '00:00' + random() * interval '23 hours')::time(0)"},
    {"timetz", "('00:00+00'), ('12:34:56.7+05:30'), ('23:00:00-08'), ('24:00:00+15:59:59')",
     "(time '00:00' + random() * interval '24 hours')::timetz"},
    {"timestamp",
     "('2026-11-23 12:00'), ('infinity'), ('-infinity'), ('0044-03-15 12:00:00.5 BC'),"
     " ('294276-12-31 23:59:59.999999'), ('4713-01-01 00:00 BC')",
     "timestamp '2000-01-01' + (random() - 0.5) * interval '4000 years'"},
    {"timestamptz",
     "('2026-11-23 12:00+05:30'), ('infinity'), ('-infinity'),"
     " ('0044-03-15 12:00:00.5+00 BC'), ('294276-12-31 23:59:59.999999+00'),"
     " ('1800-01-01 00:00:00+00')",
     "timestamptz '2000-01-01' + (random() - 0.5) * interval '4000 years'"},
    {"timestamptz(3)", "('2026-11-23 12:00:00.123456+00')", "now()"},
    {"interval", "('0'), ('1 year 2 mons -3 days 04:05:06.789'), ('-1 day'), ('-00:00:01')",
     "(random() - 0.5) * interval '400 days 20 hours'"},
    {"uuid", "('00000000-0000-0000-0000-000000000000')", "gen_random_uuid()"},
    {"json",
     "('null'), ('1'), ('1.50'), ('1e5'), ('-0'), ('-0.0'), ('1E-7'), ('\"x\"'), ('true'),"
     " (' { \"b\" : [1 , 2.0, {}] , \"a\":\"\\u00e9\\n\" }'), ('{\"a\":1,\"b\":2,\"a\":3}'),"
     " ('[]'), ('{}'), (E'[1,\\n\\t2]'), ('{\"\": {\"x\": null}}'), ('1.25e2'), ('12e-1'),"
     " ('100e-2'), ('{\"\\u0061\": 1, \"a\": 2}'), ('0e5'), ('0.00e1'),"
     " ('[{\"b\":{\"x\":1,\"x\":2}, \"a\":1, \"b\":3, \"c\":[0.1e-3, 10e0, 1.5e3, 123.456e1], "
     "\"a\":{} }]')",
     "json_build_object('k', g, 't', " RANDOM_TEXT ", 'n', random())"},
    {"jsonb",
     "('null'), ('1'), ('1.50'), ('1e5'), ('\"x\"'), ('true'), ('[]'), ('{}'),"
     " ('{\"b\": [1, 2.0, {}], \"a\": \"\\u00e9\\n\"}')",
     "jsonb_build_object('k', g, 't', " RANDOM_TEXT ", 'n', random())"},
    {"xml", "('<a b=\"c\">é</a>'), ('text')", "('<n>' || g || '</n>')::xml"},
    {"inet", "('10.0.0.1'), ('10.0.0.0/8'), ('::1'), ('fe80::/64')",
     "('10.0.' || g % 250 || '.1')::inet"},
    {"cidr", "('10.0.0.0/8'), ('::/0')", "('10.0.' || g % 250 || '.0/24')::cidr"},
    {"macaddr", "('08:00:2b:01:02:03')", "'08:00:2b:01:02:03'::macaddr"},
    {"macaddr8", "('08:00:2b:01:02:03:04:05')", "'08:00:2b:01:02:03:04:05'::macaddr8"},
    {"bit(3)", "('101')", "(g % 8)::bit(3)"},
    {"bit varying", "(''), ('0101')", "g::bit(9)::varbit"},
    {"oid", "(0), (4294967295)", "(random() * 4e9)::int8::oid"},
    {"regclass", "('pg_class'), (0), ('pg_catalog.pg_proc'), ('\"Odd name\"')", "g::regclass"},
    {"regtype", "('int'), ('text[]'), ('mood')", "g::regtype"},
    {"xid", "('1'), ('4294967295')", "g::text::xid"},
    {"pg_lsn", "('0/0'), ('FFFFFFFF/FFFFFFFF')", "('0/' || g)::pg_lsn"},
    {"tid", "('(0,1)')", "('(' || g || ',2)')::tid"},
    {"int2vector", "('1 2 3'), (''), ('-5')", "(g || ' 7')::int2vector"},
    {"oidvector", "('1 2 3'), ('')", "(g || ' 7')::oidvector"},
    {"point", "('(1,2)'), ('(1e-7,1e20)')", "point(random(), g)"},
    {"line", "('{1,2,3}')", "line(point(0, 0), point(1, g + 1))"},
    {"lseg", "('[(0,0),(1,1)]')", "lseg(point(0, 0), point(1, g))"},
    {"box", "('(1,1),(0,0)')", "box(point(0, 0), point(1, g))"},
    {"path", "('[(0,0),(1,1)]'), ('((0,0),(1,1))')", "('((0,0),(1,' || g || '))')::path"},
    {"polygon", "('((0,0),(1,1),(1,0))')", "polygon(box(point(0, 0), point(1, g)))"},
    {"circle", "('<(0,0),1>')", "circle(point(0, 0), g)"},
    {"tsvector", "(''), ('a:1 fat:2A ''it''''s''')", "to_tsvector('simple', md5(random()::text))"},
    {"tsquery", "('a & b | !c')", "('a & b' || g)::tsquery"},
    {"jsonpath", "('$.a[*] ? (@ > 1)')", "'$.\"a b\"'::jsonpath"},
    {"int4range", "('empty'), ('[1,5)'), ('(,)'), ('[3,)')", "int4range(g, g + 3)"},
    {"numrange", "('[1.50,2.0]'), ('empty')", "numrange(random()::numeric, 5)"},
    {"tstzrange", "('[2026-01-01 00:00+00,)'), ('empty')", "tstzrange(now(), NULL)"},
    {"daterange", "('[2026-01-01,2026-02-01)')", "daterange('2026-01-01', NULL)"},
    {"int4multirange", "('{}'), ('{[1,2), [5,9)}')", "int4multirange(int4range(g, g + 2))"},
    {"tsmultirange", "('{[2026-01-01 00:00,2026-01-02 00:00)}')", "'{}'::tsmultirange"},
    {"mood", "('ok'), ('so, so'), ('it''s \"fine\"')", "'ok'::mood"},
    {"odd.\"Od,d \"\"T\"", "('(1,\"a \"\"b\"\"\")'), ('(,)'), ('(7,\"\")')",
     "ROW(g, " RANDOM_TEXT ")"},
    {"deep",
     "(ROW(ROW(1, 'x(\"')::odd.\"Od,d \"\"T\", ARRAY[1.50, NULL], '{\"a\": [1]}', 'ok',"
     " '2026-01-01', 'infinity', '\\x00ff', ROW(NULL, NULL)))",
     "ROW(ROW(g, " RANDOM_TEXT "), ARRAY[random()], jsonb_build_array(g), 'so, so', now(), now(),"
     " decode(md5(random()::text), 'hex'), ROW(g, NULL))"},
    {"small", "(1), (2)", "g % 100"},
    {"smaller", "(1), (2)", "g % 100"},
    {"yes", "(true)", "true"},
    {"bytes", "('\\x00'), ('')", "decode(md5(random()::text), 'hex')"},
    {"tags", "('{}'), ('{a,NULL,\"b c\"}')", "ARRAY[" RANDOM_TEXT "]"},
    {"amount", "(1.50), ('NaN')", "random()::numeric(10, 2)"},
    {"whole", "(ROW(1, ROW(2, 'b')))", "ROW(g, NULL)"},
    {"hstore", "(''), ('a=>1, \"b c\"=>NULL, \"\\\"\"=>\"x, y\"')",
     "hstore(ARRAY['k', 'g'], ARRAY[" RANDOM_TEXT ", g::text])"},
    {"citext", "(''), ('Ab\"c')", RANDOM_TEXT "::citext"},
    {"ltree", "(''), ('Top.Science.x_1')", "text2ltree('a.b' || g)"},
    {"cube", "('(1,2),(3,4)'), ('(0.5)')", "cube(random())"},
    {"tint", "('red'), ('\"')", "'red'::tint"},
};

enum { RANDOM_ROWS = 40 };

static const char setup_sql[] =
    "CREATE SCHEMA weir; CREATE TABLE weir.rules (name text PRIMARY KEY, relation_oid oid);"
    "CREATE SCHEMA odd; CREATE TABLE public.\"Odd name\" (a int);"
    "SET search_path = public, pg_catalog;"
    "CREATE TYPE mood AS ENUM ('ok', 'so, so', 'it''s \"fine\"');"
    "CREATE TYPE odd.\"Od,d \"\"T\" AS (\"a \"\"b\"\"\" int, gone int, \"c,d\" text);"
    "ALTER TYPE odd.\"Od,d \"\"T\" DROP ATTRIBUTE gone;"
    "CREATE DOMAIN small AS int2; CREATE DOMAIN smaller AS small CHECK (value < 1000);"
    "CREATE DOMAIN yes AS bool; CREATE DOMAIN bytes AS bytea; CREATE DOMAIN tags AS text[];"
    "CREATE DOMAIN amount AS numeric(10, 2);"
    "CREATE DOMAIN whole AS odd.\"Od,d \"\"T\";"
    "CREATE TYPE deep AS (o odd.\"Od,d \"\"T\", n numeric[], j jsonb, m mood, d date,"
    "                     t timestamptz, b bytea, w odd.\"Od,d \"\"T\");"
    "DROP DOMAIN whole; CREATE TYPE part AS (x int, o odd.\"Od,d \"\"T\");"
    "CREATE DOMAIN whole AS part;"
    "CREATE EXTENSION hstore; CREATE EXTENSION citext; CREATE EXTENSION ltree; CREATE EXTENSION cube;"
    /* A type of the application's with a function that makes it json. */
    "CREATE TYPE tint AS ENUM ('red', '\"');"
    "CREATE FUNCTION tint_json(tint) RETURNS json IMMUTABLE LANGUAGE sql"
    "  AS $$ SELECT json_build_object('is', $1::text, 'n', 1.50) $$;"
    "CREATE CAST (tint AS json) WITH FUNCTION tint_json(tint)";

struct run {
    struct pg_connection *connection, *asking;
    struct catalog *catalog;
    size_t compared, lost_in_plugin, failures;
    size_t failures_of_type; /* only the first ones are printed */
};

static void execute(struct run *run, const char *sql)
{
    struct err err;
    cr_assert(pg_execute(run->connection, &err, sql), "%s: %s", err.message, sql);
}

static struct pg_rows *query(struct run *run, const char *sql)
{
    struct err err;
    struct pg_rows *rows = pg_query(run->connection, &err, sql, 0, NULL);
    cr_assert(rows, "%s: %s", err.message, sql);
    return rows;
}

static void create_table(struct run *run, size_t index)
{
    const struct type_case *each = &cases[index];
    struct buffer sql = BUFFER_INIT;
    buffer_printf(&sql,
                  "CREATE DOMAIN dom_%zu AS %s;"
                  "CREATE TYPE comp_%zu AS (\"the value\" %s, list %s[], gone int, note text);"
                  "ALTER TYPE comp_%zu DROP ATTRIBUTE gone;"
                  "CREATE TABLE t_%zu (id int PRIMARY KEY, v %s, a %s[], b %s[], d dom_%zu,"
                  " c comp_%zu, da dom_%zu[], ca comp_%zu[]);",
                  index, each->type, index, each->type, each->type, index, index, each->type,
                  each->type, each->type, index, index, index, index);
    execute(run, buffer_str(&sql));
    buffer_release(&sql);
}

static void fill_table(struct run *run, size_t index)
{
    const struct type_case *each = &cases[index];
    struct buffer sql = BUFFER_INIT;
    buffer_printf(&sql,
                  "CREATE TABLE source_%zu (v %s); INSERT INTO source_%zu VALUES (NULL), %s;"
                  "INSERT INTO source_%zu SELECT (%s)::%s FROM generate_series(1, %d) g;",
                  index, each->type, index, each->samples, index, each->random, each->type,
                  RANDOM_ROWS);
    buffer_printf(&sql,
                  "INSERT INTO t_%zu SELECT row_number() OVER (), v, ARRAY[v, NULL, v]::%s[],"
                  " array_fill(v, ARRAY[2, 1], ARRAY[0, -3])::%s[], v::dom_%zu,"
                  " ROW(v, ARRAY[v], E'x,\"y\\\\()')::comp_%zu, ARRAY[v, NULL]::dom_%zu[],"
                  " ARRAY[ROW(v, '{}', NULL)::comp_%zu, NULL, ROW(v, ARRAY[v, v], '')::comp_%zu]"
                  " FROM source_%zu;"
                  "INSERT INTO t_%zu (id, a, b) VALUES (0, '{}', NULL)",
                  index, each->type, each->type, index, index, index, index, index, index, index);
    execute(run, buffer_str(&sql));
    buffer_release(&sql);
}

static bool is_not_finite(struct slice json)
{
    return slice_eq_str(json, "\"NaN\"") || slice_eq_str(json, "\"Infinity\"") ||
           slice_eq_str(json, "\"-Infinity\"");
}

static void compare(struct run *run, size_t index, const struct column *column, const char *way,
                    struct slice got, struct slice expected)
{
    run->compared++;
    if (json_same(got, expected))
        return;
    /* The plugin writes NULL for numbers that JSON does not have. */
    if (*way == 'w' && slice_eq_str(got, "null") && is_not_finite(expected) &&
        (column->type->kind == VALUE_NUMERIC || column->type->kind == VALUE_FLOAT)) {
        run->lost_in_plugin++;
        return;
    }
    run->failures++;
    if (run->failures_of_type++ < 2)
        fprintf(stderr, "%s, column %.*s by %s:\n  %.*s\n  %.*s expected\n", cases[index].type,
                SLICE_ARG(column->name), way, SLICE_ARG(got), SLICE_ARG(expected));
}

static void report_failure(struct run *run, size_t index, const struct column *column,
                           const struct err *err)
{
    run->failures++;
    if (run->failures_of_type++ < 2)
        fprintf(stderr, "%s, column %.*s: %s\n", cases[index].type, SLICE_ARG(column->name),
                err->message);
}

static const struct relation *table_of(const struct run *run, size_t index)
{
    char name[32];
    int len = snprintf(name, sizeof name, "t_%zu", index);
    const struct relation *relation =
        relation_set_find(&run->catalog->relations, SLICE("public"), slice_of(name, (size_t)len));
    cr_assert(relation);
    return relation;
}

static struct pg_rows *expected_rows(struct run *run, size_t index)
{
    char sql[96];
    snprintf(sql, sizeof sql, "SELECT to_jsonb(t)::text FROM public.t_%zu t ORDER BY id", index);
    return query(run, sql);
}

/* As the bridge asks. */
static bool ask(void *context, const struct value_type *type, struct slice text,
                struct buffer *json, struct err *err)
{
    struct buffer sql = BUFFER_INIT, copy = BUFFER_INIT;
    buffer_add_slice(&copy, text);
    const char *parameter = buffer_str(&copy);
    buffer_printf(&sql, "SELECT to_json($1::%s)::text", type->name);
    struct pg_rows *rows = pg_query(context, err, buffer_str(&sql), 1, &parameter);
    if (rows)
        buffer_add_slice(json, pg_rows_slice(rows, 0, 0));
    pg_rows_free(rows);
    buffer_release(&sql);
    buffer_release(&copy);
    return rows != NULL;
}

static void check_copy(struct run *run, size_t index)
{
    const struct relation *relation = table_of(run, index);
    struct pg_rows *expected = expected_rows(run, index);
    const struct slice *fields;
    size_t field_count, row = 0;
    struct err err;
    struct buffer out = BUFFER_INIT;
    char sql[96];
    /* Another connection than the one that copies. */
    struct json_casts casts = {ask, run->asking};
    snprintf(sql, sizeof sql, "COPY (SELECT * FROM public.t_%zu ORDER BY id) TO STDOUT", index);
    cr_assert(pg_copy_begin(run->connection, &err, sql), "%s", err.message);
    while (pg_copy_next(run->connection, &fields, &field_count, &err) == PG_COPY_ROW) {
        cr_assert_eq(field_count, relation->column_count);
        for (size_t i = 0; i < field_count; i++) {
            const struct column *column = &relation->columns[i];
            buffer_clear(&out);
            if (!convert_text(&out, column->type, fields[i], &casts, &err))
                report_failure(run, index, column, &err);
            else
                compare(run, index, column, "copy", buffer_slice(&out),
                        json_member(pg_rows_slice(expected, row, 0), column->name));
        }
        row++;
    }
    cr_assert_eq(row, pg_rows_count(expected));
    buffer_release(&out);
    pg_rows_free(expected);
}

static void check_change(struct run *run, size_t index, const struct change *change,
                         struct slice expected)
{
    const struct relation *relation = table_of(run, index);
    struct json_casts casts = {ask, run->asking};
    struct buffer out = BUFFER_INIT, scratch = BUFFER_INIT;
    cr_assert_eq(change->column_count, relation->column_count);
    for (size_t i = 0; i < change->column_count; i++) {
        const struct column *column = &relation->columns[i];
        struct slice json;
        struct err err;
        cr_assert(slice_eq(json_text(change->columns[i].name, &scratch), column->name));
        buffer_clear(&out);
        if (!convert_token(&out, column->type, &change->columns[i].value, &scratch, &json, &casts,
                           &err))
            report_failure(run, index, column, &err);
        else
            compare(run, index, column, "wal2json", json, json_member(expected, column->name));
    }
    buffer_release(&out);
    buffer_release(&scratch);
}

/* What the slot has for one table, against its rows in the same order. */
static void check_changes(struct run *run, size_t index)
{
    struct change_decoder *decoder = change_decoder_new();
    char sql[512];
    struct pg_rows *expected = expected_rows(run, index);
    snprintf(
        sql, sizeof sql,
        "SELECT data FROM pg_logical_slot_get_changes('values', NULL, NULL,"
        " 'format-version', '2', 'include-types', '0', 'include-xids', '1', 'include-lsn', '1',"
        " 'add-tables', 'public.t_%zu')",
        index);
    struct pg_rows *messages = query(run, sql);
    size_t row = 1; /* the row with id 0 is the last one written */
    for (size_t i = 0; i < pg_rows_count(messages); i++) {
        struct change change;
        struct err err;
        cr_assert(change_decode(decoder, pg_rows_slice(messages, i, 0), &change, &err), "%s",
                  err.message);
        if (change.kind != CHANGE_INSERT)
            continue;
        size_t at = row < pg_rows_count(expected) ? row : 0;
        check_change(run, index, &change, pg_rows_slice(expected, at, 0));
        row++;
    }
    cr_assert_eq(row, pg_rows_count(expected) + 1);
    pg_rows_free(messages);
    pg_rows_free(expected);
    change_decoder_free(decoder);
}

static double seed_of_run(void)
{
    const char *given = getenv("WEIR_SEED");
    long seed = given ? atol(given) : (long)(time(NULL) ^ getpid());
    printf("seed %ld\n", seed);
    return (double)(seed % 1000000) / 1000000.0;
}

Test(events_values, are_what_to_jsonb_says)
{
    enum { COUNT = sizeof cases / sizeof *cases };
    struct run run = {.connection = NULL};
    struct err err;
    char sql[64];
    run.connection = pg_connect(getenv("WEIR_TEST_DB"), &err);
    cr_assert(run.connection, "%s", err.message);
    run.asking = pg_connect(getenv("WEIR_TEST_DB"), &err);
    cr_assert(run.asking, "%s", err.message);
    execute(&run, setup_sql);
    snprintf(sql, sizeof sql, "SELECT setseed(%f)", seed_of_run());
    execute(&run, sql);
    execute(&run, "CREATE PUBLICATION weir FOR TABLE weir.rules");
    for (size_t i = 0; i < COUNT; i++) {
        create_table(&run, i);
        snprintf(sql, sizeof sql, "ALTER PUBLICATION weir ADD TABLE t_%zu", i);
        execute(&run, sql);
    }
    execute(&run, "SET search_path = pg_catalog");
    run.catalog = catalog_load(run.connection, "weir", CATALOG_STRICT, &err);
    cr_assert(run.catalog, "%s", err.message);
    for (size_t i = 0; i < COUNT; i++) {
        execute(&run, "SELECT pg_create_logical_replication_slot('values', 'wal2json');"
                      "SET search_path = public, pg_catalog");
        run.failures_of_type = 0;
        fill_table(&run, i);
        execute(&run, "SET search_path = pg_catalog");
        check_copy(&run, i);
        check_changes(&run, i);
        execute(&run, "SELECT pg_drop_replication_slot('values')");
    }
    printf("%zu values of %d types; %zu NaN and infinities that the plugin left out\n",
           run.compared, (int)COUNT, run.lost_in_plugin);
    cr_assert_eq(run.failures, 0, "%zu values differ", run.failures);
    cr_assert(run.lost_in_plugin < run.compared / 100);
    catalog_free(run.catalog);
    pg_close(run.asking);
    pg_close(run.connection);
}

/* Whether a type that the page names in `...` is one of the cases above. */
static bool is_tested(struct slice type)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (slice_eq_str(type, cases[i].type))
            return true;
    }
    return false;
}

Test(events_values, every_type_of_the_page_is_tested)
{
    FILE *page = fopen(WEIR_TYPES_PAGE, "r");
    char line[2048];
    size_t found = 0;
    cr_assert(page, "%s", WEIR_TYPES_PAGE);
    while (fgets(line, sizeof line, page)) {
        char *end = *line == '|' ? strchr(line + 1, '|') : NULL;
        if (!end)
            continue;
        *end = '\0';
        for (char *at = strchr(line, '`'); at; at = strchr(at, '`')) {
            char *close = strchr(at + 1, '`');
            cr_assert(close);
            struct slice type = slice_of(at + 1, (size_t)(close - at - 1));
            cr_assert(is_tested(type), "%.*s", SLICE_ARG(type));
            found++;
            at = close + 1;
        }
    }
    fclose(page);
    cr_assert(found > 50, "%zu types found", found);
}
