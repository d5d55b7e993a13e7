"""The value of a policy that never ran, estimated from logged decisions."""
