"""A planned shop and servers over copies of it."""

from server_fixtures import address, api, folder, shop

__all__ = ["address", "api", "folder", "shop"]
