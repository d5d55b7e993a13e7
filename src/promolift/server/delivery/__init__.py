"""Send webhooks and messages, and retry what failed."""
