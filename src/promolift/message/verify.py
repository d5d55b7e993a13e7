"""A final text and the offer it speaks of in; every way in which the text is not true out. Knows no template.

The text is read anew: names are found and protected, dates become moments, numbers get a role (part of the price,
amount, threshold, cap), and whatever number or claim is left over is a fact the offer does not contain.
"""

from promolift.message.reading.claims import check_claims
from promolift.message.reading.dates import check_dates
from promolift.message.reading.money import check_leftovers, check_money, check_shipping
from promolift.message.reading.names import check_names, check_person, protect_names
from promolift.message.reading.percents import check_percents
from promolift.message.reading.text import BrokenRule, Context, Reading, ready
from promolift.message.reading.words import check_hygiene, check_language, check_slots, check_words
from promolift.terms import Language, Offer

# Characters; nobody reads more in a promotion, and reading takes time that grows with the square of the length.
LONGEST = 1000
_NOTHING = Context()


def broken_rules(text: str, offer: Offer, language: Language, *, context: Context = _NOTHING) -> list[BrokenRule]:
    """All broken rules of `text` as a message about `offer`; an empty list means the text is true and fit to send.

    Reads digits of any script, full width, Chinese numerals and English number words. Codes: missing_name, other_name,
    sensitive_name, wrong_name, unknown_purchase, missing_date, wrong_date, wrong_duration, vague_deadline, not_started,
    expired, missing_benefit, wrong_benefit, wrong_percent, vague_amount, wrong_amount, missing_threshold,
    wrong_threshold, missing_cap, wrong_cap, wrong_currency, wrong_price, unknown_number, wrong_scope, wrong_condition,
    negated, superlative, profile_leak, wrong_language, unfilled_slot, empty, control_character, link, markup, too_long,
    no_offer.
    """
    reading = Reading(text, ready(text))
    if len(text) > LONGEST:
        reading.flag("too_long", LONGEST, len(text), f"more than {LONGEST} characters; the rest is not read")
        return reading.broken
    if offer.benefit.type == "none":
        reading.flag("no_offer", 0, len(text), "'none' is no offer; nobody is written to about it")
    check_hygiene(reading)
    protect_names(reading, offer, language, context)
    check_slots(reading)
    check_language(reading, language)
    check_names(reading, offer, context)
    check_person(reading, context)
    check_dates(reading, offer, context)
    check_claims(reading, context)
    check_shipping(reading, offer)
    check_words(reading, offer, context)
    check_percents(reading, offer)
    check_money(reading, offer)
    check_leftovers(reading)
    return reading.broken
