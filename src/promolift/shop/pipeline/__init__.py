"""The steps from raw logs to a plan and its release."""
