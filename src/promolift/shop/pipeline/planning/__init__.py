"""Parts of the planner: offer targets, line tests, limits and partitions."""
