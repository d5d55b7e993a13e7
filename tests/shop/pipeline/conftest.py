"""A small shop as far as its effects, and rounds for few customers."""

from rounds_fixtures import in_rounds, ready

__all__ = ["in_rounds", "ready"]
