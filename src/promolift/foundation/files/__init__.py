"""Read files of any common format as DuckDB relations, with a row number and unchanged values."""
