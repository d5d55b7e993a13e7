"""The shop's pipeline: from raw logs to a plan, its report, its release and what is learned from its outcomes."""
