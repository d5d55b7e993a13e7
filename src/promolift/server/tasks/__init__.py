"""Background work of the server: learning, maintenance, response counts, audit archives."""
