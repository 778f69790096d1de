-- Every role Stratum works with, each with no more rights than its work needs.
--
-- The clusters that Stratum makes are given their roles from this file, and so is a server of your own, through
-- the script that `stratum adopt --print-roles` prints. A section starts at a line `-- section: NAME`. Values come
-- from settings of the session (stratum.owner and the like), passwords as the hashes the server stores. Running it
-- again changes nothing but passwords. A right that whoever runs it may not give is a warning, and not an end.

-- section: helpers
CREATE OR REPLACE FUNCTION pg_temp.stratum_role(name text, secret text) RETURNS void LANGUAGE plpgsql AS $role$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = name) THEN
        EXECUTE pg_catalog.format('CREATE ROLE %I', name);
    END IF;
    EXECUTE pg_catalog.format('ALTER ROLE %I LOGIN PASSWORD %L', name, secret);
END
$role$;

CREATE OR REPLACE FUNCTION pg_temp.stratum_give(statement text, without text) RETURNS void LANGUAGE plpgsql AS $give$
BEGIN
    EXECUTE statement;
EXCEPTION WHEN insufficient_privilege OR undefined_object THEN
    RAISE WARNING 'not given (%): %', statement, without USING DETAIL = SQLERRM;
END
$give$;

-- section: roles
-- The owner of the application's database: no superuser. One that is there stays as it is.
-- The backup role reads everything: pg_read_all_data leaves large objects out, so lo_compat_privileges adds them; a
-- dump that row-level security leaves rows out of would be no backup, so it is exempt from it.
-- (https://www.postgresql.org/docs/current/predefined-roles.html,
-- https://www.postgresql.org/docs/current/runtime-config-compatible.html#GUC-LO-COMPAT-PRIVILEGES)
-- The replication role may copy the data directory and read WAL, and reads no table.
DO $roles$
DECLARE
    owner CONSTANT text := pg_catalog.current_setting('stratum.owner');
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = owner) THEN
        PERFORM pg_temp.stratum_role(owner, pg_catalog.current_setting('stratum.owner_secret'));
    END IF;

    PERFORM pg_temp.stratum_role('stratum_backup', pg_catalog.current_setting('stratum.backup_secret'));
    PERFORM pg_temp.stratum_give('GRANT pg_read_all_data TO stratum_backup',
        'no backup can be taken until stratum_backup may read every table');
    PERFORM pg_temp.stratum_give('ALTER ROLE stratum_backup BYPASSRLS',
        'a backup of a table with row-level security is refused, for it would leave rows out');
    PERFORM pg_temp.stratum_give('ALTER ROLE stratum_backup SET lo_compat_privileges = on',
        'a backup of a database with large objects is refused unless stratum_backup may read each of them');

    PERFORM pg_temp.stratum_role('stratum_replication', pg_catalog.current_setting('stratum.replication_secret'));
    PERFORM pg_temp.stratum_give('ALTER ROLE stratum_replication REPLICATION',
        'there is no restore to any moment, only to a backup');
END
$roles$;

-- section: replication
-- What the server has to allow besides the role. SQL cannot write pg_hba.conf, and a restart is nobody's to make in
-- silence: both are said. (https://www.postgresql.org/docs/current/auth-pg-hba-conf.html: `all` does not match
-- replication)
DO $replication$
DECLARE
    line CONSTANT text := pg_catalog.current_setting('stratum.replication_line');
    from_afar CONSTANT boolean := pg_catalog.current_setting('stratum.replication_from_afar');
BEGIN
    IF pg_catalog.current_setting('wal_level') = 'minimal' OR pg_catalog.current_setting('max_wal_senders') = '0' THEN
        RAISE WARNING 'this server lets nobody replicate: there is no restore to any moment, only to a backup. Run: '
            'ALTER SYSTEM SET wal_level = replica; ALTER SYSTEM SET max_wal_senders = 10; and restart it when it suits '
            'you';
    END IF;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_hba_file_rules
                   WHERE error IS NULL AND type LIKE 'host%' AND auth_method <> 'reject' AND 'replication' = ANY (database)
                     AND user_name && ARRAY['all', 'stratum_replication']
                     AND NOT (from_afar AND address IN ('127.0.0.1', '::1', 'localhost', 'samehost'))) THEN
        RAISE WARNING 'pg_hba.conf does not let stratum_replication in: there is no restore to any moment, only to a '
            'backup. Add to it: "%", then run: SELECT pg_reload_conf(); no restart is needed', line;
    END IF;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE WARNING 'not seen: whether pg_hba.conf lets stratum_replication in. Without a line like "%" there is no '
        'restore to any moment, only to a backup', line;
END
$replication$;

-- section: console
-- The console's role owns the console's own database, and nothing else.
DO $console$
BEGIN
    PERFORM pg_temp.stratum_role('stratum_console', pg_catalog.current_setting('stratum.console_secret'));
END
$console$;

-- section: maintenance
-- On a server of your own, in place of a superuser: restores beside, renames, and looks at everything. It reads all
-- data to compare what came back, sees and ends the sessions that hold a database's name, and makes databases.
DO $maintenance$
BEGIN
    PERFORM pg_temp.stratum_role('stratum_maintenance', pg_catalog.current_setting('stratum.maintenance_secret'));
    PERFORM pg_temp.stratum_give('ALTER ROLE stratum_maintenance CREATEDB',
        'nothing can be restored on this server');
    PERFORM pg_temp.stratum_give('GRANT pg_read_all_data TO stratum_maintenance',
        'nothing that was restored can be compared with its backup');
    PERFORM pg_temp.stratum_give('ALTER ROLE stratum_maintenance BYPASSRLS',
        'a restore of a table with row-level security forced on its owner is refused');
    PERFORM pg_temp.stratum_give('ALTER ROLE stratum_maintenance SET lo_compat_privileges = on',
        'a restore of a database with large objects is refused');
    PERFORM pg_temp.stratum_give('GRANT pg_monitor TO stratum_maintenance',
        'who is connected to a database cannot be seen before a swap');
    PERFORM pg_temp.stratum_give('GRANT pg_signal_backend TO stratum_maintenance',
        'a swap is refused while anybody else is connected to the database');
    -- Settings of the server, each of which a reload puts into force; before 15 a superuser alone may set one.
    -- (https://www.postgresql.org/docs/current/sql-grant.html)
    IF pg_catalog.current_setting('server_version_num')::integer >= 150000 THEN
        PERFORM pg_temp.stratum_give('GRANT ALTER SYSTEM ON PARAMETER max_slot_wal_keep_size TO stratum_maintenance',
            'no WAL is received until a superuser has limited max_slot_wal_keep_size');
        PERFORM pg_temp.stratum_give('GRANT ALTER SYSTEM ON PARAMETER synchronous_standby_names TO stratum_maintenance',
            'there is no zero-loss mode on this server');
    END IF;
    IF EXISTS (SELECT FROM pg_catalog.pg_roles
               WHERE rolname = pg_catalog.current_setting('stratum.owner') AND NOT rolsuper) THEN
        PERFORM pg_temp.stratum_give(
            pg_catalog.format('GRANT %I TO stratum_maintenance', pg_catalog.current_setting('stratum.owner')),
            'nothing that belongs to it can be restored on this server');
    END IF;
    IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'stratum_console') THEN
        PERFORM pg_temp.stratum_give('GRANT stratum_console TO stratum_maintenance',
            'the console''s database cannot be made');
    END IF;
END
$maintenance$;

-- section: maintenance-database
-- Run in the database postgres alone: a right to a function belongs to one database, and a dump of the application's
-- would carry it along, where only a superuser could restore it.
DO $functions$
BEGIN
    PERFORM pg_temp.stratum_give('GRANT EXECUTE ON FUNCTION pg_catalog.pg_reload_conf() TO stratum_maintenance',
        'no WAL is received until a superuser has limited max_slot_wal_keep_size');
    PERFORM pg_temp.stratum_give('GRANT EXECUTE ON FUNCTION pg_catalog.pg_create_restore_point(text) TO stratum_maintenance',
        'no restore point can be named');
END
$functions$;

-- section: application-database
-- Run in each guarded database: whoever owns something in it has to be a role that stratum_maintenance is a member
-- of, or it could not be made again under that owner. No membership of a superuser is given: that is a superuser.
DO $owners$
DECLARE
    owner record;
    extension text;
BEGIN
    FOR owner IN
        SELECT r.rolname AS name, r.rolsuper AS super
        FROM pg_catalog.pg_roles AS r
        WHERE r.rolname <> 'stratum_maintenance' AND r.rolname !~ '^pg_' AND r.oid IN (
            SELECT datdba FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()
            UNION
            SELECT d.refobjid FROM pg_catalog.pg_shdepend AS d
            WHERE d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND d.deptype = 'o'
              AND d.dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
            UNION
            SELECT defaclrole FROM pg_catalog.pg_default_acl
            UNION
            SELECT c.relowner FROM pg_catalog.pg_class AS c
            JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
            WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
              AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS e
                              WHERE e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND e.objid = c.oid
                                AND e.deptype = 'e'))
        ORDER BY r.rolname
    LOOP
        IF owner.super THEN
            RAISE WARNING 'not given: membership of %, who owns something in % and is a superuser. Backups and drills '
                'work; nothing is restored into this server until it belongs to a role that is none, or until you '
                'decide to run: GRANT % TO stratum_maintenance', owner.name, pg_catalog.current_database(),
                pg_catalog.quote_ident(owner.name);
        ELSE
            PERFORM pg_temp.stratum_give(pg_catalog.format('GRANT %I TO stratum_maintenance', owner.name),
                'what this role owns cannot be restored on this server');
        END IF;
    END LOOP;

    FOR extension IN
        SELECT e.extname FROM pg_catalog.pg_extension AS e
        JOIN pg_catalog.pg_available_extension_versions AS v ON v.name = e.extname AND v.version = e.extversion
        WHERE v.superuser AND NOT v.trusted
    LOOP
        RAISE WARNING 'extension % of % can be made by a superuser alone: a restore on this server needs one for it',
            extension, pg_catalog.current_database();
    END LOOP;
END
$owners$;
