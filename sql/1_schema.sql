-- Schema weir, and the version of what is in it.
--
-- The files of this folder, in the order of their names, are what `weir install` runs in one
-- transaction. By hand, as the owner of the database:
--
--     psql --single-transaction -v ON_ERROR_STOP=1 -f 1_schema.sql -f 2_tables.sql \
--          -f 3_checks.sql -f 4_publication.sql
--
-- Running them again changes nothing, or brings an older version up to this one. They need neither
-- a superuser nor an extension, only CREATE on the database.

-- Two installations at once wait for each other.
DO $$
BEGIN
    PERFORM pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('weir install'));
END
$$;

CREATE SCHEMA IF NOT EXISTS weir;
COMMENT ON SCHEMA weir IS 'who may see which rows, for weir bridge';

DO $$
BEGIN
    IF pg_catalog.to_regclass('weir.rules') IS NOT NULL
       AND pg_catalog.to_regclass('weir.schema_version') IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'duplicate_table',
            MESSAGE = 'schema weir holds a table rules that Weir did not make',
            HINT = 'rename or drop that table, then install again';
    END IF;
END
$$;

CREATE TABLE IF NOT EXISTS weir.schema_version (
    is_only      boolean     PRIMARY KEY DEFAULT true CONSTRAINT one_row CHECK (is_only),
    version      integer     NOT NULL,
    installed_at timestamptz NOT NULL DEFAULT pg_catalog.now()
);
COMMENT ON TABLE weir.schema_version IS 'the version of schema weir, in one row';

DO $$
DECLARE
    this_version CONSTANT integer := 1;
    there integer := (SELECT v.version FROM weir.schema_version v);
BEGIN
    IF there > this_version THEN
        RAISE EXCEPTION USING
            ERRCODE = 'feature_not_supported',
            MESSAGE = pg_catalog.format(
                'schema weir has version %s, newer than version %s of this program',
                there, this_version),
            HINT = 'install with a newer weir';
    END IF;
    IF there IS DISTINCT FROM this_version THEN
        INSERT INTO weir.schema_version AS v (version) VALUES (this_version)
            ON CONFLICT (is_only) DO UPDATE
            SET version = excluded.version, installed_at = excluded.installed_at;
    END IF;
END
$$;
