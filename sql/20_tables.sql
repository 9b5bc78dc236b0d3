-- The rule table and the table of revocations, which people write, and the status of each rule, which
-- the bridge writes. docs/rules.md and docs/access.md explain every column.

CREATE TABLE IF NOT EXISTS weir.rules (
    name text PRIMARY KEY,
    relation regclass NOT NULL,
    audience text NOT NULL,
    columns name[],
    type text,
    stream text NOT NULL DEFAULT 'user/{subject}/data',
    CONSTRAINT rules_name_check CHECK (name <> ''),
    CONSTRAINT rules_columns_check CHECK (cardinality(columns) > 0),
    CONSTRAINT rules_type_check CHECK (type <> ''),
    CONSTRAINT rules_stream_check CHECK (strpos(stream, '{subject}') > 0)
);
-- The bridge reads the table from WAL, where relation is a name, which may since have become another
-- table's; the oid is what the rule was made for.
ALTER TABLE weir.rules
    ADD COLUMN IF NOT EXISTS relation_oid oid GENERATED ALWAYS AS (relation::oid) STORED;
-- Updates and deletes of rules reach the bridge by their key.
ALTER TABLE weir.rules REPLICA IDENTITY DEFAULT;

COMMENT ON TABLE weir.rules IS
    'one rule a row: who may see a row of a table. Several rules on a table add up';
COMMENT ON COLUMN weir.rules.relation IS 'the table whose rows the rule shows';
COMMENT ON COLUMN weir.rules.relation_oid IS 'the table, for the bridge; follows relation';
COMMENT ON COLUMN weir.rules.audience IS
    'a SELECT of subjects, correlated on the row by the table''s own name';
COMMENT ON COLUMN weir.rules.columns IS 'the columns that are shown; NULL: all';
COMMENT ON COLUMN weir.rules.type IS 'the type of the events; NULL: the table''s name';
COMMENT ON COLUMN weir.rules.stream IS 'the path of a subject''s stream, with {subject} in it once';

-- Written by the bridge alone. Not for the publication; in one FOR ALL TABLES the bridge passes it
-- over.
CREATE TABLE IF NOT EXISTS weir.rule_status (
    name text PRIMARY KEY,
    state text NOT NULL,
    reason text,
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT rule_status_state_check CHECK (state IN ('active', 'refused')),
    CONSTRAINT rule_status_reason_check CHECK ((state = 'refused') = (reason IS NOT NULL))
);
COMMENT ON TABLE weir.rule_status IS
    'what the bridge made of each rule; one that is refused shows nothing to anybody';

-- Whose tokens are not accepted any more, though they have not expired. In the publication: the bridge
-- hands each row to the stream server, in order with everything else.
CREATE TABLE IF NOT EXISTS weir.revoked (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subject text NOT NULL,
    jti text,
    since timestamptz NOT NULL DEFAULT clock_timestamp(),
    until timestamptz,
    reason text,
    CONSTRAINT revoked_subject_check CHECK (subject <> ''),
    CONSTRAINT revoked_jti_check CHECK (jti <> '')
);
ALTER TABLE weir.revoked REPLICA IDENTITY DEFAULT;

COMMENT ON TABLE weir.revoked IS
    'a row ends the live reads of a subject and refuses its tokens; deleting the row lifts that';
COMMENT ON COLUMN weir.revoked.subject IS 'the sub of the tokens';
COMMENT ON COLUMN weir.revoked.jti IS 'only the token with this id; NULL: all that are old enough';
COMMENT ON COLUMN weir.revoked.since IS 'tokens issued (iat) up to here are refused';
COMMENT ON COLUMN weir.revoked.until IS 'when the row has no effect any more; NULL: never';
COMMENT ON COLUMN weir.revoked.reason IS 'for people; it never leaves the database';

-- A bridge that follows the rules follows this as well, and its role was made before there was it.
DO $$
DECLARE
    reader oid;
BEGIN
    FOR reader IN
        SELECT acl.grantee FROM pg_catalog.pg_class c, pg_catalog.aclexplode(c.relacl) acl
         WHERE c.oid = 'weir.rules'::regclass AND acl.privilege_type = 'SELECT'
           AND acl.grantee NOT IN (0, c.relowner)
    LOOP
        EXECUTE pg_catalog.format('GRANT SELECT ON weir.revoked TO %s', reader::regrole);
    END LOOP;
END
$$;
