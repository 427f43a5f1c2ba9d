//! What Postgres itself holds of the rules, and what the queries make of it.

mod catalogue;
