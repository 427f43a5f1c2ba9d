DROP TABLE samples;
DROP TABLE captures;
