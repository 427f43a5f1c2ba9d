-- A run that failed keeps how far it came, so that it can go on at the step that failed.

ALTER TABLE runs ADD COLUMN state bytea;

-- Whoever lets a failed run go on takes the run away and makes a job of it.
GRANT DELETE ON runs TO hookgate_management;
