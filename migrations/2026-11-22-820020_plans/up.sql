-- What the operator sells: limits with a name, for the tenants that have none of their own. Like people, plans are no tenant's; the
-- document is that of `model/src/limits.rs`.
CREATE TABLE plans (
  id uuid PRIMARY KEY,
  name text NOT NULL,
  limits jsonb NOT NULL DEFAULT '{}',
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT plans_name_key UNIQUE (name)
);

-- NULL: the operator's defaults.
ALTER TABLE tenants
  ADD COLUMN plan_id uuid,
  ADD CONSTRAINT tenants_plan_fkey FOREIGN KEY (plan_id) REFERENCES plans (id);
CREATE INDEX tenants_plan ON tenants (plan_id) WHERE plan_id IS NOT NULL;

GRANT SELECT ON plans TO hookgate_ingress, hookgate_management;
-- Workers tell how much is due for the tenants of each plan.
GRANT SELECT (id, name) ON plans TO hookgate_worker;
GRANT SELECT (plan_id) ON tenants TO hookgate_worker;
