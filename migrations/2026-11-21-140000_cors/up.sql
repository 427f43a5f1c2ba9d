-- Which web pages may call a webhook from a browser, and what becomes of bodies that are not what they are called.

-- NULL: no page may.
ALTER TABLE webhooks ADD COLUMN cors jsonb;
ALTER TABLE webhooks ADD COLUMN malformed_bodies text NOT NULL DEFAULT 'accept'
  CONSTRAINT webhooks_malformed_bodies_known CHECK (malformed_bodies IN ('accept', 'refuse'));
