-- What tests/wal2json/golden.jsonl was captured from, with wal2json 2.5 on PostgreSQL 15.20 and the
-- options of the bridge; tests/wal2json/capture.sh runs it again.
CREATE TYPE mood AS ENUM ('fine', 'so "so"');
CREATE DOMAIN positive AS integer CHECK (VALUE > 0);
CREATE SCHEMA "odd schema";
CREATE TABLE scalars (
    id bigint PRIMARY KEY, small smallint, plain integer, exact numeric, single real, twice double precision,
    yes boolean, raw bytea, note text, padded char(5), doc json, docb jsonb, list integer[], words text[],
    span int4range, feeling mood, sure positive, day date, at timestamp, attz timestamptz, during interval,
    clock time, uid uuid, half bigint GENERATED ALWAYS AS (id / 2) STORED
);
CREATE TABLE "odd schema"."a ""quoted"" \ table" ("the ""key""" text PRIMARY KEY, "naïve ☃" text, "tab	name" text);
CREATE TABLE pairs (a integer, b text, note text, PRIMARY KEY (a, b));
CREATE TABLE full_identity (id integer PRIMARY KEY, note text);
ALTER TABLE full_identity REPLICA IDENTITY FULL;
CREATE TABLE by_index (id integer PRIMARY KEY, code text NOT NULL UNIQUE, note text);
ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_code_key;
CREATE TABLE no_identity (note text);
CREATE TABLE toasted (id integer PRIMARY KEY, large text, small integer);
ALTER TABLE toasted ALTER large SET STORAGE EXTERNAL;
CREATE TABLE parted (id integer PRIMARY KEY, note text) PARTITION BY RANGE (id);
CREATE TABLE parted_low PARTITION OF parted FOR VALUES FROM (0) TO (100);
CREATE TABLE parted_high PARTITION OF parted FOR VALUES FROM (100) TO (200);
CREATE TABLE child (id integer PRIMARY KEY, parent integer REFERENCES parted);

INSERT INTO scalars VALUES
    (1, 1, 1, 1.10, 1.5, 0.1, true, '\x00ff10', 'plain', 'ab', '{"a": 1}', '{"b": [1, 2.50]}', '{1,NULL,3}',
     '{"a b","c\"d",NULL}', '[1,5)', 'so "so"', 7, '2024-02-29', '2024-02-29 12:34:56.789',
     '2024-02-29 12:34:56.789+02', '1 year 2 days 03:04:05', '23:59:59.5',
     '00000000-0000-0000-0000-0000000000ab'),
    (-9223372036854775808, -32768, -2147483648, 12345678901234567890123456789.000100, '-Infinity', 1e300,
     false, '', E'\b\f\n\r\t\x01\x1f"\\/', '', 'null', '"é 𝄞"', '{}', '{}', 'empty', 'fine', NULL,
     'infinity', '-infinity', 'infinity', '0', '00:00', NULL),
    (3, NULL, NULL, 'NaN', 'NaN', '-0', NULL, NULL, 'é ☃ 𝄞 ' || chr(127) || chr(8232), NULL, '"\u00e9"', NULL,
     NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
UPDATE scalars SET plain = 2, note = '' WHERE id = 1;
UPDATE scalars SET id = 4 WHERE id = 1;
DELETE FROM scalars WHERE id = 3;

INSERT INTO "odd schema"."a ""quoted"" \ table" VALUES ('k"1', 'ü', '	');
UPDATE "odd schema"."a ""quoted"" \ table" SET "the ""key""" = 'k\2';
DELETE FROM "odd schema"."a ""quoted"" \ table";

BEGIN;
INSERT INTO pairs VALUES (7, 'alice', NULL), (8, 'bo', 'x');
UPDATE pairs SET note = 'y' WHERE a = 7;
UPDATE pairs SET b = 'carol' WHERE a = 7;
DELETE FROM pairs;
COMMIT;

INSERT INTO full_identity VALUES (1, 'a'), (2, NULL);
UPDATE full_identity SET note = note;
UPDATE full_identity SET note = 'b';
DELETE FROM full_identity;

INSERT INTO by_index VALUES (1, 'one', 'x');
UPDATE by_index SET code = 'uno';
DELETE FROM by_index;

INSERT INTO no_identity VALUES ('only inserts');
UPDATE no_identity SET note = 'never arrives';
DELETE FROM no_identity;

INSERT INTO toasted VALUES (1, repeat('x', 3000), 1);
UPDATE toasted SET small = 2;
UPDATE toasted SET id = 2;

INSERT INTO parted VALUES (1, 'low');
UPDATE parted SET id = 101;
INSERT INTO child VALUES (1, 101);
SET client_min_messages = warning;
TRUNCATE parted CASCADE;
TRUNCATE pairs, toasted;

SELECT pg_logical_emit_message(true, 'weir', 'within "a" transaction');
SELECT pg_logical_emit_message(false, 'weir', 'outside one');

BEGIN;
INSERT INTO pairs VALUES (1, 'rolled back', NULL);
ROLLBACK;
BEGIN;
SAVEPOINT s;
INSERT INTO pairs VALUES (2, 'rolled back', NULL);
ROLLBACK TO s;
INSERT INTO pairs VALUES (3, 'kept', NULL);
COMMIT;

ALTER TABLE pairs ADD extra integer DEFAULT 5;
INSERT INTO pairs VALUES (4, 'wider', NULL);
ALTER TABLE pairs DROP note;
INSERT INTO pairs VALUES (5, 'other columns', 6);
