"""A `Story` of a shop's promotions, or any other `Page`, in; one self-contained HTML report out."""

from typing import TYPE_CHECKING

from promolift.lazy import lazy

__all__ = ["Chosen", "Evidence", "Household", "Shop", "Story", "Unknown", "render", "render_page"]

if TYPE_CHECKING:
    from promolift.pages.planned import Chosen, Evidence, Household
    from promolift.pages.render import render, render_page
    from promolift.pages.story import Shop, Story, Unknown
else:
    lazy(__name__)
