"""Units of time and the clock."""
