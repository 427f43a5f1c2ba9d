DROP INDEX events_webhook, runs_webhook;
