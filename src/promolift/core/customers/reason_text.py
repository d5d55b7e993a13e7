"""Show the reasons of decisions and of closed offers in the reader's language.

Records, tables and the API hold a reason as English text, which programs read. A reason with a value is written with
one of `REASON_FORMS`, so that its value is found again when it is shown; every other reason is a message as it stands.
"""

from promolift.foundation.i18n.catalogue import gettext_noop
from promolift.foundation.i18n.lazy_message import message_of, render_message

CONSENT = gettext_noop("consent: {reason}")
TOO_YOUNG = gettext_noop("may be younger than {age}")
WEAK_EFFECT = gettext_noop("its effect is only {level}: test it before planning with it")
SEGMENTS_ONLY = gettext_noop("only for {segments}")
CODE_USED = gettext_noop("its code is {status} already")
COMPLAINED = gettext_noop("complained less than {days} days ago, in their own words")
ORDERED = gettext_noop("ordered less than {minutes} minutes ago")
NOT_VIEWED = gettext_noop("not looked at in the last {minutes} minutes")
OFFER_CAP = gettext_noop("frequency cap: {times} times in {days} days")
CHANNEL_CAP = gettext_noop("frequency cap: {offers} offers in {days} days on {channel}")
CAP = gettext_noop("frequency cap: {offers} offers in {days} days")
QUIET_HOURS = gettext_noop("quiet hours: {start}:00 to {end}:00 on {channel}")
RELEASE_ENDED = gettext_noop(
    "release_ended: the days of its plan were over at {moment}; plan anew and activate the new release"
)
RULE_EXCLUDES = gettext_noop("strategic rule {rule}: left out")
RULE_PINS = gettext_noop("strategic rule {rule}: another offer is pinned")
REASON_FORMS = (
    CONSENT, TOO_YOUNG, WEAK_EFFECT, SEGMENTS_ONLY, CODE_USED, COMPLAINED, ORDERED, NOT_VIEWED, OFFER_CAP, CHANNEL_CAP,
    CAP, QUIET_HOURS, RELEASE_ENDED, RULE_EXCLUDES, RULE_PINS,
)  # fmt: skip
gettext_noop("issued"), gettext_noop("redeemed"), gettext_noop("void")  # states of a code


def render_reason(reason: str) -> str:
    """Return a stored reason in the language that is in use."""
    return render_message(message_of(reason, *REASON_FORMS))
