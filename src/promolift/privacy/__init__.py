"""Below the rooms: who may be written to, names that reveal nobody, logs without personal data."""

from typing import TYPE_CHECKING

from promolift.lazy import lazy

__all__ = ["ConsentSettings", "may_send", "pseudonym", "redact"]

if TYPE_CHECKING:
    from promolift.privacy.consent import may_send
    from promolift.privacy.redact import pseudonym, redact
    from promolift.privacy.settings import ConsentSettings
else:
    lazy(__name__)
