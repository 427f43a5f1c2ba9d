#!/bin/sh
# Run once by the image of PostgreSQL, in a new data directory: makes Hookgate's database and its owner, who may make the services'
# roles and is no superuser, so that row-level security holds for what runs with its rights.
set -eu
psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --set=password="$OWNER_PASSWORD" --username="$POSTGRES_USER" --dbname=postgres <<'SQL'
CREATE ROLE hookgate LOGIN CREATEROLE PASSWORD :'password';
CREATE DATABASE hookgate OWNER hookgate;
SQL
