ALTER TABLE memberships DROP COLUMN version;
DROP INDEX login_sessions_tenant;
DROP TABLE invitations;
