-- Rows that are too large for a stream, which the bridge writes down here and shows to nobody. Not for
-- the publication. What is no longer of interest may be deleted.

CREATE TABLE IF NOT EXISTS weir.parked (
    slot text NOT NULL,
    lsn pg_lsn NOT NULL,
    relation text NOT NULL,
    key text NOT NULL,
    bytes bigint NOT NULL,
    reason text NOT NULL,
    parked_at timestamptz NOT NULL DEFAULT now(),
    ended_lsn pg_lsn
);
-- A bridge that comes back after a crash may write the same again. Keys may be too long for an index.
CREATE UNIQUE INDEX IF NOT EXISTS parked_once ON weir.parked (slot, lsn, relation, md5(key));

COMMENT ON TABLE weir.parked IS
    'rows that are larger than the bridge''s --max-event, and so are shown to nobody';
COMMENT ON COLUMN weir.parked.slot IS 'of the bridge that found it';
COMMENT ON COLUMN weir.parked.lsn IS 'the end of the transaction that made the row so large';
COMMENT ON COLUMN weir.parked.key IS 'the row''s primary key as events have it';
COMMENT ON COLUMN weir.parked.bytes IS 'of the row as JSON';
COMMENT ON COLUMN weir.parked.ended_lsn IS
    'the end of the transaction that deleted the row or changed it again; NULL: it is parked now';

-- A bridge that writes the status of rules writes this as well, and its role was made before there was it.
DO $$
DECLARE
    writer oid;
BEGIN
    FOR writer IN
        SELECT acl.grantee FROM pg_catalog.pg_class c, pg_catalog.aclexplode(c.relacl) acl
         WHERE c.oid = 'weir.rule_status'::regclass AND acl.privilege_type = 'INSERT'
           AND acl.grantee NOT IN (0, c.relowner)
    LOOP
        EXECUTE pg_catalog.format('GRANT SELECT, INSERT, UPDATE ON weir.parked TO %s',
                                  writer::regrole);
    END LOOP;
END
$$;
