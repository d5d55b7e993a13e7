"""Reserve, confirm and roll back the money of an offer."""
