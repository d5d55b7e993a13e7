"""Below the rooms: who may be written to, names that reveal nobody, logs without personal data, what customers
may know of theirs."""

from typing import TYPE_CHECKING

from promolift.lazy import lazy

__all__ = [
    "ConsentSettings", "KeptDays", "LastDecision", "PrivacySettings", "SubjectFacts", "explain_subject", "may_send",
    "personal", "pseudonym", "redact",
]  # fmt: skip

if TYPE_CHECKING:
    from promolift.privacy.consent import may_send, personal
    from promolift.privacy.redact import pseudonym, redact
    from promolift.privacy.rights import KeptDays, LastDecision, SubjectFacts, explain_subject
    from promolift.privacy.settings import ConsentSettings, PrivacySettings
else:
    lazy(__name__)
