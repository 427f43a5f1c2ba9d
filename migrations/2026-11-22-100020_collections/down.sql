DROP TABLE records;
DROP TABLE collections;
