"""A `Story` of a shop's promotions, or any other `Page`, in; one self-contained HTML report out."""

from typing import TYPE_CHECKING

from promolift.lazy import lazy

__all__ = ["Chosen", "Evidence", "Household", "Shop", "Story", "Unknown", "render", "render_page"]

if TYPE_CHECKING:
    from promolift.report.planned import Chosen, Evidence, Household
    from promolift.report.render import render, render_page
    from promolift.report.story import Shop, Story, Unknown
else:
    lazy(__name__)
