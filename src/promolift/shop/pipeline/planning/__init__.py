"""Parts of the planner: targets, tests of offer lines, limits."""
