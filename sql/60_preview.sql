-- weir.preview: who would gain and who would lose how many rows, if a rule had this audience.
--
-- Of one table, by one statement over all its rows, with the caller's rights and read-only, as
-- weir.explain(). Memory is bounded by work_mem, time by statement_timeout.

-- The statement that lists, for one rule, which subject sees which row.
CREATE OR REPLACE FUNCTION weir.list_audience(part text, target regclass, audience text)
RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT format('SELECT %L AS part, %I.tableoid AS source, %I.ctid AS place,'
                  ' weir_audience.subject::pg_catalog.text COLLATE pg_catalog."C" AS subject %s',
                  part, c.relname, c.relname, weir.from_audience(target, audience))
      FROM pg_class c WHERE c.oid = target
$$;

-- The rule that an audience would replace; without a name, one that is not there yet.
CREATE OR REPLACE FUNCTION weir.rule_to_replace(target regclass, name text) RETURNS weir.rules
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    rule weir.rules;
BEGIN
    IF name IS NULL THEN
        rule.stream := 'user/{subject}/data';
        RETURN rule;
    END IF;
    SELECT r.* INTO rule FROM weir.rules r WHERE r.name = rule_to_replace.name;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no rule "%"', name
            USING ERRCODE = 'undefined_object', HINT = 'leave the name out to preview a new rule';
    END IF;
    IF rule.relation <> target THEN
        RAISE EXCEPTION 'rule "%" is about table %, and not about %', name, rule.relation, target
            USING ERRCODE = 'invalid_parameter_value', HINT = 'name the table of the rule';
    END IF;
    RETURN rule;
END
$$;

-- A row that another rule shows in the same stream under the same type is neither gained nor lost. A
-- rule that the bridge has refused shows nothing.
CREATE OR REPLACE FUNCTION weir.preview(relation regclass, audience text, name text DEFAULT NULL)
RETURNS TABLE (subject text, gains bigint, losses bigint)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET transaction_read_only = on
SET row_security = off
SET timezone = 'UTC' SET datestyle = 'ISO' SET intervalstyle = 'postgres' SET bytea_output = 'hex'
SET standard_conforming_strings = on SET transform_null_equals = off SET array_nulls = on
AS $$
DECLARE
    replaced weir.rules;
    parts text;
BEGIN
    PERFORM weir.check_relation(relation);
    PERFORM weir.check_audience(relation, audience);
    PERFORM weir.notice_unpublished(relation);
    replaced := weir.rule_to_replace(relation, name);
    SELECT string_agg(weir.list_audience(
                          CASE WHEN r.name = replaced.name THEN 'old' ELSE 'other' END,
                          r.relation, r.audience),
                      E'\nUNION ALL\n')
      INTO parts
      FROM weir.rules r LEFT JOIN weir.rule_status s ON s.name = r.name
      JOIN pg_class c ON c.oid = r.relation
     WHERE r.relation = preview.relation AND s.state IS DISTINCT FROM 'refused'
       AND r.stream = replaced.stream
       AND coalesce(r.type, c.relname) = coalesce(replaced.type, c.relname);
    PERFORM set_config('search_path', weir.path_of(relation), true);
    RETURN QUERY EXECUTE format(
        'SELECT seen.subject, count(*) FILTER (WHERE NOT is_old), count(*) FILTER (WHERE is_old)'
        '  FROM (SELECT shown.subject, bool_or(part = ''old'') AS is_old FROM (%s) AS shown'
        '         WHERE shown.subject IS NOT NULL'
        '         GROUP BY shown.subject, source, place'
        '        HAVING NOT bool_or(part = ''other'')'
        '           AND bool_or(part = ''old'') <> bool_or(part = ''new'')) AS seen'
        ' GROUP BY seen.subject ORDER BY seen.subject',
        concat_ws(E'\nUNION ALL\n', weir.list_audience('new', relation, audience), parts));
END
$$;
COMMENT ON FUNCTION weir.preview(regclass, text, text) IS
    'who would gain and lose how many rows by a new audience, or by another one for a rule';
