DROP INDEX failed_callbacks_attempt;
ALTER TABLE failed_callbacks
  DROP COLUMN attempt_id,
  DROP COLUMN step,
  DROP COLUMN destination_id;
