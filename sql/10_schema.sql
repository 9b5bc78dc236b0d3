-- Schema weir and its version.
--
-- The files of this folder, in the order of their names and in one transaction, are what
-- `weir install` does:
--
--   psql -1 -v ON_ERROR_STOP=1 -f 10_schema.sql -f 20_tables.sql -f 30_rule_checks.sql -f 40_publication.sql
--
-- They may be run again at any time, on a database of any earlier version, by the role that ran
-- them first: the owner of the database, or a role with CREATE on it. No superuser, no extension.

-- Not over somebody else's schema of that name, and not backwards.
DO $$
DECLARE
    newest CONSTANT integer := 1;
    installed integer;
BEGIN
    IF pg_catalog.to_regclass('weir.schema_version') IS NOT NULL THEN
        SELECT max(version) INTO installed FROM weir.schema_version;
        IF installed > newest THEN
            RAISE EXCEPTION 'schema weir has version %, and these files make version %', installed, newest
                USING HINT = 'install with the newer weir that made it';
        END IF;
    ELSIF EXISTS (SELECT FROM pg_catalog.pg_class c
                  WHERE c.relnamespace = pg_catalog.to_regnamespace('weir')) THEN
        RAISE EXCEPTION 'schema weir exists, and weir has not made it'
            USING HINT = 'ALTER SCHEMA weir RENAME TO another_name;';
    END IF;
END
$$;

CREATE SCHEMA IF NOT EXISTS weir;
COMMENT ON SCHEMA weir IS 'who may see which rows: see the table weir.rules';

CREATE TABLE IF NOT EXISTS weir.schema_version (
    version integer PRIMARY KEY,
    installed_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE weir.schema_version IS 'versions of schema weir that were installed here; the highest one counts';

INSERT INTO weir.schema_version (version) VALUES (1) ON CONFLICT DO NOTHING;
