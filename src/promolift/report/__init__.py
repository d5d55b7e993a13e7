"""A `Story` of a shop's promotions, or any other `Page`, in; one self-contained HTML report out."""

from promolift.report.render import render, render_page
from promolift.report.story import Check, Chosen, Evidence, Household, Outlook, Shop, Story, Told, Unknown

__all__ = [
    "Check",
    "Chosen",
    "Evidence",
    "Household",
    "Outlook",
    "Shop",
    "Story",
    "Told",
    "Unknown",
    "render",
    "render_page",
]
