"""Render a `Page` to one self-contained HTML report."""

from typing import TYPE_CHECKING

from promolift.foundation.lazy_imports import make_lazy

__all__ = ["render_page"]

if TYPE_CHECKING:
    from promolift.foundation.pages.rendering import render_page
else:
    make_lazy(__name__)
