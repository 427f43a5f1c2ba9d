DELETE FROM jobs WHERE is_callback;
ALTER TABLE jobs DROP COLUMN is_callback;
