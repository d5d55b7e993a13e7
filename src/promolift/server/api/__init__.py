"""The HTTP API: routes, authentication, middleware and problem documents."""
