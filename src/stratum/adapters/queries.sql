-- Every query of the project, by name.
--
-- A query starts at a line `-- name: NAME`; the comment lines right below say what it answers. It ends
-- where the next one starts. `{fragment}` is replaced by SQL that the server itself quoted (quote_ident,
-- format); a query with fragments takes no parameters. New queries go under a section of their own at the
-- bottom.

-- ==========================================================================================================
-- Observing what a database holds: database_facts, table_digests, sequence_facts, migration_heads
-- ==========================================================================================================

-- name: pin_settings
-- Fix, until the transaction ends, every setting that changes the text form of a value or which rows are
-- seen, and lift the timeouts that would cut a long read; settings this major does not have are left out.
-- enable_indexonlyscan is off so that rows are counted in the heap, which is what a dump reads. Names are
-- read as bytes in a SQL_ASCII database: nothing says which encoding they are in.
SELECT count(pg_catalog.set_config(pin.name, pin.value, true))
FROM (VALUES
    ('DateStyle', 'ISO, YMD'),
    ('IntervalStyle', 'postgres'),
    ('TimeZone', 'UTC'),
    ('extra_float_digits', '1'),
    ('bytea_output', 'hex'),
    ('lc_monetary', 'C'),
    ('lc_numeric', 'C'),
    ('lc_time', 'C'),
    ('xmlbinary', 'base64'),
    ('xmloption', 'content'),
    ('quote_all_identifiers', 'off'),
    ('search_path', ''),
    ('row_security', 'off'),
    ('synchronize_seqscans', 'off'),
    ('enable_indexonlyscan', 'off'),
    ('jit', 'off'),
    ('statement_timeout', '0'),
    ('transaction_timeout', '0'),
    ('idle_in_transaction_session_timeout', '0'),
    ('client_encoding', CASE pg_catalog.current_setting('server_encoding')
                             WHEN 'SQL_ASCII' THEN 'SQL_ASCII' ELSE 'UTF8' END)
) AS pin (name, value)
WHERE pin.name IN (SELECT s.name FROM pg_catalog.pg_settings AS s);

-- name: transaction_state
-- What the transaction promises: its isolation, whether it may write, its snapshot and when it began.
SELECT current_setting('transaction_isolation') AS isolation,
       current_setting('transaction_read_only') AS read_only,
       pg_current_snapshot()::text AS snapshot,
       transaction_timestamp() AS began_at,
       pg_database_size(current_database()) AS size_bytes;

-- name: observed_tables
-- The ordinary tables and partition leaves of users, with the SQL to read each: its quoted name, the hash
-- of a row, and the choice of rows for a sample (null without a primary key). A row's hash chains its
-- columns: the text of each is hashed with the hash of those before it as the seed, so that no value can
-- move to another column or blend into its neighbour unseen. Beyond 64 columns the chains of 64 are hashed
-- together: thousands of nested calls would not parse. Generated columns do not count: a restore computes
-- them anew. A value's text is what its output function gives. Where that may be empty, a "v" goes before
-- it, which tells it from NULL. concat() calls the output function itself: a cast to text may drop
-- something, as that of bpchar drops trailing blanks. "char" counts as a number: since 16 its text form of
-- bytes above 127 is another one.
WITH observed AS (
    SELECT c.oid, n.nspname, c.relname
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND c.relpersistence <> 't'
      AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
      AND NOT EXISTS (SELECT FROM pg_depend AS d
                      WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
), texts AS (
    SELECT a.attrelid, a.attnum, a.attgenerated, format(CASE
        WHEN a.atttypid IN ('bool'::regtype, 'int2'::regtype, 'int4'::regtype, 'int8'::regtype,
                            'float4'::regtype, 'float8'::regtype, 'numeric'::regtype, 'date'::regtype,
                            'timestamp'::regtype, 'timestamptz'::regtype, 'uuid'::regtype, 'json'::regtype,
                            'jsonb'::regtype, 'bytea'::regtype) THEN 'coalesce(%1$I::text, '''')'
        WHEN a.atttypid = '"char"'::regtype THEN 'coalesce(%1$I::int4::text, '''')'
        WHEN a.atttypid IN ('text'::regtype, 'varchar'::regtype) THEN 'coalesce(''v'' || %1$I::text, ''n'')'
        ELSE 'coalesce(''v'' || CASE WHEN %1$I IS DISTINCT FROM NULL THEN concat(%1$I) END, ''n'')'
    END, a.attname) AS text
    FROM pg_attribute AS a
    JOIN observed AS o ON o.oid = a.attrelid
    WHERE a.attnum > 0 AND NOT a.attisdropped
), placed AS (
    SELECT attrelid, text, row_number() OVER (PARTITION BY attrelid ORDER BY attnum) AS place
    FROM texts WHERE attgenerated = ''
), chains AS (
    SELECT attrelid, (place - 1) / 64 AS part,
           string_agg(format('hashtextextended(%s COLLATE "C", ', text), '' ORDER BY place DESC)
           || '0' || repeat(')', count(*)::int) AS chain
    FROM placed GROUP BY attrelid, (place - 1) / 64
), hashes AS (
    SELECT attrelid, CASE count(*) WHEN 1 THEN min(chain) ELSE
        format('hashtextextended(concat_ws('':'', %s) COLLATE "C", 0)', string_agg(chain, ', ' ORDER BY part))
        END AS row_hash
    FROM chains GROUP BY attrelid
), keys AS (
    SELECT i.indrelid,
           string_agg(format('hashtextextended(%s COLLATE "C", ', t.text), '' ORDER BY part.place DESC)
           || '1' || repeat(')', count(*)::int) || ' % 16 = 0' AS chosen
    FROM pg_index AS i
    CROSS JOIN unnest(i.indkey) WITH ORDINALITY AS part (attnum, place)
    JOIN texts AS t ON t.attrelid = i.indrelid AND t.attnum = part.attnum
    WHERE i.indisprimary AND part.place <= i.indnkeyatts
    GROUP BY i.indrelid
)
SELECT o.nspname AS schema,
       o.relname AS name,
       format('%I.%I', o.nspname, o.relname) AS relation,
       coalesce(pg_total_relation_size(o.oid), 0) AS bytes,
       coalesce(h.row_hash, '0::bigint') AS row_hash,
       k.chosen
FROM observed AS o
LEFT JOIN hashes AS h ON h.attrelid = o.oid
LEFT JOIN keys AS k ON k.indrelid = o.oid
ORDER BY o.nspname COLLATE "C", o.relname COLLATE "C";

-- name: digest_full
-- Rows, the sum of all rows' hashes, rows digested. A sum is the same in any order, and unlike XOR it does
-- not let equal rows cancel each other.
SELECT count(*) AS rows, coalesce(sum({row_hash}), 0)::text AS digest, count(*) AS digested_rows
FROM ONLY {relation};

-- name: digest_sampled
-- The same over about one row in 16. The hash of the primary key chooses, so that the same rows are chosen
-- wherever the table is restored.
SELECT count(*) AS rows,
       coalesce(sum({row_hash}) FILTER (WHERE {chosen}), 0)::text AS digest,
       count(*) FILTER (WHERE {chosen}) AS digested_rows
FROM ONLY {relation};

-- name: count_rows
-- Rows alone.
SELECT count(*) AS rows, NULL AS digest, 0 AS digested_rows FROM ONLY {relation};

-- name: tables_rewritten
-- Tables whose file is not the one the snapshot knows: they were truncated or rewritten after it was taken,
-- and then read as empty through it. Meaningful once the tables were read, because reading locks them.
SELECT n.nspname AS schema, c.relname AS name
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence <> 't'
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND pg_relation_filenode(c.oid) <> c.relfilenode
ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C";

-- name: count_large_objects
-- The number of large objects.
SELECT count(*) AS count FROM pg_largeobject_metadata;

-- name: digest_large_objects
-- A digest over OID and content of all large objects, or of about one in 16. Each is read in chunks of 1
-- MiB, and each chunk counts with its OID and number, so that neither bytes nor chunks can change places
-- unseen. The last chunk of each is short or empty, which puts the length into the digest.
WITH RECURSIVE chunk (oid, number, bytes, hash) AS (
    SELECT o.oid, 0::bigint, length(part.data), sha256(part.data)
    FROM pg_largeobject_metadata AS o
    CROSS JOIN LATERAL (SELECT lo_get(o.oid, 0, 1048576) AS data OFFSET 0) AS part
    WHERE NOT %(sampled)s OR hashtextextended(o.oid::text COLLATE "C", 1) %% 16 = 0
    UNION ALL
    SELECT c.oid, c.number + 1, length(part.data), sha256(part.data)
    FROM chunk AS c
    CROSS JOIN LATERAL (SELECT lo_get(c.oid, (c.number + 1) * 1048576, 1048576) AS data OFFSET 0) AS part
    WHERE c.bytes = 1048576
)
SELECT coalesce(sum(
           hashtextextended(concat_ws(':', oid, number, encode(hash, 'hex')) COLLATE "C", 0)
       ), 0)::text AS digest
FROM chunk;

-- name: observed_sequences
-- The sequences of users, and for each the column it feeds: the one that owns it (serial, identity), else the
-- one whose default draws from it. `stored` selects that column's values from every table of its inheritance
-- tree, where the column's type can be compared with the sequence at all.
WITH feeding AS (
    SELECT d.objid AS sequence, d.refobjid AS relid, d.refobjsubid AS attnum, 1 AS rank
    FROM pg_depend AS d
    WHERE d.classid = 'pg_class'::regclass AND d.objsubid = 0 AND d.deptype IN ('a', 'i')
      AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0
    UNION ALL
    SELECT d.refobjid, f.adrelid, f.adnum, 2
    FROM pg_depend AS d
    JOIN pg_attrdef AS f ON d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid
    WHERE d.refclassid = 'pg_class'::regclass AND d.deptype = 'n'
), fed AS (
    SELECT DISTINCT ON (sequence) sequence, relid, attnum FROM feeding ORDER BY sequence, rank, relid, attnum
)
SELECT n.nspname AS schema,
       c.relname AS name,
       format('%I.%I', n.nspname, c.relname) AS relation,
       s.seqincrement AS increment,
       s.seqcycle AS cycles,
       tn.nspname AS table_schema,
       t.relname AS table_name,
       a.attname AS column_name,
       stored.query AS stored
FROM pg_sequence AS s
JOIN pg_class AS c ON c.oid = s.seqrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN fed ON fed.sequence = c.oid
LEFT JOIN pg_class AS t ON t.oid = fed.relid
LEFT JOIN pg_namespace AS tn ON tn.oid = t.relnamespace
LEFT JOIN pg_attribute AS a ON a.attrelid = fed.relid AND a.attnum = fed.attnum
LEFT JOIN pg_type AS ty ON ty.oid = a.atttypid
CROSS JOIN LATERAL (
    WITH RECURSIVE family (oid) AS (
        SELECT fed.relid UNION SELECT i.inhrelid FROM pg_inherits AS i JOIN family ON i.inhparent = family.oid
    )
    SELECT string_agg(
        format(CASE ty.typoutput WHEN 'numeric_out'::regproc
                    THEN 'SELECT %1$I AS value FROM ONLY %2$I.%3$I WHERE %1$I < ''Infinity'''
                    ELSE 'SELECT %1$I AS value FROM ONLY %2$I.%3$I' END, a.attname, mn.nspname, m.relname),
        ' UNION ALL ') AS query
    FROM family
    JOIN pg_class AS m ON m.oid = family.oid AND m.relkind = 'r'
    JOIN pg_namespace AS mn ON mn.oid = m.relnamespace
    -- A domain has the output function of the type it rests on.
    WHERE ty.typoutput IN ('int2out'::regproc, 'int4out'::regproc, 'int8out'::regproc, 'numeric_out'::regproc)
) AS stored
WHERE c.relpersistence <> 't'
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend AS d
                  WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C";

-- name: sequence_state
-- Where a sequence stands.
SELECT last_value, is_called FROM {relation};

-- name: sequence_and_column
-- Where a sequence stands, and the farthest value its column holds in the sequence's direction.
SELECT last_value, is_called, (SELECT {extreme}(value)::text FROM ({stored}) AS stored) AS farthest
FROM {relation};

-- name: sequence_collides
-- Whether the column holds the next value or one that the sequence's steps lead to: sequences that step by
-- two may share a column in turns.
SELECT EXISTS (SELECT FROM ({stored}) AS stored
               WHERE value {beyond} {next} AND (value::numeric - {next}) % {increment} = 0) AS collides;

-- name: database_properties
-- How to create the database again as it was. Columns that not every major has are read through jsonb,
-- where a missing one is null: the locale provider came with 15, its rules with 16, and 17 renamed the
-- locale.
SELECT d.datname AS name,
       d.oid::bigint AS oid,
       pg_get_userbyid(d.datdba) AS owner,
       pg_encoding_to_char(d.encoding) AS encoding,
       CASE coalesce(j.fields ->> 'datlocprovider', 'c')
            WHEN 'c' THEN 'libc' WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin' END AS locale_provider,
       d.datcollate::text AS collate,
       d.datctype::text AS ctype,
       coalesce(j.fields ->> 'datlocale', j.fields ->> 'daticulocale') AS locale,
       j.fields ->> 'daticurules' AS icu_rules,
       j.fields ->> 'datcollversion' AS collation_version,
       d.datconnlimit AS connection_limit,
       shobj_description(d.oid, 'pg_database') AS comment,
       d.datacl IS NOT NULL AS has_grants
FROM pg_database AS d
CROSS JOIN LATERAL (SELECT to_jsonb(d) AS fields) AS j
WHERE d.datname = current_database();

-- name: database_grants
-- The privileges on the database itself; no grantee means PUBLIC.
SELECT r.rolname AS grantee, acl.privilege_type AS privilege, acl.is_grantable AS grantable
FROM pg_database AS d
CROSS JOIN aclexplode(d.datacl) AS acl
LEFT JOIN pg_roles AS r ON r.oid = acl.grantee
WHERE d.datname = current_database()
ORDER BY r.rolname COLLATE "C" NULLS FIRST, acl.privilege_type;

-- name: database_settings
-- ALTER DATABASE … SET and ALTER ROLE … IN DATABASE … SET, as `name=value`.
SELECT r.rolname AS role, entry.setting AS setting
FROM pg_db_role_setting AS s
JOIN pg_database AS d ON d.oid = s.setdatabase AND d.datname = current_database()
LEFT JOIN pg_roles AS r ON r.oid = s.setrole
CROSS JOIN unnest(s.setconfig) AS entry (setting)
ORDER BY r.rolname COLLATE "C" NULLS FIRST, entry.setting COLLATE "C";

-- name: observed_extensions
-- Installed extensions.
SELECT e.extname AS name, e.extversion AS version, n.nspname AS schema
FROM pg_extension AS e
JOIN pg_namespace AS n ON n.oid = e.extnamespace
ORDER BY e.extname COLLATE "C";

-- name: observed_unread_relations
-- Materialised views (m) and foreign tables (f) of users: named, never read.
SELECT n.nspname AS schema, c.relname AS name, c.relkind::text AS kind
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('m', 'f')
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend AS d
                  WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C";

-- name: observed_collations
-- Collations that a user made or that a user's object depends on, with the version the catalogue recorded.
SELECT n.nspname AS schema, c.collname AS name, c.collversion AS version
FROM pg_collation AS c
JOIN pg_namespace AS n ON n.oid = c.collnamespace
WHERE c.collversion IS NOT NULL
  AND (n.nspname <> 'pg_catalog'
       OR EXISTS (SELECT FROM pg_depend AS d
                  WHERE d.refclassid = 'pg_collation'::regclass AND d.refobjid = c.oid AND d.deptype = 'n'))
ORDER BY n.nspname COLLATE "C", c.collname COLLATE "C";

-- name: observed_invalid_indexes
-- Indexes the server does not use: a failed CREATE INDEX CONCURRENTLY, a partitioned index that lacks a part.
SELECT n.nspname AS schema, c.relname AS name
FROM pg_index AS i
JOIN pg_class AS c ON c.oid = i.indexrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE NOT (i.indisvalid AND i.indisready AND i.indislive) AND c.relpersistence <> 't'
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C";

-- name: migration_tables
-- Tables with a name that a migration tool uses, and their columns, which tell whether they are its.
SELECT n.nspname AS schema,
       c.relname AS name,
       format('%I.%I', n.nspname, c.relname) AS relation,
       (SELECT string_agg(a.attname, ' ' ORDER BY a.attnum) FROM pg_attribute AS a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND n.nspname !~ '^pg_'
  AND c.relname IN ('alembic_version', '_prisma_migrations', 'django_migrations', 'flyway_schema_history',
                    'schema_version', 'schema_migrations', 'migrations', 'knex_migrations', 'pgmigrations',
                    'SequelizeMeta', '_sqlx_migrations', '__diesel_schema_migrations')
ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C";

-- name: migration_head_alembic
-- Every head: a history with branches has several. Alembic does not record how it came there.
SELECT string_agg(version_num, ', ' ORDER BY version_num COLLATE "C") AS head, NULL::bigint AS applied
FROM {relation};

-- name: migration_head_prisma
-- Finished and not rolled back; Prisma orders by name, which starts with the time.
SELECT max(migration_name COLLATE "C") AS head, count(*) AS applied
FROM {relation}
WHERE finished_at IS NOT NULL AND rolled_back_at IS NULL;

-- name: migration_head_django
-- The last migration of each application: every application has a history of its own.
SELECT string_agg(app || '.' || name, ', ' ORDER BY app COLLATE "C") AS head, sum(applied)::bigint AS applied
FROM (SELECT DISTINCT ON (app COLLATE "C") app, name, count(*) OVER (PARTITION BY app COLLATE "C") AS applied
      FROM {relation} ORDER BY app COLLATE "C", id DESC) AS last;

-- name: migration_head_flyway
-- The version of highest rank that succeeded and was not undone since; repeatable migrations have no version.
SELECT (array_agg(m.version ORDER BY m.installed_rank DESC))[1] AS head, count(*) AS applied
FROM {relation} AS m
WHERE m.success AND m.version IS NOT NULL AND m.type NOT LIKE 'UNDO%'
  AND NOT EXISTS (SELECT FROM {relation} AS undo
                  WHERE undo.success AND undo.type LIKE 'UNDO%' AND undo.version = m.version
                    AND undo.installed_rank > m.installed_rank);

-- name: migration_head_plain
-- One row an applied migration, or one row in all. The highest by its leading number, then by its text: `10`
-- comes after `9`. A migration that a tool marked as dirty or failed is told from a clean one.
SELECT (array_agg({version}::text || CASE WHEN coalesce(to_jsonb(m) ->> 'dirty', 'false') = 'true'
                                            OR coalesce(to_jsonb(m) ->> 'success', 'true') = 'false'
                                          THEN ' (not clean)' ELSE '' END
                  ORDER BY substring({version}::text FROM '^[0-9]+')::numeric DESC NULLS LAST,
                           {version}::text COLLATE "C" DESC))[1] AS head,
       count(*) AS applied
FROM {relation} AS m;

-- ============================================================================================================
-- Servers, identity, swap
-- ============================================================================================================

-- name: server_version_num
-- The server's version as one number, e.g. 170010.
SELECT current_setting('server_version_num')::int

-- name: server_health
-- What the checklist asks: whether page checksums are on, the server's clock, and pages that failed theirs.
SELECT current_setting('data_checksums') = 'on',
       clock_timestamp(),
       (SELECT coalesce(sum(checksum_failures), 0)::bigint FROM pg_stat_database)

-- name: canary_exists
-- Whether the canary's row is there for the backup role to move on.
SELECT has_schema_privilege('stratum_backup', n.oid, 'USAGE')
   AND has_table_privilege('stratum_backup', c.oid, 'SELECT, UPDATE')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'stratum' AND c.relname = 'canary'

-- name: canary_create
-- One row in the maintenance database, which no backup and no digest looks into.
DO $$
BEGIN
    CREATE SCHEMA IF NOT EXISTS stratum;
    CREATE TABLE IF NOT EXISTS stratum.canary (
        only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
        beat bigint NOT NULL,
        at timestamptz NOT NULL
    ) WITH (fillfactor = 10);
    INSERT INTO stratum.canary (beat, at) VALUES (0, clock_timestamp()) ON CONFLICT DO NOTHING;
    GRANT USAGE ON SCHEMA stratum TO stratum_backup;
    GRANT SELECT, UPDATE ON stratum.canary TO stratum_backup;
END
$$

-- name: canary_beat
-- Move the canary on by one; the time is the server's, just before the commit.
UPDATE stratum.canary SET beat = beat + 1, at = clock_timestamp() RETURNING beat, at

-- name: flushed_lsn
-- How far WAL is on disk, as a number.
SELECT (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::bigint

-- name: export_snapshot
-- Let tools read through this transaction's snapshot for as long as it is open.
SELECT pg_export_snapshot() AS name, transaction_timestamp() AS taken_at

-- name: cluster_identity
-- What tells this cluster from its look-alikes; needs a role that may call the pg_control functions.
SELECT s.system_identifier::text,
       c.timeline_id,
       (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::bigint AS flushed_lsn,
       current_setting('server_version_num')::int
FROM pg_control_system() s, pg_control_checkpoint() c

-- name: collation_versions
-- The version each database's default collation was made with, as far as the catalogue knows (15 on).
SELECT datname, datcollversion FROM pg_database WHERE datcollversion IS NOT NULL

-- name: databases
-- Every database that is not a template, with its OID.
SELECT datname, oid FROM pg_database WHERE NOT datistemplate ORDER BY datname

-- name: bootstrap_role
-- The cluster's first superuser always has OID 10.
SELECT rolname FROM pg_roles WHERE oid = 10

-- name: roles
-- Every role that is not PostgreSQL's own.
SELECT rolname, rolcanlogin, rolsuper FROM pg_roles WHERE rolname !~ '^pg_' ORDER BY rolname

-- name: tables_largest_first
-- Ordinary tables outside the system's schemas; the largest are the likeliest to hold a row.
SELECT format('%I.%I', n.nspname, c.relname) AS relation
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
ORDER BY c.relpages DESC, n.nspname, c.relname

-- name: schemas
-- Schemas that are not PostgreSQL's own.
SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' ORDER BY nspname

-- name: end_sessions
-- End every session on these databases; new ones are refused already. Autovacuum workers are ended too. Who is no
-- superuser may end neither those nor a superuser's sessions, and one refusal would end the statement.
SELECT count(pg_terminate_backend(a.pid))
FROM pg_stat_activity AS a
LEFT JOIN pg_roles AS r ON r.oid = a.usesysid
WHERE a.datname = ANY(%(databases)s) AND a.pid <> pg_backend_pid()
  AND (current_setting('is_superuser') = 'on' OR a.backend_type = 'client backend' AND NOT r.rolsuper)

-- name: sessions
-- Who is still connected to these databases. A rename ends autovacuum workers by itself.
SELECT coalesce(nullif(application_name, ''), backend_type, 'a session of ' || usename, 'a session')
       || ' (process ' || pid || ')'
FROM pg_stat_activity
WHERE datname = ANY(%(databases)s) AND pid <> pg_backend_pid()
  AND (current_setting('is_superuser') = 'on' OR backend_type IS DISTINCT FROM 'autovacuum worker')

-- name: is_superuser
-- Whether this session may do everything.
SELECT current_setting('is_superuser') = 'on'

-- name: swap_obstacles
-- What makes a rename of a database impossible: prepared transactions.
SELECT 'prepared transaction ' || gid || ' of ' || owner || ' since ' || prepared FROM pg_prepared_xacts WHERE database = %(database)s

-- name: logical_slots
-- Logical replication slots of a database: they stay with the old one under its new name.
SELECT 'logical replication slot ' || slot_name FROM pg_replication_slots WHERE database = %(database)s

-- name: subscriptions
-- Subscriptions of a database: they stay with the old one and go on writing into it.
SELECT 'subscription ' || s.subname FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid
WHERE d.datname = %(database)s

-- name: cron_jobs
-- Jobs of pg_cron, which name their database; they run against whatever carries the name.
SELECT 'pg_cron job ' || jobid || ' (runs in whatever carries the name)' FROM cron.job WHERE database = %(database)s

-- name: has_cron
-- Whether pg_cron's table is in this database.
SELECT to_regclass('cron.job') IS NOT NULL

-- name: collation_mismatches
-- Collations whose version differs from the one of the library in use.
SELECT collname || ': made with ' || collversion || ', here ' || coalesce(pg_collation_actual_version(oid), 'none')
FROM pg_collation
WHERE collversion IS NOT NULL AND collversion IS DISTINCT FROM pg_collation_actual_version(oid)

-- name: database_collation_mismatch
-- The same for the database's own collation (15 on).
SELECT datname || ': made with ' || datcollversion || ', here ' || coalesce(pg_database_collation_actual_version(oid), 'none')
FROM pg_database
WHERE datname = current_database() AND datcollversion IS DISTINCT FROM pg_database_collation_actual_version(oid)

-- name: table_exists
-- Whether an ordinary or partitioned table of this name exists.
SELECT EXISTS (
  SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p') AND n.nspname = %(schema)s AND c.relname = %(table)s)

-- name: table_family
-- A table and all its partitions, the table first.
WITH RECURSIVE family AS (
  SELECT c.oid, 0 AS depth FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = %(schema)s AND c.relname = %(table)s AND c.relkind IN ('r', 'p')
  UNION ALL
  SELECT i.inhrelid, f.depth + 1 FROM pg_inherits i JOIN family f ON f.oid = i.inhparent
)
SELECT n.nspname, c.relname
FROM family f JOIN pg_class c ON c.oid = f.oid JOIN pg_namespace n ON n.oid = c.relnamespace
ORDER BY f.depth, n.nspname, c.relname

-- name: table_owner
-- The role a table belongs to.
SELECT pg_get_userbyid(c.relowner)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relname = %(table)s

-- name: parents
-- What a table is a partition of or inherits from.
SELECT pn.nspname, p.relname, c.relispartition
FROM pg_inherits i
JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_class p ON p.oid = i.inhparent JOIN pg_namespace pn ON pn.oid = p.relnamespace
WHERE n.nspname = %(schema)s AND c.relname = %(table)s

-- name: table_dependents
-- What stands in the way of putting another table under this one's name, in words.
WITH target AS (SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE n.nspname = %(schema)s AND c.relname = %(table)s)
SELECT 'foreign key ' || conname || ' of ' || conrelid::regclass
FROM pg_constraint, target WHERE contype = 'f' AND confrelid = target.oid AND conrelid <> target.oid AND conparentid = 0
UNION ALL
SELECT DISTINCT CASE c.relkind WHEN 'm' THEN 'materialized view ' ELSE 'view ' END || c.oid::regclass
FROM target JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = target.oid
     AND d.classid = 'pg_rewrite'::regclass
JOIN pg_rewrite r ON r.oid = d.objid JOIN pg_class c ON c.oid = r.ev_class AND c.oid <> target.oid
UNION ALL
SELECT DISTINCT 'function ' || d.objid::regprocedure
FROM target LEFT JOIN pg_type t ON t.typrelid = target.oid
JOIN pg_depend d ON d.classid = 'pg_proc'::regclass
     AND (d.refclassid = 'pg_class'::regclass AND d.refobjid = target.oid
          OR d.refclassid = 'pg_type'::regclass AND d.refobjid IN (t.oid, t.typarray))
UNION ALL
SELECT 'column ' || a.attname || ' of ' || a.attrelid::regclass || ', which has its row type'
FROM target JOIN pg_type t ON t.typrelid = target.oid
JOIN pg_attribute a ON a.atttypid IN (t.oid, t.typarray) AND NOT a.attisdropped
UNION ALL
SELECT DISTINCT 'policy ' || p.polname || ' of ' || p.polrelid::regclass
FROM target JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = target.oid
     AND d.classid = 'pg_policy'::regclass
JOIN pg_policy p ON p.oid = d.objid AND p.polrelid <> target.oid
UNION ALL
SELECT 'publication ' || p.pubname
FROM target JOIN pg_publication_rel r ON r.prrelid = target.oid JOIN pg_publication p ON p.oid = r.prpubid
UNION ALL
SELECT 'trigger ' || tgname FROM pg_trigger, target WHERE tgrelid = target.oid AND NOT tgisinternal
UNION ALL
SELECT 'partition of ' || i.inhparent::regclass FROM pg_inherits i, target WHERE i.inhrelid = target.oid
UNION ALL
SELECT 'sequence ' || d.objid::regclass || ' is also used by ' || a.adrelid::regclass
FROM target
JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = target.oid
     AND d.classid = 'pg_class'::regclass AND d.deptype = 'a'
JOIN pg_depend u ON u.refclassid = 'pg_class'::regclass AND u.refobjid = d.objid AND u.classid = 'pg_attrdef'::regclass
JOIN pg_attrdef a ON a.oid = u.objid AND a.adrelid <> target.oid

-- name: outbound_definitions
-- Foreign keys and triggers a table has of its own, as the statements that make them again.
WITH target AS (SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE n.nspname = %(schema)s AND c.relname = %(table)s)
SELECT format('ALTER TABLE %%s ADD CONSTRAINT %%I %%s', conrelid::regclass, conname, pg_get_constraintdef(c.oid))
FROM pg_constraint c, target WHERE contype = 'f' AND conrelid = target.oid AND conparentid = 0
UNION ALL
SELECT pg_get_triggerdef(t.oid) FROM pg_trigger t, target WHERE tgrelid = target.oid AND NOT tgisinternal AND tgparentid = 0

-- name: database_size
-- Bytes of a database's files.
SELECT pg_database_size(%(database)s::name);

-- ============================================================================================================
-- Servers of the user's own: adopt and the checklist
-- ============================================================================================================

-- name: own_server
-- What adopt says of a server: its version, whether we are a superuser, checksums, and Stratum's replication role.
SELECT current_setting('server_version_num')::int / 10000,
       current_setting('is_superuser') = 'on',
       current_setting('data_checksums') = 'on',
       EXISTS (SELECT FROM pg_roles WHERE rolname = 'stratum_replication' AND rolreplication)

-- name: protected_tables
-- Tables with row-level security: a dump by a role that is not exempt from it is refused.
SELECT format('%I.%I', n.nspname, c.relname)
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relrowsecurity AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
ORDER BY 1

-- name: superuser_extensions
-- Installed extensions that only a superuser can make.
SELECT e.extname
FROM pg_extension AS e
JOIN pg_available_extension_versions AS v ON v.name = e.extname AND v.version = e.extversion
WHERE v.superuser AND NOT v.trusted
ORDER BY 1

-- name: missing_server_rights
-- Rights on the server that Stratum's roles lack for their verbs, seen as the one that restores; in words.
SELECT lacking.what FROM (VALUES
    (NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'stratum_backup'), 'there is no role stratum_backup'),
    (NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'stratum_backup' AND pg_has_role(oid, 'pg_read_all_data', 'USAGE')),
     'stratum_backup may not read every table'),
    (NOT EXISTS (SELECT FROM pg_roles WHERE rolname = current_user AND (rolcreatedb OR rolsuper)),
     current_user || ' may not make databases'),
    (NOT pg_has_role('pg_signal_backend', 'USAGE'), current_user || ' may not end the sessions of others'),
    (NOT pg_has_role('pg_read_all_data', 'USAGE'), current_user || ' may not read every table')
) AS lacking (missing, what)
WHERE lacking.missing

-- name: missing_database_rights
-- The same in one database: row-level security without exemption from it, and owners whose things we cannot make again.
SELECT 'stratum_backup is not exempt from row-level security, and tables of ' || current_database() || ' have it'
WHERE EXISTS (SELECT FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
              WHERE c.relrowsecurity AND n.nspname !~ '^pg_')
  AND EXISTS (SELECT FROM pg_roles WHERE rolname = 'stratum_backup' AND NOT (rolbypassrls OR rolsuper))
UNION ALL
SELECT current_user || ' is no member of ' || owner.name || ', who owns something in ' || current_database()
FROM (SELECT DISTINCT pg_get_userbyid(c.relowner) AS name
      FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
      WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
        AND NOT EXISTS (SELECT FROM pg_depend AS e
                        WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e')
      UNION
      SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()) AS owner
WHERE NOT pg_has_role(owner.name, 'USAGE')

-- ============================================================================================================
-- Receiving WAL
-- ============================================================================================================

-- name: receiving_view
-- Everything the receiver asks each second: which cluster this is, on which timeline it writes (pg_control tells a
-- new one only after the next checkpoint), how far WAL is on its disk, its clock, the slot, how far the receiver
-- wrote, and the limit of what the server keeps for it in MiB (-1: none).
SELECT s.system_identifier::text,
       ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int,
       (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::bigint,
       clock_timestamp(),
       slot.slot_name IS NOT NULL,
       coalesce(slot.wal_status, ''),
       coalesce(slot.active, false),
       (SELECT max((r.write_lsn - '0/0'::pg_lsn)::bigint) FROM pg_stat_replication r
        WHERE r.application_name = 'stratum_receiver' AND r.pid = slot.active_pid),
       (SELECT setting::bigint FROM pg_settings WHERE name = 'max_slot_wal_keep_size')
FROM pg_control_system() s
LEFT JOIN pg_replication_slots slot ON slot.slot_name = 'stratum_receiver' AND slot.slot_type = 'physical'

-- name: receiving_limit
-- What the server keeps at most for a receiver that is away, in MiB.
ALTER SYSTEM SET max_slot_wal_keep_size = {megabytes}

-- name: replication_settings
-- What a base backup needs of the server; each can be changed by a restart only.
SELECT name, setting FROM pg_settings WHERE name IN ('wal_level', 'max_wal_senders');

-- name: wal_segment_bytes
-- The size of each WAL file, which initdb may have chosen.
SELECT setting::bigint FROM pg_settings WHERE name = 'wal_segment_size';

-- name: tablespaces
-- Those outside the data directory.
SELECT oid, pg_tablespace_location(oid) FROM pg_tablespace
 WHERE spcname NOT IN ('pg_default', 'pg_global') ORDER BY oid;

-- name: receiver_flushed
-- How far the receiver said that it has WAL on disk; NULL while it is away.
SELECT max((flush_lsn - '0/0'::pg_lsn)::bigint) FROM pg_stat_replication WHERE application_name = 'stratum_receiver'

-- name: commit_waiters
-- Sessions whose commit waits for a standby, and since when their statement runs.
SELECT pid, backend_start::text, coalesce(usename, ''), coalesce(datname, ''), application_name,
       greatest(0, extract(epoch FROM clock_timestamp() - coalesce(query_start, state_change, backend_start)))::float8
FROM pg_stat_activity WHERE wait_event = 'SyncRep' ORDER BY query_start, pid

-- name: commit_view
-- Whom commits wait for, what a session that sets nothing gets, how far WAL is on the server's disk, whether the
-- receiver has caught up, whether the server takes it for synchronous, and how far it said that it has WAL on disk.
SELECT current_setting('synchronous_standby_names'),
       (SELECT reset_val FROM pg_settings WHERE name = 'synchronous_commit'),
       (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::bigint,
       coalesce(bool_or(state = 'streaming'), false),
       coalesce(bool_or(sync_state IN ('sync', 'quorum')), false),
       max((flush_lsn - '0/0'::pg_lsn)::bigint)
FROM pg_stat_replication WHERE application_name = 'stratum_receiver'

-- name: commit_settings
-- Roles and databases that were given another synchronous_commit than `on`. Stratum's own are none of them.
SELECT concat_ws(' in ', 'role ' || r.rolname, 'database ' || d.datname),
       lower(substr(setting, length('synchronous_commit=') + 1))
FROM pg_db_role_setting s
LEFT JOIN pg_roles r ON r.oid = s.setrole
LEFT JOIN pg_database d ON d.oid = s.setdatabase
CROSS JOIN unnest(s.setconfig) AS setting
WHERE setting LIKE 'synchronous_commit=%'
  AND lower(substr(setting, length('synchronous_commit=') + 1)) NOT IN ('on', 'true', 'yes', '1')
ORDER BY 1

-- name: lowered_sessions
-- Sessions that do not wait for the receiver: what their role or database was given says so, or the statement they
-- ran last. What another session set earlier, or asked for when it connected, no view of the server shows.
SELECT a.pid || ' ' || a.backend_start
FROM pg_stat_activity a
WHERE a.backend_type = 'client backend' AND a.application_name !~ '^stratum( |$)' AND a.pid <> pg_backend_pid()
  AND (a.query ~* '\msynchronous_commit\M\s*(=|to)\s*''?(off|local|remote_write|false|no|0)\M'
       OR EXISTS (
           SELECT FROM pg_db_role_setting s CROSS JOIN unnest(s.setconfig) AS setting
           WHERE s.setrole IN (0, a.usesysid) AND s.setdatabase IN (0, a.datid)
             AND setting ~* '^synchronous_commit=(off|local|remote_write|false|no|0)$'))

-- name: commits_wait
-- Acknowledge a commit only when the receiver has it on disk.
ALTER SYSTEM SET synchronous_standby_names = 'stratum_receiver'

-- name: commits_go_on
-- Acknowledge commits as soon as the server has them on its own disk.
ALTER SYSTEM SET synchronous_standby_names = ''

-- name: restore_point
-- Write a named restore point; which cluster and timeline it is of, where it ends, and the server's time.
SELECT s.system_identifier::text,
       ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int,
       (pg_create_restore_point(%(name)s) - '0/0'::pg_lsn)::bigint,
       clock_timestamp()
FROM pg_control_system() s

-- ============================================================================================================
-- A clone before and after a rehearsal: clone_look, clone_watch
-- ============================================================================================================

-- name: clone_tables
-- Ordinary tables and partition leaves, with the file that holds their rows.
SELECT c.oid::bigint AS oid, n.nspname AS schema, c.relname AS name,
       pg_catalog.pg_relation_filenode(c.oid)::bigint AS filenode,
       pg_catalog.pg_total_relation_size(c.oid) AS bytes,
       pg_catalog.format('%I.%I', n.nspname, c.relname) AS quoted
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
ORDER BY n.nspname, c.relname

-- name: clone_columns
-- Columns of those tables, by the number that a new name does not change.
SELECT a.attrelid::bigint AS oid, a.attnum::int AS number, a.attname AS name,
       pg_catalog.format_type(a.atttypid, a.atttypmod) AS type, pg_catalog.quote_ident(a.attname) AS quoted
FROM pg_catalog.pg_attribute AS a
JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum

-- name: clone_rows
-- Rows of one table.
SELECT count(*) AS rows FROM {table}

-- name: clone_column_facts
-- Of a few columns of one table: rows in which each is filled, and where asked for a digest of its values.
SELECT {wanted} FROM {table}

-- name: clone_locks
-- Locks on tables that others hold now.
SELECT d.datname AS database, l.relation::bigint AS oid, l.mode AS mode
FROM pg_catalog.pg_locks AS l JOIN pg_catalog.pg_database AS d ON d.oid = l.database
WHERE l.locktype = 'relation' AND l.granted AND l.pid <> pg_catalog.pg_backend_pid()
  AND l.mode = ANY (%(modes)s)

-- ==========================================================================================================
-- Whether an older release knows today's schema: psycopg_database
-- ==========================================================================================================

-- name: columns
-- Every column of users' tables and views, with its type and whether a new row has to bring a value for it.
-- Partitions come and go by themselves: their table stands for them.
SELECT n.nspname || '.' || c.relname AS relation, a.attname AS name,
       pg_catalog.format_type(a.atttypid, a.atttypmod)
           || CASE WHEN a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' THEN ' not null' ELSE '' END AS type
FROM pg_catalog.pg_attribute AS a
JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition AND c.relpersistence <> 't'
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY 1, a.attnum
