"""Below the rooms: who may be written to, names that reveal nobody, logs without personal data, what customers
may know of theirs, what is too private for a profile, groups too small to be printed."""

from typing import TYPE_CHECKING

from promolift.lazy import lazy

__all__ = [
    "MATTER_WORDS", "REFUSED", "ConsentSettings", "KeptDays", "LastDecision", "PrivacySettings", "Processing",
    "SubjectFacts", "WordsSettings", "explain_subject", "heard", "may_send", "personal", "pseudonym", "redact",
    "sensitive_columns", "sensitive_products", "small_cells", "tells_private", "with_rest",
]  # fmt: skip

if TYPE_CHECKING:
    from promolift.privacy.cells import small_cells, with_rest
    from promolift.privacy.consent import REFUSED, heard, may_send, personal
    from promolift.privacy.redact import pseudonym, redact
    from promolift.privacy.rights import KeptDays, LastDecision, SubjectFacts, explain_subject
    from promolift.privacy.sensitive import MATTER_WORDS, sensitive_columns, sensitive_products, tells_private
    from promolift.privacy.settings import ConsentSettings, PrivacySettings, Processing, WordsSettings
else:
    lazy(__name__)
