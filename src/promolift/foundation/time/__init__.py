"""Units of time and the server clock."""
