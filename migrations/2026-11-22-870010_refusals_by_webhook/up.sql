-- The refusals of one webhook, newest first: the maintenance keeps so many of each, and goes from webhook to webhook. Days that are made
-- from now on have the index at once; the next migration makes that of the days that there are.
CREATE INDEX refusals_webhook ON ONLY refusals (tenant_id, webhook_id, id);
