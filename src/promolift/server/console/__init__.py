"""A server in; pages for the people who run a campaign out, under `/console` beside the API for machines."""

from typing import TYPE_CHECKING

from promolift.foundation.lazy_imports import lazy

__all__ = ["dressed"]

if TYPE_CHECKING:
    from promolift.server.console.app import dressed
else:
    lazy(__name__)
