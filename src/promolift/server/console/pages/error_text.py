"""Return errors as messages."""

from promolift.foundation.errors import PromoError
from promolift.foundation.i18n.lazy_message import LazyMessage


def error_text(error: PromoError) -> LazyMessage:
    """Return what an error says, as a message."""
    return LazyMessage.from_stored(error.message)
