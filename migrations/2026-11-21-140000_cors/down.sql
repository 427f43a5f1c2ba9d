ALTER TABLE webhooks DROP COLUMN cors, DROP COLUMN malformed_bodies;
