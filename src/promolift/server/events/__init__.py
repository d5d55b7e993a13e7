"""Accept events from the shop and from web pages."""
