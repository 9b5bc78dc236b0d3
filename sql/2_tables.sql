-- The rule table, which people write, and the status of each rule, which the bridge writes.
-- docs/rules.md explains every column.

CREATE TABLE IF NOT EXISTS weir.rules (
    name     text     PRIMARY KEY,
    relation regclass NOT NULL,
    audience text     NOT NULL,
    columns  name[],
    type     text,
    stream   text     NOT NULL DEFAULT 'user/{subject}/data',
    CONSTRAINT name_is_not_empty CHECK (name <> ''),
    CONSTRAINT columns_are_null_or_some CHECK (pg_catalog.cardinality(columns) > 0),
    CONSTRAINT type_is_null_or_not_empty CHECK (type <> '')
);
-- Edits reach the bridge through the publication; the old row is in its replica.
ALTER TABLE weir.rules REPLICA IDENTITY DEFAULT;

COMMENT ON TABLE weir.rules IS 'who may see each row: several rules on one table add up';
COMMENT ON COLUMN weir.rules.relation IS 'the table whose rows are shown; kept by oid';
COMMENT ON COLUMN weir.rules.audience IS
    'a SELECT of the subjects that may see a row, which it knows by the table''s own name; names are looked up in the table''s schema, then public';
COMMENT ON COLUMN weir.rules.columns IS 'the columns that are shown; NULL: all';
COMMENT ON COLUMN weir.rules.type IS 'the type of the events; NULL: the table''s name';
COMMENT ON COLUMN weir.rules.stream IS 'the path of a subject''s stream';

-- Not for the publication; in one FOR ALL TABLES, the bridge passes it over.
CREATE TABLE IF NOT EXISTS weir.rule_status (
    name       text        PRIMARY KEY,
    state      text        NOT NULL,
    reason     text,
    updated_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    CONSTRAINT state_is_known CHECK (state IN ('active', 'refused')),
    CONSTRAINT refusal_has_a_reason CHECK ((state = 'refused') = (reason IS NOT NULL))
);
COMMENT ON TABLE weir.rule_status IS
    'what the bridge made of each rule; a refused rule shows no rows to anybody';
