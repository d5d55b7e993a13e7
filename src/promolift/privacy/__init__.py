"""Below the rooms: who may be written to, names that reveal nobody, logs without personal data."""

from promolift.privacy.consent import ConsentSettings, may_send
from promolift.privacy.pseudonym import pseudonym
from promolift.privacy.redact import redact

__all__ = ["ConsentSettings", "may_send", "pseudonym", "redact"]
