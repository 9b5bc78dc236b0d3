-- weir.explain: which rules let a subject see a row, as Postgres answers it from the rules' own SQL.
--
-- It runs with the rights of its caller, who needs SELECT on weir.rules, weir.rule_status, and on
-- what the audiences read; and read-only, whatever functions an audience calls. The settings are the
-- bridge's, as texts of dates and bytes depend on them.

-- The columns of a table that are published beside weir.rules; NULL: the table is not.
CREATE OR REPLACE FUNCTION weir.published_columns(target regclass) RETURNS name[]
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT p.attnames
      FROM pg_publication_tables rules
      JOIN pg_publication_tables p ON p.pubname = rules.pubname
      JOIN pg_namespace n ON n.nspname = p.schemaname
      JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename
     WHERE rules.schemaname = 'weir' AND rules.tablename = 'rules' AND c.oid = target
     ORDER BY p.pubname LIMIT 1
$$;

-- The table as the bridge reads it: without tables that inherit from it, with its partitions.
CREATE OR REPLACE FUNCTION weir.whole_table(target regclass) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT format('%s%I.%I', CASE c.relkind WHEN 'p' THEN '' ELSE 'ONLY ' END, n.nspname, c.relname)
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = target
$$;

-- What of a table is published, beside weir.rules, where that is not all of it: the rows of its row
-- filter, the columns of its column list. NULL: all, or nothing.
CREATE OR REPLACE FUNCTION weir.published_part(target regclass) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT format('SELECT tableoid, ctid, %s FROM %s%s',
                  (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum)
                     FROM pg_attribute a
                    WHERE a.attrelid = target AND a.attnum > 0 AND NOT a.attisdropped
                      AND (member.prattrs IS NULL OR a.attnum = ANY (member.prattrs::int2[]))),
                  weir.whole_table(target),
                  ' WHERE ' || pg_get_expr(member.prqual, target))
      FROM pg_publication_tables rules
      JOIN pg_publication publication ON publication.pubname = rules.pubname
      JOIN pg_publication_rel member ON member.prpubid = publication.oid
     WHERE rules.schemaname = 'weir' AND rules.tablename = 'rules' AND member.prrelid = target
       AND (member.prqual IS NOT NULL OR member.prattrs IS NOT NULL)
     ORDER BY rules.pubname LIMIT 1
$$;

CREATE OR REPLACE FUNCTION weir.from_table(target regclass) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce('FROM (' || weir.published_part(target) || format(') AS %I', c.relname),
                    'FROM ' || weir.whole_table(target))
      FROM pg_class c WHERE c.oid = target
$$;

-- The tables of which only a part is published, as names that an audience may mean: WITH hides a table
-- that is named without its schema. One that is named with it cannot be hidden.
CREATE OR REPLACE FUNCTION weir.published_parts(target regclass, audience text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found record;
    parts text;
BEGIN
    FOR found IN
        SELECT c.oid::regclass AS table_of, c.relname, weir.published_part(c.oid) AS part,
               n.oid = own.relnamespace OR (n.nspname = 'public' AND NOT EXISTS (
                   SELECT FROM pg_class nearer WHERE nearer.relnamespace = own.relnamespace
                      AND nearer.relname = c.relname)) AS is_near
          FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
          JOIN pg_class own ON own.oid = target
         WHERE c.oid IN (SELECT prrelid FROM pg_publication_rel
                          WHERE prqual IS NOT NULL OR prattrs IS NOT NULL)
         ORDER BY c.relname
    LOOP
        CONTINUE WHEN found.part IS NULL;
        IF audience ~* ('\.\s*"?' || regexp_replace(found.relname, '(\W)', '\\\1', 'g') || '(?![\w$])') THEN
            RAISE EXCEPTION 'only a part of table % is published, and the audience names it with its schema',
                found.table_of
                USING ERRCODE = 'feature_not_supported',
                      HINT = 'name it without its schema, or give the column of that name another';
        END IF;
        IF found.is_near THEN
            parts := concat_ws(', ', parts, format('%I AS NOT MATERIALIZED (%s)', found.relname, found.part));
        END IF;
    END LOOP;
    RETURN parts;
END
$$;

-- Each row of the table beside each of its subjects, as weir.check_audience() has planned it.
CREATE OR REPLACE FUNCTION weir.from_audience(target regclass, audience text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT weir.from_table(target)
           || format(E', LATERAL (%s(\n%s\n)) AS weir_audience(subject)',
                     'WITH ' || weir.published_parts(target, audience) || ' ', audience)
$$;

-- Where names of an audience are looked up.
CREATE OR REPLACE FUNCTION weir.path_of(target regclass) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT format('%I, public, pg_temp', n.nspname)
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = target
$$;

-- A key of the events, in its parts: itself, or the texts of a JSON array.
CREATE OR REPLACE FUNCTION weir.key_parts(target regclass, key text, column_count integer)
RETURNS text[]
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    parts text[];
BEGIN
    IF column_count = 1 THEN
        RETURN ARRAY[key];
    END IF;
    BEGIN
        parts := ARRAY(SELECT part.value FROM jsonb_array_elements_text(key::jsonb)
                                              WITH ORDINALITY part(value, position)
                        ORDER BY part.position);
    EXCEPTION WHEN data_exception THEN
        NULL;
    END;
    IF cardinality(parts) IS DISTINCT FROM column_count OR array_position(parts, NULL) > 0 THEN
        RAISE EXCEPTION 'a key of table % is a JSON array of % texts', target, column_count
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = format('as in the key of an event: %s',
                      (SELECT to_json(array_agg(format('value %s', i))) FROM generate_series(1, column_count) i));
    END IF;
    RETURN parts;
END
$$;

-- The condition that finds the row of a key by the primary key's index: its own equality, wherever
-- that is, and literals of the columns' types without their length, which would cut them off.
CREATE OR REPLACE FUNCTION weir.key_condition(target regclass, key text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH key_columns AS (
        SELECT k.position, a.attname, a.atttypid, equality.oprname, equality_schema.nspname,
               count(*) OVER () AS column_count
          FROM pg_index i
          JOIN unnest(i.indkey::int2[], i.indclass::oid[]) WITH ORDINALITY
               AS k(attnum, class, position) ON k.position <= i.indnkeyatts
          JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
          JOIN pg_opclass class ON class.oid = k.class
          JOIN pg_amop member ON member.amopfamily = class.opcfamily AND member.amopstrategy = 3
           AND member.amoplefttype = class.opcintype AND member.amoprighttype = class.opcintype
          JOIN pg_operator equality ON equality.oid = member.amopopr
          JOIN pg_namespace equality_schema ON equality_schema.oid = equality.oprnamespace
         WHERE i.indrelid = target AND i.indisprimary)
    SELECT string_agg(
               format('%I.%I OPERATOR(%I.%s) %L::%s', c.relname, k.attname, k.nspname, k.oprname,
                      (weir.key_parts(target, key, k.column_count::integer))[k.position],
                      format_type(k.atttypid, -1)),
               ' AND ' ORDER BY k.position)
      FROM key_columns k, pg_class c WHERE c.oid = target
$$;

-- One answer of a statement that is about a table and has the subject as its parameter.
CREATE OR REPLACE FUNCTION weir.ask(target regclass, statement text, subject text) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    answer boolean;
BEGIN
    PERFORM set_config('search_path', weir.path_of(target), true);
    EXECUTE statement INTO answer USING subject;
    RETURN answer;
END
$$;

-- Whether a rule shows the row to the subject; NULL when that cannot be told, with the reason.
CREATE OR REPLACE FUNCTION weir.judge(rule weir.rules, key text, subject text,
                                      OUT is_visible boolean, OUT reason text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    status record;
BEGIN
    SELECT s.state, s.reason INTO status FROM weir.rule_status s WHERE s.name = rule.name;
    IF status.state = 'refused' THEN
        is_visible := false;
        reason := 'the bridge has refused the rule: ' || status.reason;
        RETURN;
    END IF;
    is_visible := weir.ask(rule.relation,
        format('SELECT EXISTS (SELECT %s WHERE %s AND weir_audience.subject::pg_catalog.text COLLATE pg_catalog."C" = $1)',
               weir.from_audience(rule.relation, rule.audience),
               weir.key_condition(rule.relation, key)),
        subject);
    reason := CASE
        WHEN NOT is_visible THEN 'the audience does not select this subject'
        WHEN status.state IS NULL THEN 'the bridge has not seen the rule yet'
    END;
EXCEPTION WHEN OTHERS THEN
    is_visible := NULL;
    reason := 'the audience cannot be evaluated: ' || SQLERRM;
END
$$;

-- One row a rule of the table; one row without a rule where no rule can show the row. stream is the
-- rule's pattern, columns are those that the rule shows.
CREATE OR REPLACE FUNCTION weir.explain(subject text, relation regclass, key text)
RETURNS TABLE (rule text, is_visible boolean, stream text, columns name[], reason text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET transaction_read_only = on
SET row_security = off
SET timezone = 'UTC' SET datestyle = 'ISO' SET intervalstyle = 'postgres' SET bytea_output = 'hex'
SET standard_conforming_strings = on SET transform_null_equals = off SET array_nulls = on
AS $$
DECLARE
    published CONSTANT name[] := weir.published_columns(relation);
    found_rule weir.rules;
BEGIN
    PERFORM weir.check_relation(relation);
    is_visible := false;
    reason := CASE
        WHEN published IS NULL
            THEN format('table %s is not published, so nobody sees its rows', relation)
        WHEN NOT weir.ask(relation, format('SELECT EXISTS (SELECT FROM %s WHERE %s)',
                          weir.whole_table(relation), weir.key_condition(relation, key)), NULL)
            THEN format('table %s has no row with this key', relation)
        WHEN NOT weir.ask(relation, format('SELECT EXISTS (SELECT %s WHERE %s)',
                          weir.from_table(relation), weir.key_condition(relation, key)), NULL)
            THEN format('the row is outside of the row filter with which table %s is published', relation)
        WHEN NOT EXISTS (SELECT FROM weir.rules r WHERE r.relation = explain.relation)
            THEN format('no rule shows rows of table %s', relation)
    END;
    IF reason IS NOT NULL THEN
        RETURN NEXT;
        RETURN;
    END IF;
    FOR found_rule IN
        SELECT r.* FROM weir.rules r WHERE r.relation = explain.relation ORDER BY r.name
    LOOP
        rule := found_rule.name;
        stream := found_rule.stream;
        columns := coalesce(found_rule.columns, published);
        SELECT j.is_visible, j.reason INTO is_visible, reason
          FROM weir.judge(found_rule, key, subject) j;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION weir.explain(text, regclass, text) IS
    'which rules let this subject see the row with this key, and why the others do not';
