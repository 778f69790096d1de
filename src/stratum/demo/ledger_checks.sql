-- What must hold in every honest copy of the ledger, at any moment. Each check is one line of name and one
-- query that ends in a row (ok boolean, detail text); what it changes is rolled back.

-- check: the sum of balances never changes
SELECT sum(balance) = (SELECT value::numeric FROM public.promises WHERE name = 'sum of balances'),
       format('%s in accounts, %s promised', sum(balance),
              (SELECT value FROM public.promises WHERE name = 'sum of balances'))
FROM public.accounts;

-- check: no account is missing
SELECT count(*) = (SELECT value::bigint FROM public.promises WHERE name = 'accounts'),
       format('%s accounts', count(*))
FROM public.accounts;

-- check: every balance is its opening balance plus its transfers
SELECT count(*) = 0, format('%s accounts whose balance is not explained', count(*))
FROM public.accounts a LEFT JOIN (
    SELECT account, sum(amount) AS amount FROM (
        SELECT debit_account AS account, -amount AS amount FROM public.transfers
        UNION ALL SELECT credit_account, amount FROM public.transfers) movement
    GROUP BY account) moved ON moved.account = a.id
WHERE a.balance IS DISTINCT FROM a.opening + coalesce(moved.amount, 0);

-- check: every transfer has its two accounts
SELECT count(*) = 0, format('%s transfers without an account', count(*))
FROM public.transfers t
WHERE NOT EXISTS (SELECT FROM public.accounts WHERE id = t.debit_account)
   OR NOT EXISTS (SELECT FROM public.accounts WHERE id = t.credit_account);

-- check: receipts are unique, strictly increasing and without a gap
SELECT count(receipt) = count(DISTINCT receipt) AND count(receipt) = last_receipt
           AND coalesce(min(receipt), 1) = 1 AND coalesce(max(receipt), 0) = last_receipt,
       format('%s transfers, receipts %s to %s, counter at %s', count(receipt), min(receipt), max(receipt),
              last_receipt)
FROM public.receipt_counter LEFT JOIN public.transfers ON true GROUP BY last_receipt;

-- check: keys are unique
SELECT count(*) = count(DISTINCT key), format('%s transfers, %s keys', count(*), count(DISTINCT key))
FROM public.transfers;

-- check: every transfer has its event and every event its transfer
SELECT count(*) = 0, format('%s transfers or events alone', count(*))
FROM public.transfers t FULL JOIN public.events e USING (key) WHERE t.key IS NULL OR e.key IS NULL;

-- check: the generated column follows the amount
SELECT count(*) = 0, format('%s transfers whose cents are wrong', count(*))
FROM public.transfers WHERE cents IS DISTINCT FROM (amount * 100)::bigint;

-- check: no sequence is behind the values in use
SELECT count(*) = 0, format('behind: %s', coalesce(string_agg(name, ', '), 'none'))
FROM (VALUES ('public.accounts', 'id', (SELECT max(id) FROM public.accounts)),
             ('public.transfers', 'id', (SELECT max(id) FROM public.transfers)),
             ('public.holders', 'id', (SELECT max(id) FROM public.holders)),
             ('public.events', 'id', (SELECT max(id) FROM public.events)),
             ('public.fee_periods', 'id', (SELECT max(id) FROM public.fee_periods)),
             ('public.reversals', 'id', (SELECT max(id) FROM public.reversals)),
             ('public.notes', 'id', (SELECT max(id) FROM public.notes)),
             ('"Größe & ""Co"""."O''Brien''s ""Büro"" — 帳簿 100%"', 'Straße Nr.',
              (SELECT max("Straße Nr.") FROM "Größe & ""Co"""."O'Brien's ""Büro"" — 帳簿 100%")))
         used (name, field, highest)
WHERE highest IS NOT NULL
  AND coalesce(pg_sequence_last_value(pg_get_serial_sequence(name, field)::regclass), 0) < highest;

-- check: the partitions hold the rows that belong to them
SELECT count(*) = 0, format('%s events in the wrong partition', count(*))
FROM public.events
WHERE tableoid <> CASE WHEN happened_at >= '2023-01-01 00:00:00+00' AND happened_at < '2024-01-01 00:00:00+00'
                       THEN regclass 'public.events_2023'
                       WHEN happened_at >= '2024-01-01 00:00:00+00' AND happened_at < '2025-01-01 00:00:00+00'
                       THEN regclass 'public.events_2024'
                       ELSE regclass 'public.events_other' END;

-- check: a new event finds its partition
WITH probe AS (
    INSERT INTO public.events (key, happened_at, payload)
    VALUES ('probe', '2023-06-01 00:00:00+00', '{}'), ('probe', '2024-06-01 00:00:00+00', '{}'),
           ('probe', '2031-06-01 00:00:00+00', '{}'), ('probe', '1999-06-01 00:00:00+00', '{}')
    RETURNING tableoid::regclass::text AS partition)
SELECT array_agg(partition ORDER BY partition)
           = '{public.events_2023,public.events_2024,public.events_other,public.events_other}',
       format('probes went to %s', string_agg(partition, ', ' ORDER BY partition)) FROM probe;

-- check: a new transfer gets its receipt from the trigger
SELECT count(*) = 1, format('%s enabled trigger numbering receipts', count(*))
FROM pg_trigger WHERE tgrelid = 'public.transfers'::regclass AND tgname = 'transfers_get_a_receipt'
  AND tgenabled = 'O' AND tgfoid = 'public.number_the_receipt()'::regprocedure;

-- check: the materialised view can be refreshed and agrees with the transfers
REFRESH MATERIALIZED VIEW public.daily_totals;
SELECT sum(v.transfers) IS NOT DISTINCT FROM nullif((SELECT count(*) FROM public.transfers), 0)
           AND sum(v.amount) IS NOT DISTINCT FROM (SELECT sum(amount) FROM public.transfers),
       format('%s transfers in the materialised view', sum(v.transfers)) FROM public.daily_totals v;

-- check: the view answers
SELECT sum(balance) = (SELECT sum(balance) FROM public.accounts), format('%s accounts in the view', count(*))
FROM public.accounts_overview;

-- check: the enum keeps its labels in order
SELECT enum_range(NULL::public.transfer_kind)::text = '{payment,refund,fee,correction}',
       enum_range(NULL::public.transfer_kind)::text;

-- check: every large object is what was stored
SELECT count(*) = (SELECT value::bigint FROM public.promises WHERE name = 'attachments')
           AND bool_and(length(lo_get(content)) = bytes AND encode(sha256(lo_get(content)), 'hex') = sha256),
       format('%s large objects, %s bytes', count(*), sum(bytes)) FROM public.attachments;

-- check: sealed tables are unchanged
SELECT count(*) > 0 AND bool_and(public.seal_of(substr(name, 9)::regclass) = value),
       format('changed: %s',
              coalesce(string_agg(substr(name, 9), ', ')
                       FILTER (WHERE public.seal_of(substr(name, 9)::regclass) <> value), 'none'))
FROM public.promises WHERE name LIKE 'seal of %';

-- check: row-level security is on
SELECT count(*) = 1, format('%s policy in force', count(*))
FROM pg_policy JOIN pg_class ON pg_class.oid = polrelid
WHERE polrelid = 'public.notes'::regclass AND polname = 'authors_see_their_own' AND relrowsecurity;

-- check: no object, column, constraint, grant or comment is missing
SELECT count(*) = 0,
       CASE count(*) WHEN 0 THEN 'none missing'
       ELSE format('%s missing: %s', count(*),
                   left(string_agg(kind || ' ' || name, '; ' ORDER BY kind, name), 400)) END
FROM (SELECT kind, name FROM public.promised_objects EXCEPT SELECT kind, name FROM public.objects) missing;

-- check: the database keeps its own settings, comment and grants
SELECT coalesce(bool_or(lower(s.setconfig::text) LIKE '%intervalstyle=iso_8601%'), false)
           AND shobj_description(d.oid, 'pg_database') IS NOT DISTINCT FROM 'The ledger''s books'
           AND (SELECT count(*) FROM aclexplode(d.datacl) WHERE grantee = 'pg_monitor'::regrole) = 1,
       format('settings %s, comment %s, grants %s', array_agg(s.setconfig::text),
              shobj_description(d.oid, 'pg_database'), d.datacl)
FROM pg_database d LEFT JOIN pg_db_role_setting s ON s.setdatabase = d.oid AND s.setrole = 0
WHERE d.datname = current_database() GROUP BY d.oid, d.datacl;
