-- Calls that runs leave behind are jobs of their own kind: the sealed request is their state.

ALTER TABLE jobs ADD COLUMN is_callback boolean NOT NULL DEFAULT false;
