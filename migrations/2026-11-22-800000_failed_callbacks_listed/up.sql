-- Calls that did not arrive are listed, with what they wanted and their last attempt; NULL in rows of before, which are not.

ALTER TABLE failed_callbacks
  ADD COLUMN destination_id uuid,
  ADD COLUMN step text,
  ADD COLUMN attempt_id uuid;
CREATE INDEX failed_callbacks_attempt ON failed_callbacks (tenant_id, attempt_id DESC);
