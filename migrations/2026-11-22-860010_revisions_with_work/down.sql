ALTER TABLE revisions DROP COLUMN has_work;
