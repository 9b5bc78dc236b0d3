-- The situations that wal2json's own regression cases are about (https://github.com/eulerto/wal2json,
-- sql/), in statements of our own; each part names those that it stands for. tests/wal2json/cases.jsonl
-- is what wal2json 2.5 on PostgreSQL 15 makes of it with the bridge's options.
SET extra_float_digits = 3;
CREATE SCHEMA w2j;
CREATE DOMAIN w2j.code AS varchar(8) CHECK (VALUE <> '');
CREATE DOMAIN w2j.codes AS w2j.code[];
CREATE TYPE w2j.pair AS (a integer, b text);

-- cmdline, insert1, update1, delete1: a primary key, of many types, of which one is a part
CREATE TABLE keyed (
    a smallserial, b smallint, c int, d bigint, e numeric(5, 3), f real NOT NULL, g double precision, h char(10), i varchar(30),
    j text, k bit varying(20), l timestamp, m date, n boolean NOT NULL, o json, p tsvector, PRIMARY KEY (b, c, d));
INSERT INTO keyed (b, c, d, e, f, g, h, i, j, k, l, m, n, o, p) VALUES
    (1, 2, 3, 3.540, 876.5634, 1.23, 'short', 'some varying', 'a text', B'001110010101010', '2020-02-29 11:22:33.5', '2020-02-29',
     true, '{"a": [1, {"b": null}]}', 'a fat cat');
UPDATE keyed SET f = -f WHERE b = 1; -- typmod, type_oid
UPDATE keyed SET b = 10, c = 20, d = 30;
UPDATE keyed SET h = 'é', j = NULL, o = '[]';
DELETE FROM keyed;

-- update2, delete2: no primary key, one or two columns that are unique
CREATE TABLE uniques (a int NOT NULL, b text NOT NULL, c text, UNIQUE (a), UNIQUE (a, b));
ALTER TABLE uniques REPLICA IDENTITY USING INDEX uniques_a_b_key;
INSERT INTO uniques VALUES (1, 'x', 'one'), (2, 'y', NULL);
UPDATE uniques SET c = 'two';
UPDATE uniques SET b = 'z' WHERE a = 2;
DELETE FROM uniques WHERE a = 1;

-- update3, delete3: the whole row, with NULLs in it and values out of line
CREATE TABLE whole (a int, b text, c text);
ALTER TABLE whole REPLICA IDENTITY FULL;
ALTER TABLE whole ALTER c SET STORAGE EXTERNAL;
INSERT INTO whole VALUES (1, NULL, repeat('0123456789', 300)), (NULL, 'b', NULL);
UPDATE whole SET b = 'c' WHERE a = 1;
UPDATE whole SET c = NULL;
DELETE FROM whole;

-- update4, delete4, pk: neither a key nor an identity, an empty identity, and one whose index is gone
CREATE TABLE bare (a int, b text);
INSERT INTO bare VALUES (1, 'a'), (1, 'a');
UPDATE bare SET b = 'unseen';
DELETE FROM bare;
CREATE TABLE silent (id int PRIMARY KEY, b text);
ALTER TABLE silent REPLICA IDENTITY NOTHING;
INSERT INTO silent VALUES (1, 'a');
UPDATE silent SET b = 'unseen', id = 2;
DELETE FROM silent;
CREATE TABLE orphan (id int PRIMARY KEY, code int NOT NULL UNIQUE);
ALTER TABLE orphan REPLICA IDENTITY USING INDEX orphan_code_key;
INSERT INTO orphan VALUES (1, 10);
ALTER TABLE orphan DROP CONSTRAINT orphan_code_key;
UPDATE orphan SET code = 11;
DELETE FROM orphan;

-- savepoint: kept and given up, one in the other
BEGIN;
INSERT INTO bare VALUES (1, 'before');
SAVEPOINT a;
INSERT INTO bare VALUES (2, 'given up');
SAVEPOINT b;
INSERT INTO bare VALUES (3, 'given up with it');
RELEASE b;
ROLLBACK TO a;
SAVEPOINT c;
INSERT INTO bare VALUES (4, 'kept');
SAVEPOINT d;
INSERT INTO bare VALUES (5, 'kept as well');
RELEASE c;
INSERT INTO bare VALUES (6, 'after');
COMMIT;

-- specialvalue, numeric_data_types_as_string: what JSON has no number for, and what a double cannot hold
CREATE TABLE numbers (id serial PRIMARY KEY, a smallint, b int, c bigint, d real, e double precision, f numeric, g boolean, h money, i oid);
INSERT INTO numbers (a, b, c, d, e, f, g, h, i) VALUES
    (32767, 2147483647, 9223372036854775807, 'Infinity', 'Infinity', 'Infinity', true, '$1,000.25', 4294967295),
    (-32768, -2147483648, -9223372036854775808, '-inf', '-infinity', '-Infinity', false, '-$0.01', 0),
    (0, -0, 0, 'nan', 'NaN', 'NaN', NULL, NULL, NULL),
    (1, 1, 1, 123.456, 123456789.012345, 1234567890987654321.1234567890987654321, 't', '0', 1),
    (1, 1, 1, 1e-45, 5e-324, 1e-100, 'f', '0', 1),
    (1, 1, 1, 3.4028235e38, 1.7976931348623157e308, 10::numeric ^ 120, 'y', '0', 1),
    (1, 1, 1, -0.0, '-0', -0.000, 'n', '0', 1);
CREATE TABLE texts (id serial PRIMARY KEY, a text, b varchar(60), c char(4), d name, e "char");
INSERT INTO texts (a, b, c, d, e) VALUES
    (E'quotes '' " and \\ / \b \f \n \r \t end', E'\u207F \u967F \U0001F600', 'é', 'a name', 'x'),
    (E'\x01\x02\x1f\x7f', E'\u0080\u2028\u2029\uFEFF', '', '', '"'),
    ('NULL', 'null', 'true', '1', NULL), ('{"a":1}', '[]', '\', '\"', '\'), (repeat('"', 100), repeat('\', 60), '    ', 'Ω', ' ');

-- bytea, toast: out of line, compressed or not, changed or not
CREATE TABLE lobs (id serial PRIMARY KEY, a text, b double precision DEFAULT 1.5, c text, d bytea, e text);
ALTER TABLE lobs ALTER a SET STORAGE EXTERNAL;
INSERT INTO lobs (a, c, d) SELECT string_agg(i::text, ''), string_agg(md5(i::text), ''), string_agg(decode(md5(i::text), 'hex'), '')
  FROM generate_series(1, 150) i;
INSERT INTO lobs (c) VALUES (repeat('compresses ', 700));
UPDATE lobs SET a = reverse(a) WHERE id = 1;
UPDATE lobs SET b = 123.456 WHERE id = 1;
UPDATE lobs SET id = 3, e = 'moved' WHERE id = 1;
DELETE FROM lobs;

-- message: with and without a transaction, with nothing in it, with what JSON has to escape
SELECT pg_logical_emit_message(true, 'weir', 'in a transaction');
SELECT pg_logical_emit_message(false, 'weir', 'on its own');
SELECT pg_logical_emit_message(true, 'weir', '');
SELECT pg_logical_emit_message(false, 'weir', E'" \\ \n é 😀');
BEGIN;
SELECT pg_logical_emit_message(true, 'weir', 'rolled back');
SELECT pg_logical_emit_message(false, 'weir', 'and yet sent');
ROLLBACK;
BEGIN;
INSERT INTO bare VALUES (7, 'before the message');
SELECT pg_logical_emit_message(true, 'weir', 'between rows');
INSERT INTO bare VALUES (8, 'after the message');
COMMIT;

-- filtertable, selecttable, actions: names that have to be quoted, in SQL or in a list of tables
CREATE SCHEMA "a schema.of its own";
CREATE TABLE "a schema.of its own"."table, with * and \ and "" " (id int PRIMARY KEY, "column ""quoted""" text, "ü.ö" int);
INSERT INTO "a schema.of its own"."table, with * and \ and "" " VALUES (1, 'a', 2);
UPDATE "a schema.of its own"."table, with * and \ and "" " SET "ü.ö" = 3;
DELETE FROM "a schema.of its own"."table, with * and \ and "" ";
TRUNCATE "a schema.of its own"."table, with * and \ and "" ";
CREATE TABLE "UPPER" (id int PRIMARY KEY);
CREATE TABLE "select" (id int PRIMARY KEY);
INSERT INTO "UPPER" VALUES (1);
INSERT INTO "select" VALUES (1);

-- truncate: several at once, those that refer to it, partitions
CREATE TABLE parent (id int PRIMARY KEY, a text);
CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE);
INSERT INTO parent VALUES (1, 'a'), (2, 'b');
INSERT INTO child VALUES (1, 1), (2, 1), (3, 2);
UPDATE parent SET id = 3 WHERE id = 1;
DELETE FROM parent WHERE id = 2;
SET client_min_messages = warning;
BEGIN;
TRUNCATE parent CASCADE;
INSERT INTO parent VALUES (4, 'into the new file');
TRUNCATE bare, numbers RESTART IDENTITY;
COMMIT;
CREATE TABLE parts (id int, at date, a text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE parts_old PARTITION OF parts FOR VALUES FROM ('2000-01-01') TO ('2020-01-01');
CREATE TABLE parts_new (a text, at date NOT NULL, gone int, id int NOT NULL, PRIMARY KEY (id, at));
ALTER TABLE parts_new DROP gone;
ALTER TABLE parts ATTACH PARTITION parts_new FOR VALUES FROM ('2020-01-01') TO ('2040-01-01');
INSERT INTO parts VALUES (1, '2010-01-01', 'old'), (2, '2030-01-01', 'new');
UPDATE parts SET at = '2031-01-01' WHERE id = 1;
UPDATE parts SET a = 'both';
DELETE FROM parts WHERE id = 2;
TRUNCATE parts_old;
TRUNCATE parts;

-- default, position: values that nobody wrote, columns that have gone and come
CREATE TABLE defaults (a serial PRIMARY KEY, b int DEFAULT 6, c text DEFAULT 'a "default"', d timestamp DEFAULT '2020-07-12 11:55:30', e int DEFAULT NULL, f int);
INSERT INTO defaults (b, c, d, e, f) VALUES (2, 'given', '2020-03-01 08:09:00', 80, 10);
INSERT INTO defaults DEFAULT VALUES;
ALTER TABLE defaults ADD g numeric NOT NULL DEFAULT 1.50;
UPDATE defaults SET b = 3 WHERE a = 1;
ALTER TABLE defaults DROP b;
ALTER TABLE defaults ADD b bigint;
INSERT INTO defaults (b) VALUES (5);
UPDATE defaults SET g = g + 1;

-- rename_column: of a key, of an identity, within a transaction that writes
CREATE TABLE renamed (a int, b timestamp, c text, d boolean, e numeric(5, 3), PRIMARY KEY (a, d));
INSERT INTO renamed VALUES (1, '2020-04-26 16:23:59', 'one', true, 4.56);
UPDATE renamed SET e = 8.76;
ALTER TABLE renamed RENAME d TO f;
UPDATE renamed SET f = false;
BEGIN;
INSERT INTO renamed VALUES (2, NULL, 'two', true, 20.3);
ALTER TABLE renamed RENAME a TO g;
INSERT INTO renamed (g, f) VALUES (3, false);
UPDATE renamed SET g = 4 WHERE g = 3;
ALTER TABLE renamed ALTER e TYPE text;
DELETE FROM renamed WHERE g = 1;
COMMIT;
ALTER TABLE renamed REPLICA IDENTITY FULL;
UPDATE renamed SET c = 'all of it';
DELETE FROM renamed;

-- include_domain_data_type: domains, arrays of them and domains over arrays, rows in rows
CREATE TABLE composed (id w2j.code PRIMARY KEY, a w2j.codes, b w2j.code[], c w2j.pair, d w2j.pair[], e int4range, f nummultirange, g int[], h text[]);
INSERT INTO composed VALUES
    ('a', '{x,y}', '{"q\"",NULL}', '(1,"a ""b"" , c")', ARRAY[ROW(1, 'x')::w2j.pair, NULL], '[1,5)', '{[1.0,2.50),(7,)}', '{{1,2},{3,NULL}}', '{"NULL",NULL,"a,b","\\"}'),
    ('b', '{}', '[2:3]={x,y}', '(,)', '{}', 'empty', '{}', '{}', '{""}');
UPDATE composed SET id = 'c' WHERE id = 'a';
DELETE FROM composed;

-- include_timestamp, include_lsn, include_xids: one transaction after the other, and one within which nothing is
BEGIN;
INSERT INTO bare VALUES (9, 'first');
COMMIT;
BEGIN;
CREATE TABLE nothing_in_it (id int);
COMMIT;
BEGIN;
INSERT INTO bare VALUES (10, 'second');
INSERT INTO parent VALUES (5, 'second') ON CONFLICT (id) DO UPDATE SET a = 'updated';
INSERT INTO parent VALUES (5, 'third') ON CONFLICT (id) DO UPDATE SET a = 'updated';
COMMIT;
