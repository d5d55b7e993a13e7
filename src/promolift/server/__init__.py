"""Serve a plan over HTTP: receive events, decide offers and keep money within its limits.

One process listens on one port. Decisions, events and money are stored in the ledger (SQLite or PostgreSQL).
`api.app.create(ServeSettings(...))` builds the ASGI application, `promolift serve` runs it and `api.client.Client`
calls it.
"""
