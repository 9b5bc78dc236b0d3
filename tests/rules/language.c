/* The rule language construct by construct: what is refused and in which words, and what is taken
 * as Postgres takes it. Random rules are the business of differential.c.
 *
 * A plain program beside a cluster. */
#include "oracle.h"

#include "weir/base/check.h"

#include <stdio.h>

static const char setup_sql[] =
    "CREATE TYPE public.mood AS ENUM ('sad', 'middling', 'ok');"
    "CREATE COLLATION public.english (provider = icu, locale = 'en');"
    "CREATE COLLATION public.loose (provider = icu, locale = 'und-u-ks-level2',"
    "                               deterministic = false);"
    "CREATE SCHEMA far;"
    "CREATE FUNCTION far.differs(text, text) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1 <> $2';"
    "CREATE OPERATOR far.= (FUNCTION = far.differs, LEFTARG = text, RIGHTARG = text);"
    "CREATE DOMAIN public.cents AS numeric(10, 2);"
    "CREATE SCHEMA app;"
    "CREATE TABLE app.docs (id int PRIMARY KEY, owner text, big bigint, n numeric, c char(4),"
    " v varchar(9), r real, f float8, b bool, d date, t timestamp, tz timestamptz, u uuid,"
    " m public.mood, x bytea, j jsonb, old json, tags text[], ids int[], addr inet,"
    " loose text COLLATE public.loose, price public.cents, note public.cents,"
    " english text COLLATE public.english, span interval);"
    "CREATE TABLE app.members (doc int, member text, role text, id int, PRIMARY KEY (doc, member));"
    "CREATE TABLE app.hidden (id int PRIMARY KEY, member text);"
    "CREATE TABLE public.hidden (id int PRIMARY KEY, member text);"
    "CREATE TABLE public.people (id text PRIMARY KEY, age int);"
    "INSERT INTO app.docs VALUES"
    " (1, 'ana', 1, 1.50, 'ab', 'ab', 0.1, 0.1, true, '2026-01-01', '2026-01-01', '2026-01-01',"
    "  '00000000-0000-0000-0000-00000000000a', 'ok', '\\x00ff', '{\"a\": \"ana\", \"n\": 1.50}',"
    "  '{}', '{ana,bo}', '{1,NULL}', '10.0.0.1', 'ANA', 1.23, NULL, 'B'),"
    " (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,"
    "  NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),"
    " (3, 'bo', 7, 7, 'ab ', 'ab ', 7, 7, false, 'infinity', '2026-01-01 10:00', '-infinity',"
    "  '00000000-0000-0000-0000-00000000000b', 'sad', '', '\"ana\"', '[1]', '{}', '{}', '::1', 'x',"
    "  2, 7, 'a');"
    "CREATE TABLE app.papers (id int PRIMARY KEY, old json, new jsonb);"
    "INSERT INTO app.papers (id, old) VALUES (1, '{\"a\": \"ana\", \"b\": true, \"n\": 1e1}'), (2, NULL),"
    " (3, 'null'), (4, '{\"a\": 1, \"a\": \"ana\"}'), (5, '{\"a\": \"ana\", \"a\": 1.0}'),"
    " (6, '{\"a\": \"ana\", \"a\": null}'), (7, '{\"\\u0061\": \"\\u0061na\", \"b\": \"tr\\u00fc\"}'),"
    " (8, '[\"ana\", {\"a\": \"ana\"}, [], 1E2]'), (9, '\"ana\"'), (10, '7'), (11, '{}'),"
    " (12, '{\"a\": {\"b\" : 1, \"b\":\"ana\"}}'), (13, '{\"a\": {\"b\": 1}, \"a\": 5}'), (14, '[]'),"
    " (15, '{\"a\": \"00000000-0000-0000-0000-00000000000a\", \"b\": false}'),"
    " (16, '{\"a\": \"\", \"b\": \"2026-01-01\"}'), (17, '{\"a\":[ \"ana\" ],\"b\":-0}'),"
    " (18, ' [ null , \"ana\" ] '), (19, '{\"a\": \"{\\\"b\\\": 1}\", \"b\": \"NULL\"}');"
    "UPDATE app.papers SET new = old::jsonb;"
    "INSERT INTO app.members VALUES (1, 'ana', 'owner', 7), (1, 'bo', 'banned', 8),"
    " (3, 'cy', NULL, 9);"
    "INSERT INTO public.hidden VALUES (1, 'cy');"
    "INSERT INTO public.people VALUES ('ana', 30), ('bo', NULL), ('cy', 50), ('7', 7)";

struct language_case {
    const char *audience; /* of app.docs */
    const char *reason; /* part of why it is refused; NULL: taken, and answered as Postgres does */
};

static const struct language_case cases[] = {
    /* The whole */
    {"SELECT 'a' UNION SELECT docs.owner UNION ALL SELECT docs.id::text", NULL},
    {"SELECT DISTINCT p.id FROM people p", NULL},
    {"SELECT '007' UNION SELECT docs.id", NULL},
    {"SELECT 1.50 UNION SELECT docs.id", NULL},
    {"SELECT 1e3", NULL},
    {"SELECT true", NULL},
    {"SELECT NULL UNION SELECT docs.n", NULL},
    {"SELECT 5 UNION ALL SELECT docs.n", NULL},
    {"SELECT 5 UNION SELECT docs.n", "DISTINCT or UNION of subjects of type numeric"},
    {"SELECT 1.0 UNION SELECT docs.id", "DISTINCT or UNION of subjects of type numeric"},
    {"SELECT DISTINCT docs.n", NULL},
    {"SELECT DISTINCT d.n FROM docs d", "DISTINCT or UNION of subjects of type numeric"},
    {"SELECT DISTINCT d.n::text FROM docs d", NULL},
    {"SELECT 'ab  ' UNION SELECT docs.c", NULL},
    {"SELECT docs.d UNION SELECT docs.t", "a UNION of date and timestamp without time zone"},
    {"SELECT docs.c UNION SELECT docs.v", "a UNION of character and character varying"},
    {"SELECT DISTINCT d.span FROM docs d", "DISTINCT or UNION of subjects of type interval"},
    {"SELECT DISTINCT docs.span", NULL},
    {"SELECT d.span FROM docs d", NULL},
    {"SELECT DISTINCT d.loose FROM docs d",
     "by collation loose is not supported: it is not deterministic"},
    {"SELECT 'ana' UNION SELECT docs.loose",
     "by collation loose is not supported: it is not deterministic"},
    {"SELECT DISTINCT d.loose COLLATE \"C\" FROM docs d", NULL},
    {"SELECT d.loose FROM docs d UNION ALL SELECT 'ana'", NULL},
    {"SELECT DISTINCT ON (p.id) p.id FROM people p", "DISTINCT ON"},
    {"VALUES ('ana')", "VALUES"},
    {"SELECT id FROM people EXCEPT SELECT member FROM members", "INTERSECT and EXCEPT"},
    {"WITH w AS (SELECT id FROM people) SELECT id FROM w", "WITH"},
    {"SELECT p.id FROM people p GROUP BY p.id", "GROUP BY and HAVING"},
    {"SELECT p.id FROM people p ORDER BY p.id", "ORDER BY"},
    {"SELECT p.id FROM people p LIMIT 1", "LIMIT and OFFSET"},
    {"SELECT p.id FROM people p FOR SHARE", "FOR UPDATE and its like"},
    {"SELECT p.id FROM people p WINDOW w AS (ORDER BY p.id)", "WINDOW"},
    /* FROM */
    {"SELECT m.member FROM members m CROSS JOIN people p WHERE m.doc = docs.id AND p.id = m.member",
     NULL},
    {"SELECT a.member FROM members a JOIN members b USING (doc) WHERE doc = docs.id", NULL},
    {"SELECT a.member FROM members a JOIN members b USING (doc, id) JOIN public.hidden h USING (id) WHERE id = docs.id",
     NULL},
    /* Of numeric(9, 2) and numeric Postgres reads the second, which has the length of both: 1 and
       not 1.00. */
    {"SELECT n FROM docs a JOIN docs b USING (n) WHERE a.id = docs.id",
     "column n may be either table's after USING"},
    {"SELECT b.n FROM docs a JOIN docs b USING (n) JOIN docs c USING (n) WHERE a.id = docs.id",
     NULL},
    {"SELECT owner FROM docs a JOIN docs b USING (owner) WHERE a.id = docs.id", NULL},
    {"SELECT members.member FROM app.members WHERE app.members.doc = app.docs.id", NULL},
    {"SELECT docs.owner FROM docs", NULL},
    {"SELECT o.owner FROM docs o WHERE o.id > docs.id", NULL},
    /* ON does not see members, which stands outside of its join. */
    {"SELECT m.role FROM members m, people p JOIN public.hidden h ON member = p.id", NULL},
    {"SELECT m.member FROM members m LEFT JOIN people p ON p.id = m.member", "an outer join"},
    {"SELECT m.member FROM members m NATURAL JOIN docs o", "NATURAL JOIN"},
    {"SELECT x.member FROM (SELECT member FROM members) x", "a subquery in FROM"},
    {"SELECT g::text FROM generate_series(1, 3) g", "anything but tables and joins in FROM"},
    {"SELECT p.id FROM ONLY people p", NULL},
    {"SELECT p.a FROM people AS p(a)", "an alias with column names"},
    {"SELECT h.member FROM hidden h", "table hidden is not in the publication"},
    {"SELECT h.member FROM public.hidden h WHERE h.id = docs.id", NULL},
    {"SELECT p.xmin::text FROM people p", "xmin is a system column, which is in no published row"},
    {"SELECT p.id FROM people p WHERE ctid = ctid", "ctid is a system column"},
    {"SELECT p.id FROM people p WHERE p.id OPERATOR(pg_catalog.=) docs.owner",
     "the operator pg_catalog.= is not supported"},
    {"SELECT p.id OPERATOR(pg_catalog.||) docs.owner FROM people p",
     "the operator pg_catalog.|| is not supported"},
    {"SELECT docs::text", "column docs is not known"},
    /* Values */
    {"SELECT docs.addr", "a subject of type inet"},
    {"SELECT docs.f", "a subject of type double precision"},
    {"SELECT docs.j", "a subject of type jsonb"},
    {"SELECT docs.tags", "a subject of type text[]"},
    {"SELECT docs.n::text || '/' || docs.id", NULL},
    {"SELECT docs.tz", NULL},
    {"SELECT docs.c", NULL},
    {"SELECT docs.x", NULL},
    {"SELECT docs.m", NULL},
    {"SELECT docs.j ->> 'a'", NULL},
    {"SELECT docs.j ->> 0", NULL},
    {"SELECT docs.j -> 'n' ->> -1", NULL},
    {"SELECT docs.j -> 'a'", "-> without ->> as its last step"},
    /* Of json, what hangs on how a number or a document was written is not known. */
    {"SELECT docs.old ->> 'a'", "->> on a json column, where"},
    {"SELECT docs.old ->> 'a' || 'x'", "->> on a json column, where"},
    {"SELECT coalesce(docs.old ->> 'a', 'x')", "->> on a json column, where"},
    {"SELECT 'x' WHERE coalesce(docs.old ->> 'a', 'x') = 'x'", "->> on a json column, where"},
    {"SELECT p.id FROM people p WHERE p.id = docs.old ->> 'a'", "->> on a json column, where"},
    {"SELECT p.id FROM people p WHERE p.id IN ('x', docs.old ->> 'a')",
     "->> on a json column, where"},
    {"SELECT p.id FROM people p WHERE p.id IN (SELECT a.old ->> 'a' FROM papers a)",
     "->> on a json column, where"},
    {"SELECT p.id FROM people p WHERE docs.old ->> 'a' IN (SELECT 'ana')",
     "->> on a json column, where"},
    {"SELECT 'x' WHERE docs.old ->> 'a' = docs.id::text", "->> on a json column, where"},
    {"SELECT 'x' WHERE docs.old ->> 'a' = docs.old ->> 'a'", "->> on a json column, where"},
    {"SELECT 'x' WHERE docs.old ->> 'a' = '7'", "->> on a json column, where"},
    {"SELECT 'x' WHERE docs.old ->> 'a' <> '{}'", "->> on a json column, where"},
    {"SELECT 'x' WHERE docs.old ->> 'a' = '-0'", "->> on a json column, where"},
    {"SELECT 'x' WHERE docs.old ->> 'a' IN ('x', '[]')", "->> on a json column, where"},
    {"SELECT 'x' WHERE docs.old ->> 'a' = ANY ('{x,7}')", "->> on a json column, where"},
    {"SELECT 'x' WHERE docs.old ->> 'a' = ANY (docs.tags)", "->> on a json column, where"},
    {"SELECT 'x' WHERE docs.old ->> 'a' < 'x'", "->> on a json column, where"},
    {"SELECT 'x' WHERE docs.old ->> 'a' BETWEEN 'x' AND 'y'", "->> on a json column, where"},
    {"SELECT 'x' WHERE docs.old ->> 'a' LIKE 'x%'", "->> on a json column, where"},
    {"SELECT 'x' WHERE docs.old ->> 'a' IS DISTINCT FROM 'x'", "->> on a json column, where"},
    {"SELECT p.id FROM papers p WHERE p.old ->> 'a' = 'ana'", NULL},
    {"SELECT p.id FROM papers p WHERE p.old ->> 'a' <> 'ana'", NULL},
    {"SELECT p.id FROM papers p WHERE NOT ('ana' = p.old ->> 'a')", NULL},
    {"SELECT p.id FROM papers p WHERE p.old ->> 'a' IS NULL", NULL},
    {"SELECT p.id FROM papers p WHERE p.old ->> 'a' IS NOT NULL", NULL},
    {"SELECT p.id FROM papers p WHERE p.old -> 'a' IS NULL", NULL},
    {"SELECT p.id FROM papers p WHERE p.old -> 'a' IS NOT NULL", NULL},
    {"SELECT p.id FROM papers p WHERE p.old -> 'a' -> 'b' IS NULL", NULL},
    {"SELECT p.id FROM papers p WHERE p.old -> 0 IS NULL", NULL},
    {"SELECT p.id FROM papers p WHERE p.old -> -1 IS NOT NULL", NULL},
    {"SELECT p.id FROM papers p WHERE p.old -> 'a' -> 0 IS NULL", NULL},
    {"SELECT p.id FROM papers p WHERE p.old -> 'a' ->> 'b' = 'ana'", NULL},
    {"SELECT p.id FROM papers p WHERE p.old -> 'a' ->> 'b' <> 'ana'", NULL},
    {"SELECT p.id FROM papers p WHERE p.old ->> 0 = 'ana' OR p.old -> 1 ->> 'a' = 'ana'", NULL},
    {"SELECT p.id FROM papers p WHERE p.old ->> -1 = 'ana' OR p.old -> 'a' ->> 0 = 'ana'", NULL},
    {"SELECT p.id FROM papers p WHERE p.old ->> 0 <> 'ana'", NULL},
    {"SELECT p.id FROM papers p WHERE p.old ->> 'b' IN ('true', 'false', 'NULL', NULL)", NULL},
    {"SELECT p.id FROM papers p WHERE p.old ->> 'b' NOT IN ('true', 'tr\u00fc', '')", NULL},
    {"SELECT p.id FROM papers p WHERE p.old ->> 'b' = docs.b::text OR p.old ->> 'a' = docs.u::text",
     NULL},
    {"SELECT p.id FROM papers p WHERE p.old ->> 'a' <> docs.u::text OR p.old ->> 'b' = docs.d::text",
     NULL},
    {"SELECT p.id FROM papers p WHERE p.old ->> 'a' = ANY (ARRAY['ana', ''])", NULL},
    {"SELECT p.id FROM papers p WHERE p.old ->> 'a' <> ALL ('{ana,\"\"}')", NULL},
    {"SELECT p.id FROM papers p WHERE (p.old ->> 'a', p.id) = ('ana', 4)", NULL},
    {"SELECT p.id FROM papers p WHERE p.new -> 'a' IS NULL", NULL},
    {"SELECT p.id FROM papers p WHERE p.new -> 'a' -> 'b' IS NOT NULL AND p.new -> 'a' -> 0 IS NULL",
     NULL},
    {"SELECT p.id FROM papers p WHERE p.new -> 0 IS NULL", "-> with an index as its first step"},
    {"SELECT docs.j ->> docs.owner", "-> and ->> with anything but a constant key"},
    {"SELECT docs.j #>> '{a}'", "the operator #>>"},
    {"SELECT docs.c || 'x'", "|| of anything but text, integers and uuids"},
    {"SELECT lower(docs.owner)", "the function lower"},
    {"SELECT (SELECT 'ana')", "a subquery as a value"},
    {"SELECT coalesce(docs.owner, 'x')", NULL},
    {"SELECT coalesce(docs.v, docs.owner)", NULL},
    {"SELECT coalesce(NULL, docs.n, docs.id, 1.50)", NULL},
    {"SELECT coalesce(docs.owner, 'never', docs.v)", NULL},
    {"SELECT coalesce(p.id, 'x') FROM people p UNION SELECT coalesce(docs.c, 'ab  ')",
     "a UNION of text and character"},
    {"SELECT coalesce('x', 'y')", "COALESCE of constants only"},
    {"SELECT coalesce(docs.j, '{}')", "COALESCE of jsonb"},
    {"SELECT coalesce(docs.d, docs.t)", "COALESCE of date and timestamp"},
    {"SELECT docs.owner || coalesce(docs.v, '')", "COALESCE"},
    {"SELECT coalesce(m.role, m.member) FROM members m WHERE m.doc = docs.id", NULL},
    {"SELECT p.id FROM people p WHERE p.id IN (SELECT coalesce(m.role, m.member) FROM members m)",
     NULL},
    {"SELECT p.id FROM people p WHERE p.id NOT IN (SELECT coalesce(m.role, NULL) FROM members m WHERE m.doc = docs.id)",
     NULL},
    {"SELECT p.id FROM people p WHERE p.id NOT IN (SELECT coalesce(m.role, m.member) FROM members m WHERE m.doc = docs.id)",
     NULL},
    {"SELECT CASE WHEN docs.b THEN 'x' END", "CASE"},
    {"SELECT current_user", "a value that changes"},
    {"SELECT docs.id + 1", "the operator +"},
    {"SELECT docs.tags[1]", "a subscript or a field of a value"},
    {"SELECT greatest(docs.id, 1)", "GREATEST or LEAST"},
    {"SELECT nullif(docs.owner, 'ana')", "NULLIF"},
    {"SELECT docs.id = 1", "a condition as a value"},
    {"SELECT EXISTS (SELECT 1 FROM people)", "a condition as a value"},
    {"SELECT docs.b IS NULL", "a condition as a value"},
    {"SELECT NOT docs.b", "a condition as a value"},
    {"SELECT 'ok'::mood", "a subject cast to a type of the application's"},
    {"SELECT docs.b::int", "a cast of a column to another type than text"},
    {"SELECT docs.f::text", "a cast of double precision to text"},
    /* Comparisons */
    {"SELECT 'x' WHERE docs.c = 'ab  '", NULL},
    {"SELECT 'x' WHERE docs.c = 'ab  '::text", NULL},
    {"SELECT 'x' WHERE docs.c = 'ab'::text", NULL},
    {"SELECT 'x' WHERE docs.c IN ('ab  ', 'x')", NULL},
    {"SELECT 'x' WHERE docs.c = ANY (ARRAY['ab  '])", "compared with as text"},
    {"SELECT 'x' WHERE docs.c = ANY (ARRAY['ab  '::bpchar, 'x'::bpchar, NULL])", NULL},
    {"SELECT 'x' WHERE docs.n >= ('-1'::integer)::numeric AND docs.f <= 7::float8", NULL},
    {"SELECT 'x' WHERE docs.n = '1.5'::numeric::int", "a cast of a cast"},
    {"SELECT 'x' WHERE docs.c = docs.v", "comparing character with character varying"},
    {"SELECT 'x' WHERE docs.c::text = docs.v", NULL},
    {"SELECT 'x' WHERE docs.c = docs.owner", NULL},
    {"SELECT 'x' WHERE docs.r = 0.1", "comparing real with this number"},
    {"SELECT 'x' WHERE docs.r = '0.1'", NULL},
    {"SELECT 'x' WHERE docs.r = '0.1'::real", NULL},
    {"SELECT 'x' WHERE docs.r < 7.0 OR docs.r >= 7", "comparing real with this number"},
    {"SELECT 'x' WHERE docs.r >= 7", NULL},
    {"SELECT 'x' WHERE docs.f = 0.1", NULL},
    {"SELECT 'x' WHERE docs.f = docs.r", "comparing double precision with real"},
    {"SELECT 'x' WHERE docs.f = docs.n", "comparing double precision with numeric"},
    {"SELECT 'x' WHERE docs.price = '1.234'", NULL},
    {"SELECT 'x' WHERE docs.price = 1.234 OR docs.note = 7.00", NULL},
    {"SELECT 'x' WHERE docs.n = '1.7'::numeric(1, 0)", "to an array or with a length"},
    {"SELECT 'x' WHERE docs.id = 1.5 OR docs.id = '3' OR docs.n = 0150e-2", NULL},
    {"SELECT 'x' WHERE docs.d = 'today'", "a date or time that moves"},
    {"SELECT 'x' WHERE docs.tz > 'Now'::timestamptz", "a date or time that moves"},
    {"SELECT 'x' WHERE docs.d = '2026-01-01 10:00'::timestamp", "comparing date with timestamp"},
    {"SELECT 'x' WHERE docs.d < docs.t", "comparing date with timestamp"},
    {"SELECT 'x' WHERE docs.d > date 'Jan 1, 2025'", NULL},
    {"SELECT 'x' WHERE docs.t = timestamp '2026-01-01 10:00'", NULL},
    {"SELECT 'x' WHERE docs.m = 'ok'::public.mood OR docs.m = 'sad'", NULL},
    {"SELECT 'x' WHERE docs.u < '00000000-0000-0000-0000-00000000000B'", NULL},
    {"SELECT 'x' WHERE docs.x > '\\x00' OR docs.x = ''", NULL},
    /* The cluster's collation is "C". */
    {"SELECT 'x' WHERE docs.owner < 'b'", NULL},
    {"SELECT 'x' WHERE docs.owner BETWEEN 'an' AND docs.v OR docs.c > 'ab  ' OR docs.c < docs.owner",
     NULL},
    {"SELECT 'x' WHERE docs.english < 'b'", "< or > on texts by collation english"},
    {"SELECT 'x' WHERE docs.owner >= docs.english", "< or > on texts by collation english"},
    {"SELECT 'x' WHERE docs.english || docs.owner < 'x'", "< or > on texts by collation english"},
    {"SELECT 'x' WHERE docs.english COLLATE \"C\" < 'b' OR docs.owner > docs.english COLLATE \"POSIX\"",
     NULL},
    {"SELECT 'x' WHERE docs.english COLLATE \"C\" || docs.owner < 'x'", NULL},
    {"SELECT 'x' WHERE docs.english = 'B' OR docs.english COLLATE \"C\" IN ('a', 'b')", NULL},
    {"SELECT 'x' WHERE docs.owner COLLATE public.english < 'b'", "COLLATE \"english\""},
    {"SELECT 'x' WHERE docs.j ->> 'a' < 'b' OR docs.id::text < '2'", NULL},
    {"SELECT 'x' WHERE docs.m < 'sad'", NULL},
    {"SELECT 'x' WHERE docs.m BETWEEN 'ok' AND 'middling' OR 'sad' < docs.m", NULL},
    {"SELECT 'x' WHERE docs.m NOT BETWEEN 'middling' AND 'sad'", NULL},
    {"SELECT 'x' WHERE docs.loose = 'ana'",
     "by collation loose is not supported: it is not deterministic"},
    {"SELECT 'x' WHERE docs.loose || '' = 'ana'",
     "by collation loose is not supported: it is not deterministic"},
    {"SELECT 'x' WHERE docs.loose IN ('ana')", "by collation loose is not supported"},
    {"SELECT 'x' WHERE docs.owner = docs.loose", "by collation loose is not supported"},
    {"SELECT 'x' WHERE docs.loose COLLATE \"C\" = 'ana' OR docs.loose COLLATE \"C\" = 'ANA'", NULL},
    {"SELECT 'x' WHERE docs.j = '{}'", "comparing values of jsonb"},
    {"SELECT 'x' WHERE docs.addr = '10.0.0.1'", "comparing values of inet"},
    {"SELECT 'x' WHERE docs.owner LIKE 'a%'", NULL},
    {"SELECT 'x' WHERE docs.owner NOT LIKE '_o' OR NOT docs.v LIKE '%b'", NULL},
    {"SELECT p.id FROM people p WHERE docs.j ->> 'a' LIKE 'a_a' AND p.id NOT LIKE '%y'", NULL},
    {"SELECT p.id FROM people p WHERE p.id LIKE docs.owner",
     "LIKE with anything but a constant pattern"},
    {"SELECT 'x' WHERE docs.owner LIKE NULL", "LIKE with anything but a constant pattern"},
    {"SELECT 'x' WHERE docs.owner LIKE 'a!%' ESCAPE '!'", "the function like_escape"},
    {"SELECT 'x' WHERE docs.c LIKE 'a%'", "LIKE of anything but text"},
    {"SELECT 'x' WHERE docs.loose COLLATE \"C\" LIKE 'A%'", NULL},
    {"SELECT 'x' WHERE docs.owner ILIKE 'a%'", "ILIKE"},
    {"SELECT 'x' WHERE COALESCE(docs.b, false)", NULL},
    {"SELECT 'x' WHERE NOT COALESCE(docs.b, true)", NULL},
    {"SELECT 'x' WHERE COALESCE(docs.b, docs.b, true) IS NOT TRUE", NULL},
    {"SELECT 'x' WHERE COALESCE(docs.owner, 'ana') = 'ana'", NULL},
    {"SELECT 'x' WHERE NOT (COALESCE(docs.owner, 'ana') <> 'ana')", NULL},
    {"SELECT 'x' WHERE COALESCE(docs.owner, docs.v) = COALESCE(docs.v, 'zz', docs.owner)", NULL},
    {"SELECT 'x' WHERE NOT COALESCE(docs.owner, docs.v) = COALESCE(docs.v, docs.owner)", NULL},
    {"SELECT p.id FROM people p WHERE p.id = COALESCE(docs.v, docs.owner)", NULL},
    {"SELECT p.id FROM people p WHERE p.age BETWEEN COALESCE(docs.id, 1) AND COALESCE(docs.big, 40)",
     NULL},
    {"SELECT 'x' WHERE COALESCE(docs.n, 0) > 1 OR COALESCE(docs.n, 0) = 0.0", NULL},
    {"SELECT 'x' WHERE COALESCE(docs.n, 0) > -1 AND COALESCE(docs.d, '2025-01-01') < '2025-12-31'",
     NULL},
    {"SELECT 'x' WHERE COALESCE(docs.m, 'ok') > 'middling' OR COALESCE(docs.v, 'B') < 'a'", NULL},
    {"SELECT 'x' WHERE COALESCE(docs.n, 0) > NULL", "a comparison of two constants"},
    {"SELECT 'x' WHERE COALESCE(docs.m, 'ok') = 'ok'", NULL},
    {"SELECT 'x' WHERE COALESCE(docs.c, 'ab') = 'ab  '", NULL},
    {"SELECT 'x' WHERE COALESCE(docs.owner, docs.v) IS NULL", NULL},
    {"SELECT 'x' WHERE COALESCE(docs.owner, docs.v) IS NOT NULL AND COALESCE(docs.v, 'q') IS NOT NULL",
     NULL},
    {"SELECT 'x' WHERE COALESCE(docs.owner, 'q') IN ('bo', 'q')", NULL},
    {"SELECT 'x' WHERE COALESCE(docs.owner, docs.v) NOT IN ('bo', 'q', NULL)", NULL},
    {"SELECT 'x' WHERE NOT COALESCE(docs.owner, 'q') NOT IN ('bo', 'q')", NULL},
    {"SELECT 'x' WHERE COALESCE(docs.owner, 'q') IS DISTINCT FROM 'q'", "COALESCE"},
    {"SELECT 'x' WHERE docs.owner ~~ 'a%' OR docs.v !~~ 'a%'::text", NULL},
    {"SELECT docs.j ->> 'a'::text", NULL},
    {"SELECT docs.j ->> 'a'::name", "-> and ->> with anything but a constant key"},
    {"SELECT 'x' WHERE docs.owner ~ 'a'", "the operator ~"},
    {"SELECT 'x' WHERE 1 = 1", "a comparison of two constants"},
    {"SELECT 'x' WHERE docs.id BETWEEN SYMMETRIC 3 AND 1", "BETWEEN SYMMETRIC"},
    {"SELECT 'x' WHERE docs.owner SIMILAR TO 'a%'", "SIMILAR TO"},
    {"SELECT 'x' WHERE (docs.id = 1) = docs.b", "a condition as a value"},
    {"SELECT p.id FROM people p WHERE (p.id = docs.owner) IS NULL", NULL},
    {"SELECT p.id FROM people p WHERE (p.id IN (docs.owner, NULL)) IS NOT NULL", NULL},
    {"SELECT p.id FROM people p WHERE (p.age BETWEEN docs.id AND NULL) IS NULL", NULL},
    {"SELECT p.id FROM people p WHERE (p.id NOT IN (SELECT m.member FROM members m WHERE m.doc = docs.id)) IS NULL",
     NULL},
    {"SELECT p.id FROM people p WHERE (p.id = ANY (docs.tags) AND docs.b) IS NULL", NULL},
    {"SELECT p.id FROM people p WHERE NOT ((docs.b IS NULL) IS NULL)", NULL},
    {"SELECT 'x' WHERE docs.id NOT BETWEEN 2 AND 3", NULL},
    {"SELECT 'x' WHERE docs.owner IN (docs.v)", NULL},
    {"SELECT p.id FROM people p WHERE p.id IN (docs.owner, docs.v, 'cy')", NULL},
    {"SELECT p.id FROM people p WHERE p.id NOT IN (docs.owner, docs.v, 'cy', 'dy')", NULL},
    {"SELECT p.id FROM people p WHERE NOT p.id IN (docs.owner, 'cy', NULL)", NULL},
    {"SELECT p.id FROM people p WHERE p.id = ANY (ARRAY[docs.owner, docs.v, 'cy'])", NULL},
    {"SELECT p.id FROM people p WHERE p.id <> ALL (ARRAY[docs.owner, docs.v])", NULL},
    {"SELECT p.id FROM people p WHERE p.age IN (docs.id, docs.big, 30)", NULL},
    {"SELECT 'x' WHERE docs.c IN (docs.owner, 'ab')", NULL},
    {"SELECT 'x' WHERE docs.c = ANY (ARRAY[docs.owner])", "compared with as text"},
    {"SELECT 'x' WHERE docs.d IN (docs.t)", "comparing date with timestamp"},
    {"SELECT p.id FROM people p WHERE p.id = ANY (docs.tags)", NULL},
    {"SELECT p.id FROM people p WHERE NOT (p.age = ANY (docs.ids))", NULL},
    {"SELECT p.id FROM people p WHERE p.id <> ALL (docs.tags)", NULL},
    {"SELECT p.id FROM people p WHERE NOT p.age <> ALL (docs.ids)", NULL},
    {"SELECT p.id FROM people p WHERE p.age > ALL (docs.ids)", "ALL with an operator other than"},
    {"SELECT 'x' WHERE docs.id <> ALL (ARRAY[1, NULL]) OR docs.v <> ALL (ARRAY['ab', 'x'])", NULL},
    {"SELECT 'x' WHERE docs.v::text = ANY ((ARRAY['ab'::varchar, 'x'::varchar])::text[])", NULL},
    {"SELECT p.id FROM people p WHERE p.id = ANY ('{ana,bo}')", NULL},
    {"SELECT p.id FROM people p WHERE p.id <> ALL ('{ana,NULL}') OR p.id <> ALL ('{{ana,bo},{cy,x}}'::text[])",
     NULL},
    {"SELECT 'x' WHERE docs.id = ANY ('{01, 3}') OR docs.n = ANY ('{1.5,NULL}'::numeric[])", NULL},
    {"SELECT 'x' WHERE docs.m = ANY ('{ok}') OR docs.c = ANY ('{\"ab \"}') OR docs.d = ANY ('{infinity,\"Jan 1, 2026\"}')",
     NULL},
    {"SELECT 'x' WHERE docs.tz = ANY ('{-infinity,2026-01-01 00:00+00}'::timestamptz[]) OR docs.u = ANY ('{}')",
     NULL},
    {"SELECT 'x' WHERE docs.c = ANY ('{ab}'::text[])", "compared with as text"},
    {"SELECT 'x' WHERE docs.d = ANY ('{today}')", "a date or time that moves"},
    {"SELECT 'x' WHERE docs.m = ANY ('{ok}'::mood[])", NULL},
    {"SELECT 'x' WHERE docs.m <> ALL ('{ok,NULL}'::public.mood[])", NULL},
    {"SELECT 'x' WHERE docs.m = ANY (ARRAY['ok', NULL]::mood[]) OR docs.m <> ALL (ARRAY['sad']::mood[])",
     NULL},
    {"SELECT 'x' WHERE docs.m = ANY (ARRAY['ok'::mood, 'sad'])", NULL},
    {"SELECT 'x' WHERE docs.u = ANY (ARRAY['00000000-0000-0000-0000-00000000000A', NULL]::uuid[])",
     NULL},
    {"SELECT 'x' WHERE docs.id = ANY (ARRAY[1, 4]::bigint[]) OR docs.n <> ALL (ARRAY[1.5, 2]::numeric[])",
     NULL},
    {"SELECT 'x' WHERE docs.d = ANY (ARRAY['infinity', 'Jan 1, 2026']::date[])", NULL},
    {"SELECT 'x' WHERE docs.owner = ANY (ARRAY['ana']::varchar[]) OR docs.v = ANY (ARRAY['ab']::varchar[])",
     NULL},
    {"SELECT 'x' WHERE docs.c = ANY (ARRAY['ab  ']::bpchar[])", NULL},
    {"SELECT 'x' WHERE docs.c = ANY (ARRAY['ab  ']::varchar[])", "compared with as text"},
    {"SELECT 'x' WHERE docs.c = ANY (ARRAY['ab  ']::char(3)[])", "with a length"},
    {"SELECT 'x' WHERE docs.r = ANY (ARRAY[0.1]::float8[])",
     "comparing real with double precision"},
    {"SELECT 'x' WHERE docs.r = ANY (ARRAY[0.1]::real[])", NULL},
    {"SELECT 'x' WHERE docs.id = ANY (ARRAY[1, docs.big]::bigint[])",
     "a cast of ARRAY[...] with columns in it"},
    {"SELECT 'x' WHERE docs.d = ANY (ARRAY['today']::date[])", "a date or time that moves"},
    {"SELECT 'x' WHERE docs.v = ANY (string_to_array('1', ','))", "ANY of anything but"},
    {"SELECT p.id FROM people p WHERE 'ana' = ANY (docs.tags) AND p.id = docs.j ->> 'a'", NULL},
    {"SELECT 'x' WHERE docs.owner IS DISTINCT FROM 'ana'", NULL},
    {"SELECT 'x' WHERE NOT (docs.owner IS NOT DISTINCT FROM docs.v)", NULL},
    {"SELECT 'x' WHERE docs.owner IS DISTINCT FROM NULL", NULL},
    /* Conditions */
    {"SELECT 'x' WHERE docs.b", NULL},
    {"SELECT 'x' WHERE NOT docs.b", NULL},
    {"SELECT 'x' WHERE docs.b IS UNKNOWN", NULL},
    {"SELECT 'x' WHERE (docs.n > 2) IS NOT TRUE", NULL},
    {"SELECT 'x' WHERE ((docs.n > 2) IS FALSE) IS NOT UNKNOWN", NULL},
    {"SELECT 'x' WHERE NULL", "a constant other than true and false"},
    {"SELECT 'x' WHERE docs.j IS NULL", "IS NULL on a composite or JSON column"},
    {"SELECT 'x' WHERE docs.j IS NOT NULL", "IS NULL on a composite or JSON column"},
    {"SELECT 'x' WHERE docs.old IS NULL", "IS NULL on a composite or JSON column"},
    {"SELECT 'x' WHERE docs.j IS DISTINCT FROM NULL", "jsonb"},
    {"SELECT 'x' WHERE docs.j = docs.j", "jsonb"},
    {"SELECT 'x' WHERE (docs.j ->> 'a') IS NULL", NULL},
    {"SELECT 'x' WHERE (docs.owner || docs.v) IS NOT NULL", NULL},
    {"SELECT p.id FROM people p WHERE NOT EXISTS (SELECT FROM members m WHERE m.member = p.id"
     " AND m.doc = docs.id LIMIT 1)",
     NULL},
    {"SELECT p.id FROM people p WHERE EXISTS (SELECT * FROM members m WHERE m.member = p.id"
     " ORDER BY m.doc)",
     NULL},
    {"SELECT p.id FROM people p WHERE EXISTS (SELECT 1 FROM members m LIMIT 0)",
     "LIMIT and OFFSET"},
    {"SELECT p.id FROM people p WHERE EXISTS (SELECT 1 FROM members m OFFSET 1)",
     "LIMIT and OFFSET"},
    {"SELECT p.id FROM people p WHERE EXISTS (SELECT count(*) FROM members)",
     "EXISTS (SELECT ...) of anything but columns and constants"},
    {"SELECT p.id FROM people p WHERE p.id NOT IN (SELECT m.role FROM members m)", NULL},
    {"SELECT p.id FROM people p WHERE p.id NOT IN (SELECT m.role || m.member FROM members m)",
     NULL},
    {"SELECT p.id FROM people p WHERE p.id || '' NOT IN (SELECT NULL::text FROM members m)", NULL},
    {"SELECT p.id FROM people p WHERE p.id IN (SELECT 'ana')", NULL},
    {"SELECT 'x' WHERE docs.c IN (SELECT 'ab  ')", NULL},
    {"SELECT p.id FROM people p WHERE p.id <> ALL (SELECT m.role FROM members m)", NULL},
    {"SELECT p.id FROM people p WHERE p.id <> ALL (SELECT m.member FROM members m)", NULL},
    /* An operator by that name of a schema that no rule looks in. */
    {"SELECT p.id FROM people p WHERE p.id OPERATOR(far.=) ANY (SELECT m.member FROM members m)",
     "ANY (subquery) with an operator other than ="},
    {"SELECT p.id FROM people p WHERE p.id OPERATOR(far.=) ANY (docs.tags)",
     "ANY with an operator other than ="},
    {"SELECT p.id FROM people p WHERE p.id OPERATOR(far.=) docs.owner", "the operator far.="},
    {"SELECT p.id FROM people p WHERE p.id >= ALL (SELECT m.member FROM members m)",
     "ALL (subquery) with an operator other than <>"},
    {"SELECT p.id FROM people p WHERE (p.id, 1) IN (SELECT m.member, 1 FROM members m)",
     "a comparison of two constants"},
    {"SELECT p.id FROM people p WHERE (p.id, docs.id) IN (SELECT m.member, m.doc FROM members m)",
     NULL},
    {"SELECT p.id FROM people p WHERE (p.id, docs.id) NOT IN (SELECT m.member, m.doc FROM members m)",
     NULL},
    {"SELECT p.id FROM people p WHERE (p.id, docs.id) NOT IN (SELECT m.role, m.doc FROM members m)",
     NULL},
    {"SELECT p.id FROM people p WHERE (p.age, p.id) NOT IN (SELECT m.id, m.role FROM members m)",
     NULL},
    {"SELECT p.id FROM people p WHERE NOT (p.age, docs.owner) NOT IN (SELECT m.id, m.role FROM members m UNION SELECT 30, docs.v)",
     NULL},
    {"SELECT p.id FROM people p WHERE (p.id, docs.id) = ANY (SELECT m.member, m.doc FROM members m)",
     NULL},
    {"SELECT p.id FROM people p WHERE (p.id, docs.id) <> ALL (SELECT m.member, m.doc FROM members m)",
     "<> ALL (subquery) of a row"},
    {"SELECT p.id FROM people p WHERE (p.id, 'owner') IN (SELECT m.member, m.role FROM members m WHERE m.doc = docs.id)",
     NULL},
    {"SELECT p.id FROM people p WHERE (p.id, 'owner') NOT IN (SELECT m.member, m.role FROM members m WHERE m.doc = docs.id)",
     NULL},
    {"SELECT 'x' WHERE 'owner' IN (SELECT m.role FROM members m WHERE m.doc = docs.id)", NULL},
    {"SELECT 'x' WHERE 'owner' NOT IN (SELECT m.role FROM members m WHERE m.doc = docs.id)", NULL},
    {"SELECT 'x' WHERE 7 = ANY (SELECT m.id FROM members m WHERE m.doc = docs.id) OR 1.5 IN (SELECT d.n FROM docs d)",
     NULL},
    {"SELECT 'x' WHERE 'ok' IN (SELECT d.m FROM docs d) AND '2026-01-01' <> ALL (SELECT d.d FROM docs d WHERE d.id > docs.id)",
     NULL},
    {"SELECT 'x' WHERE 'ab  ' IN (SELECT d.c FROM docs d WHERE d.id = docs.id)", NULL},
    {"SELECT 'x' WHERE NULL IN (SELECT m.role FROM members m)", "a constant on the left of IN"},
    {"SELECT 'x' WHERE 'x' IN (SELECT m.role FROM members m UNION SELECT m.member FROM members m)",
     "a constant on the left of IN"},
    {"SELECT 'x' WHERE 'x' IN (SELECT 'x')", "a comparison of two constants"},
    {"SELECT p.id FROM people p WHERE (p.id, p.age) = (docs.owner, 30)", NULL},
    {"SELECT p.id FROM people p WHERE NOT ROW(p.id, p.age) = ROW(docs.owner, 30)", NULL},
    {"SELECT p.id FROM people p WHERE (p.id, p.age) <> (docs.owner, 30)", NULL},
    {"SELECT p.id FROM people p WHERE NOT (p.id, p.age) <> (docs.owner, 30)", NULL},
    {"SELECT p.id FROM people p WHERE (p.id, docs.c) IN ((docs.owner, 'ab  '), ('bo', docs.owner), ('cy', NULL))",
     NULL},
    {"SELECT p.id FROM people p WHERE (p.id, p.age) NOT IN ((docs.owner, 30), ('cy', 50))", NULL},
    {"SELECT p.id FROM people p WHERE (p.id, p.age) < (docs.owner, 30)", "< or > on rows"},
    {"SELECT p.id FROM people p WHERE (p.id, p.age) IS DISTINCT FROM (docs.owner, 30)",
     "a row value"},
    {"SELECT p.id FROM people p WHERE coalesce(p.id = ANY (docs.tags), true)", NULL},
    {"SELECT p.id FROM people p WHERE NOT coalesce(p.age > docs.big AND docs.b, false)", NULL},
    {"SELECT p.id FROM people p WHERE coalesce(p.age NOT IN (SELECT m.id FROM members m), true)",
     NULL},
    {"SELECT p.id FROM people p WHERE coalesce(p.id = docs.owner, docs.b)",
     "a condition as a value"},
};

enum { CASES = sizeof cases / sizeof *cases };

static struct strings postgres_answer(struct world *world, const char *audience,
                                      struct arena *arena, bool *is_understood)
{
    struct strings pairs = {0};
    struct err err;
    const char *sql = arena_printf(arena,
                                   "SELECT docs.id || ' ' || s.subject::text FROM docs,"
                                   " LATERAL (%s) s(subject) WHERE s.subject IS NOT NULL",
                                   audience);
    struct pg_rows *rows = pg_query(world->connection, &err, sql, 0, NULL);
    if (!rows) {
        fprintf(stderr, "%s: %s\n", err.message, audience);
        return pairs;
    }
    *is_understood = true;
    for (size_t i = 0; i < pg_rows_count(rows); i++)
        strings_add(&pairs, arena, pg_rows_slice(rows, i, 0));
    strings_sort(&pairs);
    pg_rows_free(rows);
    return pairs;
}

static struct strings own_answer(struct world *world, struct ruleset *rules, struct arena *arena)
{
    struct strings pairs = {0};
    const struct relation *docs = world_relation(world, "docs");
    struct state state = {.replica = world->replica};
    struct access all = {.kind = ACCESS_ALL, .relation = docs};
    struct state_read read;
    struct row row;
    state_read_begin(&read, &state, &all, SLICE_NONE);
    while (state_read_next(&read, &row)) {
        struct audience audience;
        audience_init(&audience, arena);
        ruleset_audience(rules, &state, docs, row, &audience);
        for (size_t i = 0; i < audience.count; i++) {
            const char *pair = arena_printf(arena, "%.*s %.*s", SLICE_ARG(row_column(docs, row, 0)),
                                            SLICE_ARG(audience.members[i]->subject));
            strings_add(&pairs, arena, slice_from_str(pair));
        }
    }
    state_read_end(&read);
    strings_sort(&pairs);
    return pairs;
}

static bool is_same(const struct strings *a, const struct strings *b)
{
    for (size_t i = 0; i < a->count && a->count == b->count; i++) {
        if (!slice_eq(a->items[i], b->items[i]))
            return false;
    }
    return a->count == b->count;
}

static void print_all(const char *head, const struct strings *strings)
{
    fprintf(stderr, "  %s:", head);
    for (size_t i = 0; i < strings->count; i++)
        fprintf(stderr, " [%.*s]", SLICE_ARG(strings->items[i]));
    fprintf(stderr, "\n");
}

static bool check_case(struct world *world, const struct language_case *each, struct arena *arena)
{
    /* Refused or not, Postgres has to understand it: the trigger lets nothing else in. */
    bool is_understood = false;
    struct strings got = {0};
    struct strings expected = postgres_answer(world, each->audience, arena, &is_understood);
    if (!is_understood)
        return false;
    struct rule_definition definition =
        world_rule(world, "docs", slice_from_str(each->audience), arena);
    struct ruleset *rules = world_compile(world, &definition, 1);
    struct rule_status status = ruleset_rule_status(rules, 0);
    bool ok;
    if (each->reason) {
        ok = !status.is_active && strstr(status.reason, each->reason);
        if (!ok)
            fprintf(stderr, "%s\n  %s\n", each->audience, status.reason ? status.reason : "taken");
    } else if (!status.is_active) {
        ok = false;
        fprintf(stderr, "%s\n  %s\n", each->audience, status.reason);
    } else {
        got = own_answer(world, rules, arena);
        ok = is_same(&got, &expected);
        if (!ok) {
            fprintf(stderr, "%s\n", each->audience);
            print_all("got", &got);
            print_all("expected", &expected);
        }
    }
    ruleset_free(rules);
    arena_clear(arena);
    return ok;
}

/* Writes that reach the audience of app.docs by a long way, each on top of those before it. */
static const struct {
    const char *audience, *write;
} writes[] = {
    {"SELECT p.id FROM people p WHERE NOT EXISTS (SELECT FROM members m WHERE m.doc = docs.id"
     " AND NOT EXISTS (SELECT FROM public.hidden h WHERE h.member = m.role))",
     "UPDATE app.members SET role = 'cy'"},
    {"SELECT p.id FROM people p WHERE NOT EXISTS (SELECT FROM members m WHERE m.doc = docs.id"
     " AND NOT EXISTS (SELECT FROM public.hidden h WHERE h.member = m.role))",
     "DELETE FROM public.hidden"},
    {"SELECT m.member FROM members m WHERE m.doc = docs.id AND (m.role IS NULL) IS NOT TRUE",
     "UPDATE app.members SET role = NULL WHERE member = 'bo'"},
    {"SELECT p.id FROM people p WHERE p.id = ANY (docs.tags)",
     "DELETE FROM people WHERE id = 'bo'"},
    {"SELECT p.id FROM people p WHERE p.id = ANY (docs.tags)",
     "INSERT INTO people VALUES ('dy', 1); UPDATE docs SET tags = '{dy,dy}' WHERE id = 3"},
    {"SELECT p.id FROM people p WHERE p.age NOT IN (SELECT m.id FROM members m WHERE m.doc = "
     "docs.id"
     " AND m.member NOT IN (SELECT h.member FROM public.hidden h))",
     "INSERT INTO public.hidden VALUES (5, NULL)"},
    {"SELECT m.member FROM members m WHERE m.role IS NOT DISTINCT FROM docs.j ->> 'a'",
     "UPDATE docs SET j = NULL"},
};

enum { WRITES = sizeof writes / sizeof *writes };

static bool check_write(struct world *world, size_t index, struct arena *arena)
{
    const struct table docs = {.name = "docs", .columns = {{.name = "id"}}, .key_count = 1};
    struct slice audience = slice_from_str(writes[index].audience);
    struct rule_definition definition = world_rule(world, "docs", audience, arena);
    struct answer before = oracle_ask(world, &docs, audience, arena);
    struct ruleset *rules = world_compile(world, &definition, 1);
    struct strings expected = {0};
    struct change_set changes;
    struct err err;
    bool has_duplicates;
    check(ruleset_rule_status(rules, 0).is_active);
    world_execute(world, writes[index].write);
    change_set_init(&changes);
    world_collect_changes(world, &changes);
    struct answer after = oracle_ask(world, &docs, audience, arena);
    struct strings got =
        deliveries_of(world->replica, &changes, rules, rules, arena, &has_duplicates);
    oracle_expect_events(&expected, arena, "docs", &before, &after);
    strings_sort(&expected);
    /* A write that changes nothing would show nothing. */
    bool ok = expected.count && !has_duplicates && is_same(&got, &expected);
    if (!ok) {
        fprintf(stderr, "%s\n  %s\n", writes[index].write, writes[index].audience);
        print_all("got", &got);
        print_all("expected", &expected);
    }
    check(change_set_apply(&changes, world->replica, &err));
    change_set_release(&changes);
    ruleset_free(rules);
    arena_clear(arena);
    return ok;
}

int main(void)
{
    struct world world;
    struct arena arena = ARENA_INIT;
    struct change_set changes;
    struct err err;
    size_t failures = 0;
    world_connect(&world);
    world_execute(&world, setup_sql);
    world_publish(&world, "app", "app.docs, app.members, app.papers, public.people, public.hidden");
    change_set_init(&changes);
    world_collect_changes(&world, &changes);
    check(change_set_apply(&changes, world.replica, &err));
    change_set_release(&changes);
    for (size_t i = 0; i < CASES; i++)
        failures += !check_case(&world, &cases[i], &arena);
    for (size_t i = 0; i < WRITES; i++)
        failures += !check_write(&world, i, &arena);
    printf("%d constructs, %d writes, %zu failures\n", (int)CASES, (int)WRITES, failures);
    world_close(&world);
    arena_release(&arena);
    return failures != 0;
}
