REVOKE SELECT ON outcomes FROM hookgate_admin;
