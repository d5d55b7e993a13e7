"""Clean tables from raw rows, with a reason for every rejected row."""
