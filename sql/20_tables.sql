-- The rule table, which people write, and the status of each rule, which the bridge writes.
-- docs/rules.md explains every column.

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
