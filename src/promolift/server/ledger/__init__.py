"""The ledger: an append-only database of events, decisions, money and records."""
