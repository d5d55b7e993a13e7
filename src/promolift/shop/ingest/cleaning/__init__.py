"""Clean tables from raw rows, with the reason for every rejected row."""
