"""Real data sets and file formats: each opens its rows as DuckDB relations with a row number, unchanged."""
