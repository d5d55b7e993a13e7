"""A shop whose report is written, and servers with the console over copies of it."""

from console_fixtures import folder, shop, told

__all__ = ["folder", "shop", "told"]
