"""The schema of every table, and a check that a frame follows it."""
