-- Events and runs of one webhook, newest first, however few they are among the tenant's. Days that are made from now on have the
-- indexes at once; the next migration makes those of the days that there are.
CREATE INDEX events_webhook ON ONLY events (tenant_id, webhook_id, id);
CREATE INDEX runs_webhook ON ONLY runs (tenant_id, webhook_id, id);
