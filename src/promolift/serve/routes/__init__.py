"""The routes with less traffic, by what they are about."""
