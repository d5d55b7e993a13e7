"""Define the schema of every table, and check that a frame follows it."""
