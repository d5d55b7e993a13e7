"""A `Story` of a shop's promotions, or any other `Page`, in; one self-contained HTML report out."""

from typing import TYPE_CHECKING

from promolift.foundation.lazy_imports import lazy

__all__ = ["render_page"]

if TYPE_CHECKING:
    from promolift.foundation.pages.rendering import render_page
else:
    lazy(__name__)
