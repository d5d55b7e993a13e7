"""The settings in promolift.toml as one frozen tree of classes."""
