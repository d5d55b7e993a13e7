"""Return errors as messages, those of files among them, which the layer of files raises as finished English."""

from promolift.foundation.errors import PromoError
from promolift.foundation.i18n.catalogue import gettext_noop
from promolift.foundation.i18n.lazy_message import LazyMessage, message_of

FILE_ERRORS = (
    gettext_noop("{path}: no such file; that folder has {files}"), gettext_noop("{path}: no such file; check the path"),
    gettext_noop("{path}: a folder; name one CSV or Parquet file"), gettext_noop("{path}: empty; export it again"),
    gettext_noop("{path}: a table without rows; export it again"),
    gettext_noop("{what}: not enough memory or disk ({reason}); free some, or raise the store's memory"),
)  # fmt: skip


def error_text(error: PromoError) -> LazyMessage:
    """Return what an error says, as a message."""
    return message_of(error.message, *FILE_ERRORS)
