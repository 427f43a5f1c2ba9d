-- They go with that of all days.
SELECT;
