-- The role itself is the cluster's and stays, without any right here.
CREATE OR REPLACE FUNCTION is_resealing() RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
  RETURN coalesce(current_setting('hookgate.resealing', true), '') = 'on'
    AND session_user NOT IN ('hookgate_ingress', 'hookgate_management', 'hookgate_worker');
DROP POLICY administer ON memberships;
DROP POLICY administer ON tenants;
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM hookgate_admin;
REVOKE ALL ON SCHEMA public FROM hookgate_admin;
