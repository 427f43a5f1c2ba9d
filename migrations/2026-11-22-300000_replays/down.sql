REVOKE INSERT, UPDATE (events, body_bytes) ON usage FROM hookgate_worker;
REVOKE SELECT ON usage FROM hookgate_worker;
GRANT SELECT (day) ON usage TO hookgate_worker;
REVOKE INSERT ON events FROM hookgate_worker;
DROP TABLE replays;
ALTER TABLE events DROP COLUMN replay_of, DROP COLUMN replay_id;
