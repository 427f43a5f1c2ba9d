DROP TABLE failed_callbacks;
