DROP FUNCTION complete_pairing(uuid, uuid, text, text, bytea, integer);
DROP TABLE pairings;
ALTER TABLE webhooks DROP COLUMN handshake;
