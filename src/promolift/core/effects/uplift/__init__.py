"""Treatment effects per customer, estimated from randomised or adjusted trials."""
