"""The web console under `/console` for the people who run a campaign, beside the API for programs."""

from typing import TYPE_CHECKING

from promolift.foundation.lazy_imports import make_lazy

__all__ = ["with_console"]

if TYPE_CHECKING:
    from promolift.server.console.console_app import with_console
else:
    make_lazy(__name__)
