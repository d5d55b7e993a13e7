"""A rule's code in, where it comes from out: the offer itself, a law, or a channel's own limit. Not legal advice."""

_TRUE = "the offer: a message says what the offer says, no more and no less"
_OURS = "promolift: a message fit to send"
_AD_LAW = "ad_law_cn: Advertising Law of the People's Republic of China (2015, revised 2021), article 9 (3)"
_MISLEAD = "ad_law_cn: the same law, article 28; Directive 2005/29/EC, annex I, no. 7"
_CLAIMS = "ad_law_cn: the same law, articles 11, 17 and 28; Regulation (EC) 1924/2006 on health claims"
_PRIVACY = (
    "Personal Information Protection Law of the People's Republic of China (2021), articles 6 and 28; GDPR, article 5"
)
_SMS = "sms_cn: Provisions on Short Message Services (MIIT order 31, 2015), articles 18 and 20"
_SMS_LENGTH = "sms_cn: 3GPP TS 23.038 and 23.040: 70 characters in one part, 67 per part in several"
_EMAIL = "email_en: CAN-SPAM Act, 15 U.S.C. 7704 (a) (3) and (5)"
_PUSH = "push: lock screens cut what is longer; the limit is ours"
_WECHAT = "wechat_store: rules for coupons of stores in WeChat"

SOURCES: dict[str, str] = {
    "superlative": _AD_LAW,
    "unproven_claim": _CLAIMS,
    "vague_deadline": _MISLEAD,
    "profile_leak": _PRIVACY,
    "sensitive_name": _PRIVACY,
    "wrong_name": _PRIVACY,
    "unknown_purchase": _PRIVACY,
    "sms_signature": _SMS,
    "sms_opt_out": _SMS,
    "sms_length": _SMS_LENGTH,
    "email_unsubscribe": _EMAIL,
    "email_address": _EMAIL,
    "push_length": _PUSH,
    "wechat_name": _WECHAT,
    "wechat_floor": _WECHAT,
} | dict.fromkeys(
    ("wrong_language", "unfilled_slot", "empty", "control_character", "link", "markup", "too_long", "tone", "no_offer",
     "injection"), _OURS,
)  # fmt: skip


def source_of(code: str) -> str:
    """Where the rule with this code comes from; every rule without a law of its own rests on the offer."""
    return SOURCES.get(code, _TRUE)
