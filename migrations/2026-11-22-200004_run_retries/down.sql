REVOKE DELETE ON runs FROM hookgate_management;
ALTER TABLE runs DROP COLUMN state;
