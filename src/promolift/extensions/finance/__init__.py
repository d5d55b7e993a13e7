"""Trades other than a shop: a file with a row per customer, or per impression, in; a plan by the same rooms out."""
