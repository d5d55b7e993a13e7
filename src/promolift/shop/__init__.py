"""From raw logs to a plan, its report, its release and what was learned from it."""
