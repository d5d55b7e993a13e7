"""A `Story` of a shop's promotions, or any other `Page`, in; one self-contained HTML report out."""

from promolift.report.render import render, render_page
from promolift.report.story import Check, Chosen, Evidence, Household, Shop, Story, Unknown

__all__ = ["Check", "Chosen", "Evidence", "Household", "Shop", "Story", "Unknown", "render", "render_page"]
