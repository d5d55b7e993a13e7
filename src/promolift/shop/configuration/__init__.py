"""promolift.toml as one frozen tree of settings."""
