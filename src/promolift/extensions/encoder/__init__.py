"""A transformer that learns customers from their purchase histories."""
