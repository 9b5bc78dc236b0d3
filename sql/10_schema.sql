-- Schema weir and its version.
--
-- The files of this folder, in the order of their names and in one transaction, are what
-- `weir install` runs. By hand, as the owner of the database:
--
--   psql -1 -v ON_ERROR_STOP=1 -f 10_schema.sql -f 20_tables.sql -f 25_parked.sql \
--        -f 30_rule_checks.sql -f 40_publication.sql -f 50_explain.sql -f 60_preview.sql
--
-- Running them again changes nothing, or brings an older version up to this one. They need CREATE
-- on the database, no superuser and no extension; whoever ran them first runs them again.

-- Two installations at once wait for each other.
DO $$
BEGIN
    PERFORM pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('weir install'));
END
$$;

-- Not without the rights, and not over somebody else's schema of that name.
DO $$
DECLARE
    weir CONSTANT oid := pg_catalog.to_regnamespace('weir');
    owner CONSTANT oid := (SELECT n.nspowner FROM pg_catalog.pg_namespace n WHERE n.oid = weir);
    database CONSTANT name := pg_catalog.current_database();
BEGIN
    IF NOT pg_catalog.pg_has_role(owner, 'USAGE') THEN
        RAISE EXCEPTION 'schema weir belongs to role %', pg_catalog.pg_get_userbyid(owner)
            USING ERRCODE = 'insufficient_privilege', HINT = 'install as that role';
    END IF;
    IF pg_catalog.to_regclass('weir.schema_version') IS NULL
       AND EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.relnamespace = weir) THEN
        RAISE EXCEPTION 'schema weir exists, and weir has not made it'
            USING ERRCODE = 'duplicate_schema',
                  HINT = 'ALTER SCHEMA weir RENAME TO another_name;';
    END IF;
    IF NOT pg_catalog.has_database_privilege(database, 'CREATE') THEN
        RAISE EXCEPTION 'role % may not make a schema in database %', current_user, database
            USING ERRCODE = 'insufficient_privilege',
                  HINT = pg_catalog.format('install as the owner of the database, or '
                      'GRANT CREATE ON DATABASE %I TO %I;', database, current_user);
    END IF;
END
$$;

CREATE SCHEMA IF NOT EXISTS weir;
COMMENT ON SCHEMA weir IS 'who may see which rows: see the table weir.rules';

CREATE TABLE IF NOT EXISTS weir.schema_version (
    is_only boolean PRIMARY KEY DEFAULT true CONSTRAINT schema_version_one_row CHECK (is_only),
    version integer NOT NULL,
    installed_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE weir.schema_version IS 'the version of schema weir, in one row';
GRANT SELECT ON weir.schema_version TO PUBLIC; -- who may use the schema at all

-- Forwards only: what a newer version added, these files know nothing of.
DO $$
DECLARE
    here CONSTANT integer := 2;
    there CONSTANT integer := (SELECT version FROM weir.schema_version);
BEGIN
    IF there > here THEN
        RAISE EXCEPTION 'schema weir has version %, and these files make version %', there, here
            USING HINT = 'install with the newer weir that made it';
    END IF;
    IF there IS DISTINCT FROM here THEN
        INSERT INTO weir.schema_version (version) VALUES (here)
            ON CONFLICT (is_only) DO UPDATE
            SET version = excluded.version, installed_at = excluded.installed_at;
    END IF;
END
$$;
