-- Publication weir: what the bridge follows. The rule table and the revocations are in it, so that an
-- edit of a rule arrives in order with the rows. Tables of the application are added by hand:
--
--   ALTER PUBLICATION weir ADD TABLE app.todos, app.members;

DO $$
DECLARE
    owner CONSTANT oid := (
        SELECT p.pubowner FROM pg_catalog.pg_publication p WHERE p.pubname = 'weir');
    missing CONSTANT text := (
        SELECT pg_catalog.string_agg(item, ', ' ORDER BY item DESC)
          FROM pg_catalog.unnest(ARRAY['weir.rules', 'weir.revoked']) item
         WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_publication_tables
                            WHERE pubname = 'weir' AND schemaname || '.' || tablename = item));
BEGIN
    IF owner IS NULL THEN
        CREATE PUBLICATION weir FOR TABLE weir.rules, weir.revoked;
        RETURN;
    END IF;
    IF missing IS NULL THEN
        RETURN;
    END IF;
    IF NOT pg_catalog.pg_has_role(owner, 'USAGE') THEN
        RAISE EXCEPTION 'publication weir exists and belongs to role %',
                pg_catalog.pg_get_userbyid(owner)
            USING ERRCODE = 'insufficient_privilege',
                  HINT = pg_catalog.format('ALTER PUBLICATION weir OWNER TO %I;', current_user);
    END IF;
    EXECUTE 'ALTER PUBLICATION weir ADD TABLE ' || missing;
END
$$;
