-- They go with those of all days.
SELECT;
