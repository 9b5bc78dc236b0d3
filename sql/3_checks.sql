-- A rule is checked when it is written, so that a mistake fails in psql and not in a log: Postgres
-- itself plans the audience. Whether the bridge can follow a rule that Postgres understands is in
-- weir.rule_status afterwards.
--
-- Everything runs with the rights of whoever writes the rule: nobody can show others a table that
-- they may not read themselves.

CREATE OR REPLACE FUNCTION weir.qualified_name(relation regclass) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT format('%I.%I', n.nspname, c.relname)
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = relation
$$;

-- A table that can be followed: permanent, the application's, with a primary key.
CREATE OR REPLACE FUNCTION weir.check_relation(relation regclass) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    table_name text := weir.qualified_name(relation);
    class pg_class;
BEGIN
    SELECT c.* INTO class FROM pg_class c WHERE c.oid = relation;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'undefined_table',
            MESSAGE = format('there is no table with oid %s any more', relation::oid),
            HINT = 'set relation to the table''s name again, or delete the rule';
    END IF;
    IF class.relkind NOT IN ('r', 'p') THEN
        RAISE EXCEPTION USING
            ERRCODE = 'wrong_object_type',
            MESSAGE = format('%s is not a table', table_name),
            HINT = 'write the rule for the tables that hold its rows';
    END IF;
    IF class.relnamespace IN ('pg_catalog'::regnamespace, 'weir'::regnamespace)
       OR table_name LIKE 'information\_schema.%' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'wrong_object_type',
            MESSAGE = format('table %s belongs to the system', table_name),
            HINT = 'rules show tables of the application';
    END IF;
    IF class.relpersistence <> 'p' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'wrong_object_type',
            MESSAGE = format('table %s is %s, so its changes cannot be followed', table_name,
                CASE class.relpersistence WHEN 'u' THEN 'unlogged' ELSE 'temporary' END),
            HINT = CASE class.relpersistence
                WHEN 'u' THEN format('ALTER TABLE %s SET LOGGED', table_name)
                ELSE 'use an ordinary table' END;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = class.oid AND i.indisprimary) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'invalid_table_definition',
            MESSAGE = format('table %s has no primary key, so its rows cannot be told apart',
                table_name),
            HINT = format('ALTER TABLE %s ADD PRIMARY KEY (...)', table_name);
    END IF;
END
$$;

CREATE OR REPLACE FUNCTION weir.check_columns(relation regclass, columns name[]) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    unknown text;
BEGIN
    SELECT coalesce(quote_ident(wanted.name::text), 'NULL') INTO unknown
      FROM unnest(columns) AS wanted(name)
     WHERE NOT EXISTS (
        SELECT FROM pg_attribute a
         WHERE a.attrelid = relation AND a.attname = wanted.name
           AND a.attnum > 0 AND NOT a.attisdropped)
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'undefined_column',
            MESSAGE = format('column %s of table %s does not exist', unknown,
                weir.qualified_name(relation)),
            HINT = (SELECT format('it has %s',
                        string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum))
                      FROM pg_attribute a
                     WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped);
    END IF;
END
$$;

-- A pattern that is a path whatever the subject is, and never one of the stream server's own.
CREATE OR REPLACE FUNCTION weir.check_stream(stream text) RETURNS void
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    segments text[] := string_to_array(stream, '/');
    problem text;
BEGIN
    problem := CASE
        WHEN cardinality(string_to_array(stream, '{subject}')) <> 2
            THEN 'does not hold {subject} exactly once'
        WHEN '' = ANY (segments) THEN 'has an empty segment'
        WHEN EXISTS (SELECT FROM unnest(segments) AS s(segment)
                      WHERE replace(s.segment, '{subject}', '') ~ '^\.+$')
            THEN 'has a segment of dots'
        WHEN segments[1] IN ('__weir', '__ds') THEN 'begins with a reserved segment'
        WHEN stream ~ '[[:cntrl:]]' THEN 'has a control character'
        WHEN octet_length(stream) > 500 THEN 'is longer than 500 bytes'
    END;
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value',
            MESSAGE = format('stream "%s" %s', left(stream, 100), problem),
            HINT = 'write a path such as user/{subject}/data, without a slash in front';
    END IF;
END
$$;

-- Has Postgres plan the audience beside a row of the table; nothing is executed.
--
-- The audience stands on lines of its own, as it may end in a comment. ARRAY() takes a query of
-- exactly one column. A cursor holds one statement only: a text that ends this one and begins
-- another is refused. Names are looked up as the bridge does: in the table's schema, then in
-- public; from there on nothing else is looked up here.
CREATE OR REPLACE FUNCTION weir.check_audience(relation regclass, audience text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    query text := format(
        E'EXPLAIN (COSTS OFF) SELECT FROM %s, LATERAL (SELECT ARRAY(\n%s\n)) AS "its audience"',
        weir.qualified_name(relation), audience);
    path text := (
        SELECT format('%I, public, pg_temp', n.nspname)
          FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = relation);
    plan refcursor;
    line text;
BEGIN
    PERFORM set_config('search_path', path, true);
    OPEN plan FOR EXECUTE query;
    FETCH plan INTO line;
    CLOSE plan;
END
$$;

-- Two tables cannot share a type within one stream: their keys would mix.
CREATE OR REPLACE FUNCTION weir.check_type(rule weir.rules) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    other record;
BEGIN
    SELECT r.name, weir.qualified_name(r.relation) AS table_name, c.type INTO other
      FROM weir.rules r
      JOIN pg_class theirs ON theirs.oid = r.relation
      JOIN pg_class ours ON ours.oid = rule.relation
      CROSS JOIN LATERAL (SELECT coalesce(rule.type, ours.relname)) AS c(type)
     WHERE r.name <> rule.name AND r.relation <> rule.relation AND r.stream = rule.stream
       AND coalesce(r.type, theirs.relname) = c.type
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'unique_violation',
            MESSAGE = format('rule "%s" already has type "%s" in these streams, for table %s',
                other.name, other.type, other.table_name),
            HINT = 'give one of the two rules another type';
    END IF;
END
$$;

-- Not a mistake: the table may be added after its rule.
CREATE OR REPLACE FUNCTION weir.note_unpublished(relation regclass) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_class c
          JOIN pg_namespace n ON n.oid = c.relnamespace
          JOIN pg_publication_tables t ON t.schemaname = n.nspname AND t.tablename = c.relname
          JOIN pg_publication_tables rules ON rules.pubname = t.pubname
           AND rules.schemaname = 'weir' AND rules.tablename = 'rules'
         WHERE c.oid = relation)
       AND NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = relation) THEN
        RAISE NOTICE USING
            MESSAGE = format('table %s is not published yet', weir.qualified_name(relation)),
            HINT = format('ALTER PUBLICATION weir ADD TABLE %s',
                weir.qualified_name(relation));
    END IF;
END
$$;

CREATE OR REPLACE FUNCTION weir.check_rule() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- What is NULL here is refused by its column, with a message that names it.
    IF NEW.relation IS NULL OR NEW.audience IS NULL OR NEW.stream IS NULL THEN
        RETURN NEW;
    END IF;
    PERFORM weir.check_relation(NEW.relation);
    PERFORM weir.check_columns(NEW.relation, NEW.columns);
    PERFORM weir.check_stream(NEW.stream);
    PERFORM weir.check_type(NEW);
    PERFORM weir.check_audience(NEW.relation, NEW.audience);
    PERFORM weir.note_unpublished(NEW.relation);
    RETURN NEW;
END
$$;

CREATE OR REPLACE TRIGGER check_rule BEFORE INSERT OR UPDATE ON weir.rules
    FOR EACH ROW EXECUTE FUNCTION weir.check_rule();
