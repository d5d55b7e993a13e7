"""Below the rooms: who may be written to, names that reveal nobody, logs without personal data."""

from promolift.privacy.consent import ConsentSettings, may_send
from promolift.privacy.redact import pseudonym, redact

__all__ = ["ConsentSettings", "may_send", "pseudonym", "redact"]
