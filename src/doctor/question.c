#include "question.h"

/* Tables of the application that are published, as the bridge counts them. */
#define PUBLISHED \
    "(SELECT c.*, n.nspname, format('%I.%I', n.nspname, c.relname) AS full_name, p.pubname," \
    "        p.pubupdate OR p.pubdelete AS has_changes, pr.prattrs, pr.prqual" \
    "   FROM given, pg_publication_tables pt, pg_publication p, pg_namespace n, pg_class c" \
    "   LEFT JOIN pg_publication_rel pr ON pr.prrelid = c.oid" \
    "    AND pr.prpubid = (SELECT oid FROM pg_publication, given WHERE pubname = publication)" \
    "  WHERE pt.pubname = given.publication AND p.pubname = pt.pubname" \
    "    AND n.nspname = pt.schemaname AND c.relnamespace = n.oid AND c.relname = pt.tablename" \
    "    AND n.nspname <> 'weir')"

#define PUBLICATION "(SELECT p.* FROM pg_publication p, given WHERE p.pubname = given.publication)"
#define SLOT        "(SELECT s.* FROM pg_replication_slots s, given WHERE s.slot_name = given.slot)"

#define INSTALL \
    "(SELECT format('weir install --db %L', address || ' user='" \
    "        || (SELECT pg_get_userbyid(datdba) FROM pg_database" \
    "             WHERE datname = current_database())) FROM given)"

#define DROP_SLOT "format('SELECT pg_drop_replication_slot(%L); -- "

const struct question questions_of_kind[] = {
    {"primary", "this is a primary",
     "SELECT 'error', 'Postgres is a standby or still recovers, and a slot is of the primary',"
     "       'give the address of the primary as --db; with several hosts in it, "
     "target_session_attrs=read-write finds the primary'"
     "  WHERE pg_is_in_recovery()"},
    {.check = NULL},
};

const struct question questions_of_server[] = {
    {"version", "this version of Postgres can be followed",
     "SELECT 'error', 'PostgreSQL ' || current_setting('server_version') || ' is older than 15',"
     "       'pg_upgradecluster ' || (current_setting('server_version_num')::int / 10000)::text"
     "       || ' main # to 15 or later'"
     "  WHERE current_setting('server_version_num')::int < 150000"},
    {"role", "the role may replicate",
     "SELECT 'error', format('role %I lacks the attribute REPLICATION', rolname),"
     "       format('ALTER ROLE %I REPLICATION;', rolname)"
     "  FROM pg_roles WHERE rolname = current_user AND NOT rolreplication AND NOT rolsuper"},
    {"wal_level", "wal_level is logical",
     "SELECT 'error', wal.* FROM (" REPLICATION_NO_LOGICAL_WAL_SQL ") wal"},
    {"slots", "a replication slot is free",
     "SELECT CASE WHEN EXISTS (SELECT FROM " SLOT " own) THEN 'warning' ELSE 'error' END, slots.*"
     "  FROM (" REPLICATION_NO_FREE_SLOT_SQL ") slots"},
    {"senders", "a walsender is free",
     "SELECT 'error', 'all ' || setting || ' walsenders of the server are in use',"
     "       'ALTER SYSTEM SET max_wal_senders = ' || (setting::int + 10)::text"
     "       || '; -- and restart Postgres'"
     "  FROM pg_settings WHERE name = 'max_wal_senders'"
     "   AND setting::int <= (SELECT count(*) FROM pg_stat_get_wal_senders())"
     "   AND NOT EXISTS (SELECT FROM " SLOT " own WHERE active)"},
    {"standbys", "no commit waits for the bridge",
     "SELECT 'error', awaited.* FROM (" REPLICATION_AWAITED_SQL ") awaited"},
    {.check = NULL},
};

const struct question questions_of_schema[] = {
    {"schema", "schema weir is installed",
     "SELECT 'error', format('database %I has no schema weir', current_database()), " INSTALL
     "  WHERE NOT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
     "                     WHERE n.nspname = 'weir' AND c.relname = 'schema_version')"},
    {.check = NULL},
};

const struct question questions_of_rights[] = {
    {"schema_rights", "the role may use schema weir",
     "SELECT 'error', format('role %I may not use schema weir', current_user),"
     "       format('GRANT USAGE ON SCHEMA weir TO %I;', current_user)"
     "  FROM pg_namespace n WHERE n.nspname = 'weir' AND NOT has_schema_privilege(n.oid, 'USAGE')"
     " UNION ALL "
     "SELECT 'error', format('role %I lacks %s on weir.%I', current_user, rights, relname),"
     "       format('GRANT %s ON weir.%I TO %I;', rights, relname, current_user)"
     "  FROM (SELECT c.relname, string_agg(needed.item, ', ' ORDER BY needed.item DESC) AS rights"
     "          FROM (VALUES ('rules', 'SELECT'), ('revoked', 'SELECT'), ('schema_version', 'SELECT'),"
     "                       ('rule_status', 'SELECT'), ('rule_status', 'INSERT'),"
     "                       ('rule_status', 'UPDATE'), ('rule_status', 'DELETE'),"
     "                       ('parked', 'SELECT'), ('parked', 'INSERT'), ('parked', 'UPDATE')) needed(name, item)"
     "          JOIN pg_class c ON c.relname = needed.name"
     "          JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'weir'"
     "         WHERE NOT has_table_privilege(c.oid, needed.item) GROUP BY c.relname) missing"},
    {.check = NULL},
};

#define TEXT_OF(number)  TEXT_OF_(number)
#define TEXT_OF_(number) #number
#define VERSION_HERE     "2"
_Static_assert(SCHEMA_VERSION == 2, "VERSION_HERE is its text");

const struct question questions_of_version[] = {
    {"schema_version", "schema weir is up to date",
     "SELECT 'error', 'schema weir has version ' || version::text || ', and this weir works with version " VERSION_HERE
     "',"
     "       CASE WHEN version < " VERSION_HERE " THEN " INSTALL
     "            ELSE 'apt install weir # a newer one, as made schema weir' END"
     "  FROM weir.schema_version WHERE version <> " VERSION_HERE},
    {.check = NULL},
};

const struct question questions_of_publication[] = {
    {"revocations", "revocations are followed",
     "SELECT 'warning', format('publication %I does not hold weir.revoked, so a row there revokes "
     "nothing', pubname), format('ALTER PUBLICATION %I ADD TABLE weir.revoked;', pubname)"
     "  FROM " PUBLICATION " p"
     " WHERE NOT EXISTS (SELECT FROM pg_publication_tables pt WHERE pt.pubname = p.pubname"
     "                      AND pt.schemaname = 'weir' AND pt.tablename = 'revoked')"},
    {"all_tables", "what is published was chosen table by table, or schema by schema",
     "SELECT 'warning', format('publication %I is FOR ALL TABLES: the bridge keeps a copy of every "
     "table there is and will be', pubname),"
     "       format('DROP PUBLICATION %I; CREATE PUBLICATION %I FOR TABLE %s WITH (publish = %L, "
     "publish_via_partition_root = %s); -- with the tables that rules are about', pubname, pubname,"
     "              (SELECT string_agg(format('%I.%I', pt.schemaname, pt.tablename), ', '"
     "                                 ORDER BY pt.schemaname = 'weir' DESC, pt.schemaname, "
     "pt.tablename)"
     "                 FROM pg_publication_tables pt WHERE pt.pubname = p.pubname"
     "                  AND (pt.schemaname <> 'weir' OR pt.tablename IN ('rules', 'revoked'))),"
     "              concat_ws(', ', CASE WHEN pubinsert THEN 'insert' END,"
     "                        CASE WHEN pubupdate THEN 'update' END,"
     "                        CASE WHEN pubdelete THEN 'delete' END,"
     "                        CASE WHEN pubtruncate THEN 'truncate' END), pubviaroot::text)"
     "  FROM " PUBLICATION " p WHERE puballtables"},
    {"operations", "inserts, updates, deletes and truncates are published",
     "SELECT 'warning', format('publication %I does not publish %s, so people keep seeing what is "
     "there no more', pubname,"
     "              concat_ws(', ', CASE WHEN NOT pubinsert THEN 'insert' END,"
     "                        CASE WHEN NOT pubupdate THEN 'update' END,"
     "                        CASE WHEN NOT pubdelete THEN 'delete' END,"
     "                        CASE WHEN NOT pubtruncate THEN 'truncate' END)),"
     "       format('ALTER PUBLICATION %I SET (publish = ''insert, update, delete, truncate'');',"
     "              pubname)"
     "  FROM " PUBLICATION " p WHERE NOT (pubinsert AND pubupdate AND pubdelete AND pubtruncate)"},
    {"partitions", "partitioned tables are published as themselves",
     "SELECT DISTINCT 'warning', format('table %s is published as its partitions, so its own rules "
     "show nothing', root::regclass),"
     "       format('ALTER PUBLICATION %I SET (publish_via_partition_root = true);', pubname)"
     "  FROM (SELECT t.pubname, pg_partition_root(t.oid) AS root FROM " PUBLISHED " t"
     "         WHERE t.relispartition) leaf JOIN " PUBLICATION " p USING (pubname)"
     " WHERE NOT p.pubviaroot"},
    {"updates", "the publication lets the application write its tables",
     "SELECT 'error', format('Postgres refuses every UPDATE and DELETE of table %s: it has a column "
     "list in publication %I and REPLICA IDENTITY FULL', full_name, pubname),"
     "       format('ALTER TABLE %s REPLICA IDENTITY DEFAULT;', full_name)"
     "  FROM " PUBLISHED " t WHERE has_changes AND prattrs IS NOT NULL AND relreplident = 'f'"
     " UNION ALL "
     "SELECT 'error', format('Postgres refuses every UPDATE and DELETE of table %s: its row filter in "
     "publication %I reads columns that are not in the replica identity', full_name, pubname),"
     "       format('ALTER TABLE %s REPLICA IDENTITY FULL;', full_name)"
     "  FROM " PUBLISHED " t"
     " WHERE has_changes AND prqual IS NOT NULL AND relreplident <> 'f' AND EXISTS ("
     "       SELECT FROM regexp_matches(prqual::text, ':varattno (\\d+)', 'g') used"
     "        WHERE NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = t.oid"
     "                 AND CASE relreplident WHEN 'd' THEN indisprimary WHEN 'i' THEN indisreplident"
     "                     ELSE false END"
     "                 AND used[1]::int2 = ANY (i.indkey::int2[])))"},
    {.check = NULL},
};

const struct question questions_of_slot[] = {
    {"slot", "the slot is new, or a bridge can follow it",
     "SELECT 'error', format('slot %I is of plugin %s, and not of wal2json', slot_name,"
     "                       coalesce(plugin, 'none')),"
     "       " DROP_SLOT "if nothing else needs it; or choose another --slot', slot_name)"
     "  FROM " SLOT " s WHERE plugin IS DISTINCT FROM 'wal2json'"
     " UNION ALL "
     "SELECT 'error', format('slot %I belongs to database %I', slot_name, database),"
     "       " DROP_SLOT "if nothing else needs it; or choose another --slot', slot_name)"
     "  FROM " SLOT " s WHERE plugin = 'wal2json' AND database <> current_database()"
     " UNION ALL "
     "SELECT 'warning', format('Postgres has given slot %I up, as it held back too much WAL',"
     "                         slot_name),"
     "       " DROP_SLOT "as the bridge does by itself; it then sends what differs', slot_name)"
     "  FROM " SLOT " s WHERE wal_status = 'lost' AND plugin = 'wal2json'"},
    {"retained_wal", "the slot holds back no more WAL than Postgres keeps anyway",
     "SELECT 'warning', format('slot %I holds back %s of WAL, and no bridge reads it', slot_name,"
     "                pg_size_pretty(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn))),"
     "       " DROP_SLOT "gives it up, and a bridge then sends what differs; or start the bridge',"
     "              slot_name)"
     "  FROM " SLOT " s WHERE NOT active AND wal_status IN ('extended', 'unreserved')"},
    {"wal_limit", "the WAL that a slot may hold back is limited",
     "SELECT 'warning', 'max_slot_wal_keep_size is not set: while the bridge is away, its slot may "
     "fill the disk of Postgres',"
     "       'ALTER SYSTEM SET max_slot_wal_keep_size = ''32GB''; SELECT pg_reload_conf(); -- what "
     "the disk can spare'"
     "  FROM pg_settings WHERE name = 'max_slot_wal_keep_size' AND setting = '-1'"},
    {.check = NULL},
};
