"""A `Story` of a shop's promotions in, one self-contained HTML report out."""

from promolift.report.render import render
from promolift.report.story import Check, Chosen, Evidence, Household, Shop, Story, Unknown

__all__ = ["Check", "Chosen", "Evidence", "Household", "Shop", "Story", "Unknown", "render"]
