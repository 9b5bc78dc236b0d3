-- Publication weir: what the bridge follows. The rule table is in it, so that an edit of a rule
-- arrives in order with the rows. Tables of the application are added by hand:
--
--   ALTER PUBLICATION weir ADD TABLE app.todos, app.members;

DO $$
DECLARE
    owner CONSTANT oid := (
        SELECT p.pubowner FROM pg_catalog.pg_publication p WHERE p.pubname = 'weir');
BEGIN
    IF owner IS NULL THEN
        CREATE PUBLICATION weir FOR TABLE weir.rules;
        RETURN;
    END IF;
    IF EXISTS (SELECT FROM pg_catalog.pg_publication_tables
                WHERE pubname = 'weir' AND schemaname = 'weir' AND tablename = 'rules') THEN
        RETURN;
    END IF;
    IF NOT pg_catalog.pg_has_role(owner, 'USAGE') THEN
        RAISE EXCEPTION 'publication weir exists and belongs to role %',
                pg_catalog.pg_get_userbyid(owner)
            USING ERRCODE = 'insufficient_privilege',
                  HINT = pg_catalog.format('ALTER PUBLICATION weir OWNER TO %I;', current_user);
    END IF;
    ALTER PUBLICATION weir ADD TABLE weir.rules;
END
$$;
