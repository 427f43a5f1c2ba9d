DROP INDEX refusals_webhook;
