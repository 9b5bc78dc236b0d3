-- Publication weir: what the bridge follows. The rule table is in it, so that an edit of a rule
-- arrives in order with the rows. Tables of the application are added by hand:
--
--   ALTER PUBLICATION weir ADD TABLE app.todos, app.members;

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_publication WHERE pubname = 'weir') THEN
        CREATE PUBLICATION weir FOR TABLE weir.rules;
    ELSIF NOT EXISTS (SELECT FROM pg_catalog.pg_publication_tables
                      WHERE pubname = 'weir' AND schemaname = 'weir' AND tablename = 'rules') THEN
        ALTER PUBLICATION weir ADD TABLE weir.rules;
    END IF;
END
$$;
