DROP TABLE duplicates;
DROP TABLE deduplication_keys;
ALTER TABLE events DROP COLUMN event_type, DROP COLUMN delivery_id, DROP COLUMN deduplication;
ALTER TABLE webhooks DROP COLUMN deduplication;
