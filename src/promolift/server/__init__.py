"""The plan behind HTTP: one process, one port. Events come in, decisions go out, money is kept in the ledger.

`app.create(ServeSettings(...))` makes the ASGI application, `promolift serve` runs it, `client.Client` talks to it.
"""
