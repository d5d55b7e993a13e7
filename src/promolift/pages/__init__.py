"""A `Story` of a shop's promotions, or any other `Page`, in; one self-contained HTML report out."""

from typing import TYPE_CHECKING

from promolift.lazy import lazy

__all__ = ["Card", "OpenQuestion", "Story", "render", "render_page"]

if TYPE_CHECKING:
    from promolift.pages.chapters.summary import render
    from promolift.pages.render import render_page
    from promolift.pages.story import Card, OpenQuestion, Story
else:
    lazy(__name__)
