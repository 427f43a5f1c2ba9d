ALTER TABLE invitations DROP COLUMN is_mailed;
DROP TABLE mails;
