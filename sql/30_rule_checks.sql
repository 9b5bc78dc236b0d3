-- What is wrong with a rule is said when it is written, by Postgres where Postgres knows best.
--
-- None of this is SECURITY DEFINER: a rule is planned with the rights of its author, who needs
-- SELECT on the tables that it reads. Whether the audience is within what the bridge can follow is
-- for the bridge to say, in weir.rule_status.

-- A table that can be published and whose rows have a key.
CREATE OR REPLACE FUNCTION weir.check_relation(target regclass) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    kind "char";
    persistence "char";
    schema name;
    has_key boolean;
BEGIN
    SELECT c.relkind, c.relpersistence, n.nspname,
           EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)
      INTO kind, persistence, schema, has_key
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.oid = target;
    IF kind IS NULL THEN
        RAISE EXCEPTION 'there is no table with oid % any more', target::oid
            USING ERRCODE = 'undefined_table',
                  HINT = 'set relation to the table''s name again, or delete the rule';
    END IF;
    IF kind NOT IN ('r', 'p') THEN
        RAISE EXCEPTION '% is not a table', target
            USING ERRCODE = 'wrong_object_type',
                  HINT = 'write the rule for the table that holds its rows';
    END IF;
    IF persistence <> 'p' THEN
        RAISE EXCEPTION 'table % is %, so its changes cannot be followed', target,
                CASE persistence WHEN 't' THEN 'temporary' ELSE 'unlogged' END
            USING ERRCODE = 'wrong_object_type',
                  HINT = CASE persistence WHEN 't' THEN 'use a permanent table'
                              ELSE format('ALTER TABLE %s SET LOGGED;', target) END;
    END IF;
    IF schema IN ('pg_catalog', 'information_schema', 'weir') THEN
        RAISE EXCEPTION 'table % belongs to the system', target
            USING ERRCODE = 'wrong_object_type', HINT = 'rules show tables of the application';
    END IF;
    IF NOT has_key THEN
        RAISE EXCEPTION 'table % has no primary key, so its rows cannot be told apart', target
            USING ERRCODE = 'invalid_table_definition',
                  HINT = format('ALTER TABLE %s ADD PRIMARY KEY (...);', target);
    END IF;
END
$$;

CREATE OR REPLACE FUNCTION weir.check_columns(target regclass, columns name[]) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    missing text;
BEGIN
    IF cardinality(columns) = 0 THEN
        RAISE EXCEPTION 'columns is empty'
            USING ERRCODE = 'check_violation', HINT = 'NULL shows all columns';
    END IF;
    SELECT coalesce(quote_ident(item), 'NULL') INTO missing
      FROM unnest(columns) item
     WHERE NOT EXISTS (SELECT FROM pg_attribute a
                        WHERE a.attrelid = target AND a.attname = item AND a.attnum > 0
                          AND NOT a.attisdropped)
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'column % of table % does not exist', missing, target
            USING ERRCODE = 'undefined_column',
                  HINT = format('its columns: %s',
                      (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum)
                         FROM pg_attribute a
                        WHERE a.attrelid = target AND a.attnum > 0 AND NOT a.attisdropped));
    END IF;
END
$$;

-- A path whatever the subject is, and never one of the stream server's own. It is split at '/' as
-- it stands; the bridge percent-encodes each segment afterwards.
CREATE OR REPLACE FUNCTION weir.check_stream(stream text) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
AS $$
DECLARE
    segments CONSTANT text[] := string_to_array(stream, '/');
    problem text;
BEGIN
    problem := CASE
        WHEN cardinality(string_to_array(stream, '{subject}')) <> 2
            THEN 'does not have {subject} in it exactly once'
        WHEN '' = ANY (segments) THEN 'has an empty segment'
        -- Clients fold . and .. away; "{subject}." would be ".." for the subject ".".
        WHEN EXISTS (SELECT FROM unnest(segments) s WHERE replace(s, '{subject}', '') ~ '^\.+$')
            THEN 'has a segment of dots'
        WHEN segments[1] IN ('__weir', '__ds') THEN 'begins with a reserved segment'
        WHEN stream ~ '[[:cntrl:]]' THEN 'has a control character in it'
        WHEN octet_length(stream) > 500 THEN 'is longer than 500 bytes'
    END;
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION 'stream "%" %', left(stream, 100), problem
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'write a path such as user/{subject}/data, without a slash at either end';
    END IF;
END
$$;

-- Opening a cursor parses exactly one statement; the first fetch plans it and checks the rights.
CREATE OR REPLACE FUNCTION weir.plan(statement text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    plan refcursor;
    line text;
BEGIN
    OPEN plan FOR EXECUTE statement;
    FETCH plan INTO line;
    CLOSE plan;
END
$$;

-- Plans the audience as the bridge reads it: names without a schema are looked up in the schema of
-- the rule's table, then in public. It stands on lines of its own, so that a comment at its end
-- ends there. Planned twice, in two places of a statement: as a value, where it must have one
-- column, and as a table; a text that closes our parenthesis does not fit both.
CREATE OR REPLACE FUNCTION weir.check_audience(target regclass, audience text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on SET transform_null_equals = off SET array_nulls = on
AS $$
DECLARE
    table_name text;
    path text;
BEGIN
    SELECT format('%I.%I', n.nspname, c.relname), format('%I, public, pg_temp', n.nspname)
      INTO table_name, path
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.oid = target;
    IF audience ~ '^\s*$' THEN
        RAISE EXCEPTION 'the audience is empty'
            USING ERRCODE = 'check_violation',
                  HINT = format('write a SELECT of subjects, such as SELECT %I.owner_id',
                      (SELECT c.relname FROM pg_class c WHERE c.oid = target));
    END IF;
    -- Until this function ends, which puts its caller's search_path back.
    PERFORM set_config('search_path', path, true);
    PERFORM weir.plan(format(E'EXPLAIN SELECT FROM %s WHERE (\n%s\n) IS NOT NULL',
        table_name, audience));
    PERFORM weir.plan(format(E'EXPLAIN SELECT weir_audience.subject::pg_catalog.text'
        ' FROM %s, LATERAL (\n%s\n) AS weir_audience(subject)', table_name, audience));
END
$$;

-- Whether one segment of a path can be made by both of two segments, of which each may have
-- {subject} in it.
CREATE OR REPLACE FUNCTION weir.segments_meet(a text, b text) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    parts_a CONSTANT text[] := string_to_array(a, '{subject}');
    parts_b CONSTANT text[] := string_to_array(b, '{subject}');
    ends_a CONSTANT text := reverse(parts_a[2]);
    ends_b CONSTANT text := reverse(parts_b[2]);
BEGIN
    IF cardinality(parts_a) = 1 AND cardinality(parts_b) = 1 THEN
        RETURN a = b;
    ELSIF cardinality(parts_a) = 1 THEN
        RETURN weir.segments_meet(b, a);
    ELSIF cardinality(parts_b) = 1 THEN
        RETURN length(b) >= length(parts_a[1]) + length(ends_a)
               AND starts_with(b, parts_a[1]) AND starts_with(reverse(b), ends_a);
    END IF;
    RETURN (starts_with(parts_a[1], parts_b[1]) OR starts_with(parts_b[1], parts_a[1]))
           AND (starts_with(ends_a, ends_b) OR starts_with(ends_b, ends_a));
END
$$;

-- Whether there are subjects with which two patterns are one stream.
CREATE OR REPLACE FUNCTION weir.streams_meet(a text, b text) RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT bool_and(one IS NOT NULL AND other IS NOT NULL AND weir.segments_meet(one, other))
      FROM unnest(string_to_array(a, '/'), string_to_array(b, '/')) AS segments(one, other)
$$;

-- Two tables under one type in one stream would overwrite each other's rows, and so would two rules
-- of a table whose streams are one now and then, as p/{subject} and p/a{subject}. Two sessions at
-- once can each miss the other's rule here; the bridge then refuses one of them.
CREATE OR REPLACE FUNCTION weir.check_channel(rule weir.rules, old_name text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    event_type text;
    other record;
BEGIN
    SELECT coalesce(rule.type, c.relname) INTO event_type
      FROM pg_class c WHERE c.oid = rule.relation;
    SELECT r.name, r.relation, r.stream INTO other
      FROM weir.rules r JOIN pg_class c ON c.oid = r.relation
     WHERE coalesce(r.type, c.relname) = event_type AND r.name <> coalesce(old_name, '')
       AND CASE WHEN r.stream = rule.stream THEN r.relation <> rule.relation
                ELSE weir.streams_meet(r.stream, rule.stream) END
     ORDER BY r.name
     LIMIT 1;
    IF FOUND AND other.stream = rule.stream THEN
        RAISE EXCEPTION
                'rows of % and of % (rule "%") would both be of type "%" in the same streams',
                rule.relation, other.relation, other.name, event_type
            USING ERRCODE = 'unique_violation', HINT = 'give one of the two rules another type';
    ELSIF FOUND THEN
        RAISE EXCEPTION 'the streams "%" and "%" (rule "%") can be one stream, and would both have rows of type "%"',
                rule.stream, other.stream, other.name, event_type
            USING ERRCODE = 'unique_violation',
                  HINT = 'give one of the two rules another type, or a stream that no subject makes the other''s';
    END IF;
END
$$;

-- A rule may be written before its table is published: that is worth a word, not a refusal.
CREATE OR REPLACE FUNCTION weir.notice_unpublished(target regclass) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    publications text[];
BEGIN
    -- Most are published by name, which an index tells; the view looks at all tables.
    IF EXISTS (SELECT FROM pg_publication_rel p JOIN pg_publication_rel rules USING (prpubid)
                WHERE p.prrelid = target AND rules.prrelid = 'weir.rules'::regclass) THEN
        RETURN;
    END IF;
    SELECT array_agg(quote_ident(p.pubname)) INTO publications
      FROM pg_publication_tables p WHERE p.schemaname = 'weir' AND p.tablename = 'rules';
    IF EXISTS (SELECT FROM pg_publication_tables p
                 JOIN pg_namespace n ON n.nspname = p.schemaname
                 JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename
                WHERE c.oid = target AND quote_ident(p.pubname) = ANY (publications)) THEN
        RETURN;
    END IF;
    RAISE NOTICE 'table % is not published yet, so the rule shows nothing', target
        USING HINT = format('ALTER PUBLICATION %s ADD TABLE %s;',
            coalesce(publications[1], 'weir'), target);
END
$$;

CREATE OR REPLACE FUNCTION weir.check_rule() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- What must not be NULL is named by its constraint, which comes after this.
    IF NEW.name IS NULL OR NEW.relation IS NULL OR NEW.audience IS NULL OR NEW.stream IS NULL THEN
        RETURN NEW;
    END IF;
    IF NEW.name = '' THEN
        RAISE EXCEPTION 'a rule has the empty name'
            USING ERRCODE = 'check_violation', HINT = 'name it after what it allows';
    END IF;
    IF NEW.type = '' THEN
        RAISE EXCEPTION 'type is empty'
            USING ERRCODE = 'check_violation', HINT = 'NULL stands for the name of the table';
    END IF;
    PERFORM weir.check_relation(NEW.relation);
    PERFORM weir.check_columns(NEW.relation, NEW.columns);
    PERFORM weir.check_stream(NEW.stream);
    PERFORM weir.check_channel(NEW, CASE TG_OP WHEN 'UPDATE' THEN OLD.name ELSE NEW.name END);
    PERFORM weir.check_audience(NEW.relation, NEW.audience);
    PERFORM weir.notice_unpublished(NEW.relation);
    RETURN NEW;
END
$$;

CREATE OR REPLACE TRIGGER check_rule BEFORE INSERT OR UPDATE ON weir.rules
    FOR EACH ROW EXECUTE FUNCTION weir.check_rule();
