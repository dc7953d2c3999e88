"""Rate limits: one table, one bucket algorithm."""
