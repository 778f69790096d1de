-- Fills an empty ledger, the same way every time; its sizes come from two settings:
-- ledger.accounts, and ledger.rows for the transfers.

INSERT INTO public.holders (name, contact)
SELECT (ARRAY['Zoë Ångström', 'Nguyễn Văn An', 'Renée O''Brien', 'Søren "Kier" Krøyer', '田中 花子'])[1 + i % 5]
           || ' ' || i,
       jsonb_build_object('city', (ARRAY['Lyon', 'Œuf-sur-Mer', 'Zürich', '東京'])[1 + i % 4],
                          'floor', i % 7, 'id', i)
FROM generate_series(1, greatest(1, current_setting('ledger.accounts')::bigint / 2)) i ORDER BY i;

INSERT INTO public.accounts (holder_id, code, opening, balance, opened_at)
SELECT 1 + i % (SELECT count(*) FROM public.holders), 'LB' || lpad(i::text, 8, '0'), 10000000, 10000000,
       timestamptz '2022-11-01 08:00:00+00' + (i % 60) * interval '1 day'
FROM generate_series(1, current_setting('ledger.accounts')::bigint) i ORDER BY i;

-- Multiplying by a large odd number and keeping the high bits scatters the accounts, without any randomness.
INSERT INTO public.transfers (receipt, key, debit_account, credit_account, amount, kind, memo, booked_at)
SELECT i, 'seed-' || lpad(i::text, 9, '0'), debit, 1 + (debit - 1 + shift) % accounts,
       (100 + (i * 48271) % 9901) / 100.0,
       (enum_range(NULL::public.transfer_kind))
           [1 + (i % 23 = 0)::integer + (i % 41 = 0)::integer + (i % 97 = 0)::integer],
       CASE WHEN i % 11 = 0 THEN NULL ELSE 'ref ' || left(encode(sha256(i::text::bytea), 'base64'), 28) END,
       timestamptz '2022-11-01 09:00:00+00' + i * (interval '790 days' / rows)
FROM (SELECT current_setting('ledger.accounts')::bigint AS accounts,
             current_setting('ledger.rows')::bigint AS rows) size,
     generate_series(1, rows) i,
     LATERAL (SELECT 1 + ((i * 2654435761) % 4294967296 >> 8) % accounts AS debit,
                     1 + ((i * 2246822519) % 4294967296 >> 8) % (accounts - 1) AS shift) scattered
ORDER BY i;

UPDATE public.receipt_counter SET last_receipt = (SELECT count(*) FROM public.transfers);

UPDATE public.accounts a SET balance = opening + moved.amount
FROM (SELECT account, sum(amount) AS amount FROM (
          SELECT debit_account AS account, -amount AS amount FROM public.transfers
          UNION ALL SELECT credit_account, amount FROM public.transfers) movement GROUP BY account) moved
WHERE moved.account = a.id;

INSERT INTO public.events (key, happened_at, payload)
SELECT key, booked_at, jsonb_build_object('receipt', receipt, 'from', debit_account, 'to', credit_account,
                                          'amount', amount, 'memo', memo)
FROM public.transfers ORDER BY receipt;

REFRESH MATERIALIZED VIEW public.daily_totals;

INSERT INTO public.specimens VALUES
    ('ordinary', 'word', '{"a": 1,   "a": 2, "b": [1.50, null]}', '{"b": [1.50, null], "a": "é"}',
     '\xdeadbeef00ff', ARRAY['one', 'two words', '"quoted"', 'comma, {brace}', ''],
     ARRAY[[1, 2], [3, NULL]], 12345.67890, 0.1,
     '2024-02-29 23:59:59.999999+05:30', '2024-02-29', '1 year -2 days 03:04:05.678901',
     '[2024-01-01 00:00+00, 2024-02-01 00:00+00)', '{[1,5), [10,20)}', '00000000-0000-4000-8000-000000000001',
     '2001:db8::1/64', '(1.5,-2.25)', B'1011', 'payment', 0.01, 'a fat cat'),
    ('not a number', E'tab\there, newline\nthere, \\N and \\. too', 'null', 'null', '\x', '{}', '{}',
     'NaN', 'NaN', 'infinity', 'infinity', '0', 'empty', '{}', 'ffffffff-ffff-ffff-ffff-ffffffffffff',
     '192.0.2.1', '(0,-0)', B'', 'correction', 99999999999999999.99, ''),
    ('the edges', E'\u00e9 and e\u0301, \U0001F9FE, \u200Fא', '"\u00e9"', '"\u00e9"',
     decode(repeat('00ff5c0a', 500), 'hex'), ARRAY[NULL, 'NULL', E'\\'], ARRAY[[-2147483648], [2147483647]],
     '-Infinity', '-0', '-infinity', '4713-01-01 BC', '-178000000 years', '(,)', '{(,)}',
     '6ba7b810-9dad-11d1-80b4-00c04fd430c8', '0.0.0.0/0', '(Infinity,NaN)', B'1111111111111111', 'fee',
     1, 'é:1A é:2B'),
    ('precision', repeat('long enough to be stored out of line, or compressed; ', 400), '[]', '[]', NULL,
     NULL, NULL, 1.0000000000000000000000000000000000001, 1.7976931348623157e308,
     '0044-03-15 12:00:00+00 BC', '5874897-12-31', '999 microseconds',
     '["2024-01-01 00:00:00.000001+00",)', '{(,0), [7,)}', NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    ('nothing', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
     NULL, NULL, NULL, NULL, NULL);

INSERT INTO public.fee_periods (period, rate) VALUES
    ('(,2023-01-01)', 0.0150), ('[2023-01-01,2024-01-01)', 0.0125), ('[2024-01-01,)', 0.0100);

-- Incompressible content: hashes of counters, laid end to end; from nothing at all to one mebibyte.
INSERT INTO public.attachments (id, content, bytes, sha256)
SELECT id, lo_from_bytea(0, body), length(body), encode(sha256(body), 'hex')
FROM (SELECT id, coalesce(string_agg(sha256((id || ':' || chunk)::bytea), ''::bytea ORDER BY chunk), '')
             AS body
      FROM unnest(ARRAY[0, 32, 3200, 65536, 262144, 1048576]) WITH ORDINALITY wanted (bytes, id)
      LEFT JOIN LATERAL generate_series(1, bytes / 32) chunk ON true GROUP BY id) written ORDER BY id;

INSERT INTO public.page_cache VALUES ('/', 'gone after a crash, and rightly so');

INSERT INTO public.notes (author, body) VALUES
    (DEFAULT, 'seen by whoever made the ledger'),
    ('nobody in particular', 'seen by the owner of the table only');

INSERT INTO "Größe & ""Co"""."O'Brien's ""Büro"" — 帳簿 100%"
    ("select", "two  words", """quoted""", "back\slash", "per%cent %s", "UPPER", "with $dollar$")
SELECT 'row ' || i, 'l''été ' || i, '"' || i || '"', '\' || i || '\n', i / 3.0, 'STRASSE ' || i,
       '$$' || i || '$$'
FROM generate_series(1, 25) i ORDER BY i;

DO $$
BEGIN
    IF to_regclass('public.envelopes') IS NOT NULL THEN
        INSERT INTO public.envelopes SELECT i, 'letter ' || i, public.digest('letter ' || i, 'sha256')
        FROM generate_series(1, 5) i;
    END IF;
END
$$;

INSERT INTO public.promises
SELECT 'sum of balances', sum(balance)::text FROM public.accounts
UNION ALL SELECT 'accounts', count(*)::text FROM public.accounts
UNION ALL SELECT 'attachments', count(*)::text FROM public.attachments
UNION ALL SELECT 'seal of ' || sealed, public.seal_of(sealed)
FROM (VALUES (regclass 'public.specimens'), ('public.fee_periods'), ('public.attachments'),
             ('public.holders'), ('public.notes'),
             ('"Größe & ""Co"""."O''Brien''s ""Büro"" — 帳簿 100%"')) AS list (sealed);

INSERT INTO public.promised_objects SELECT kind, name FROM public.objects;
