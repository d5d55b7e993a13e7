"""Which column of a file holds what."""
