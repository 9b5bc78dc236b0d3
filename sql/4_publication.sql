-- Publication weir: what may leave the database. The rule table is in it, so that an edit of a rule
-- arrives in its place among the changes of the data. Tables are added by hand:
--
--     ALTER PUBLICATION weir ADD TABLE todos, members;

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_publication p WHERE p.pubname = 'weir') THEN
        CREATE PUBLICATION weir FOR TABLE weir.rules;
    ELSIF NOT EXISTS (
        SELECT FROM pg_catalog.pg_publication_tables t
         WHERE t.pubname = 'weir' AND t.schemaname = 'weir' AND t.tablename = 'rules') THEN
        ALTER PUBLICATION weir ADD TABLE weir.rules;
    END IF;
END
$$;
