-- A part of the events, with what became of them. Psql replaces :first, :last, :began_ms and :step_ms.

-- How the n-th event looks: when it came, to which webhook, with which body. Everything else follows from hashes of n.
CREATE TEMP TABLE part AS
SELECT n, ms, hash, slot.tenant_id, slot.webhook_id, slot.url_id, slot.revision_id, slot.works,
  (lpad(to_hex(ms), 12, '0') || '7' || lpad(to_hex(n & 4095), 3, '0') || '8' || substr(md5(n::text), 1, 15))::uuid AS id
FROM generate_series(:first, :last) AS n
CROSS JOIN LATERAL (SELECT (:began_ms + n * :step_ms::float8)::bigint AS ms, hashint4(n) & 2147483647 AS hash,
  hashint4(-n) & 2147483647 AS place) AS event
JOIN bench_slots AS slot ON slot.number = place % 10000;

INSERT INTO events (tenant_id, id, webhook_id, url_id, revision_id, environment, method, suffix, path, query, address, headers,
  body_codec, body_bytes, body, event_type, delivery_id, deduplication)
SELECT tenant_id, id, webhook_id, url_id, revision_id, CASE WHEN hash % 50 = 0 THEN 'test' ELSE 'production' END,
  CASE WHEN hash % 33 = 0 THEN 'PUT' ELSE 'POST' END, 'orders', 'orders', '', '203.0.113.0'::inet + hash % 250,
  convert_to(format(E'host: hooks.example.com\nuser-agent: shop-webhooks/2.4\naccept: */*\ncontent-type: application/json\n'
    'content-length: %s\nx-shop-topic: %s\nx-shop-delivery: %s\nx-shop-signature: sha256=%s%s\n', body.bytes, body.event_type,
    md5(n::text)::uuid, md5((n + 1)::text), md5((n + 2)::text)), 'UTF8'),
  body.codec, body.bytes, body.body, body.event_type, md5(n::text)::uuid::text, CASE WHEN hash % 4 = 0 THEN 'remembered' END
FROM part JOIN bench_bodies AS body ON body.number = hash / 7 % (SELECT count(*) FROM bench_bodies);

INSERT INTO runs (tenant_id, id, webhook_id, revision_id, outcome, error, started_at, finished_at, steps, answer)
SELECT tenant_id, id, webhook_id, revision_id, outcome, CASE outcome WHEN 'failed' THEN 'crm: the destination answered 500' END,
  to_timestamp((ms + 4) / 1000.0), to_timestamp((ms + 40) / 1000.0),
  convert_to(format('[{"name":"order","kind":"set","outcome":"succeeded","values":{"id":%s}},'
    '{"name":"crm","kind":"http","outcome":"succeeded","status":200,"attempts":1,"duration_us":31250}]', hash), 'UTF8'),
  convert_to('00000000000000000000000000000000{"crm_id":4711}', 'UTF8')
FROM part CROSS JOIN LATERAL (SELECT CASE WHEN hash % 200 = 3 THEN 'failed' WHEN hash % 40 = 4 THEN 'filtered'
  ELSE 'succeeded' END AS outcome) AS ended
WHERE works;

INSERT INTO attempts (tenant_id, id, run_id, webhook_id, destination_id, step, number, method, url, outcome, status, started_at,
  duration_us, timing, response_preview)
SELECT tenant_id, (left(id::text, 15) || substr(md5((n * 3 + number)::text), 1, 3) || substr(id::text, 19, 17) || number)::uuid, id, webhook_id,
  ('01900000-0000-7000-8000-00000000000' || hash % 5)::uuid, 'crm', number, 'POST', 'https://crm.example.com/orders',
  CASE WHEN hash % 200 = 3 OR number < tries THEN 'failed' ELSE 'succeeded' END, CASE WHEN hash % 200 = 3 OR number < tries THEN 500
  ELSE 200 END, to_timestamp((ms + 5) / 1000.0), 31250, '{"connect_us": 410, "first_byte_us": 30800, "resolve_us": 120}',
  convert_to(format('{"crm_id":%s,"status":"created"}', hash), 'UTF8')
FROM part CROSS JOIN LATERAL (SELECT CASE WHEN hash % 200 = 3 THEN 3 WHEN hash % 50 = 5 THEN 2 ELSE 1 END AS tries) AS made
CROSS JOIN LATERAL generate_series(1, tries) AS number
WHERE works AND hash % 40 <> 4;

INSERT INTO refusals (tenant_id, id, webhook_id, url_id, reason, detail, status, method, path, query, address, headers, body_bytes,
  body_preview)
SELECT tenant_id, id, webhook_id, url_id, CASE WHEN hash % 3 = 0 THEN 'wrong_signature' ELSE 'missing_credential' END,
  'the signature does not fit the body', 401, 'POST', 'orders', '', '198.51.100.0'::inet + hash % 250,
  convert_to(E'host: hooks.example.com\ncontent-type: application/json\n', 'UTF8'), 18, convert_to('{"id": 1}', 'UTF8')
FROM part WHERE hash % 100 = 1;

INSERT INTO duplicates (tenant_id, event_id, count, last_at)
SELECT tenant_id, id, 1, to_timestamp(ms / 1000.0 + 60) FROM part WHERE hash % 400 = 8;

INSERT INTO failed_callbacks (tenant_id, id, webhook_id, revision_id, event_id, state, failed_at, destination_id, step, attempt_id)
SELECT part.tenant_id, gen_random_uuid(), part.webhook_id, part.revision_id, run_id, decode(repeat('00', 300), 'hex'), started_at,
  destination_id, step, attempts.id
FROM attempts JOIN part ON part.id = run_id
WHERE attempts.id BETWEEN (SELECT id FROM part ORDER BY id LIMIT 1) AND (SELECT id FROM part ORDER BY id DESC LIMIT 1) AND number = 3;

INSERT INTO usage (tenant_id, day, webhook_id, events, body_bytes)
SELECT tenant_id, to_timestamp(ms / 1000.0)::date, webhook_id, count(*), count(*) * 1000 FROM part GROUP BY 1, 2, 3
ON CONFLICT (tenant_id, day, webhook_id) DO UPDATE SET events = usage.events + excluded.events;

INSERT INTO audit_log (tenant_id, id, actor, action, object_kind, object_id, before, after)
SELECT tenant_id, id, 'usr_01k9z3v8e5f2q8r7w6t5y4x3m2', CASE WHEN hash % 3 = 0 THEN 'created' ELSE 'changed' END,
  CASE WHEN hash % 2 = 0 THEN 'webhook' ELSE 'destination' END, webhook_id, '{"name": "Orders"}', '{"name": "Orders of the shop"}'
FROM part WHERE hash % 25 = 9;
