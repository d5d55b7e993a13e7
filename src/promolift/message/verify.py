"""A final text and the offer it speaks of in; every way in which the text is not true out. Knows no template.

The text is read anew: names are found and protected, dates become moments, numbers get a role (part of the price,
amount, threshold, cap), and whatever number or claim is left over is a fact the offer does not contain.
"""

from dataclasses import replace

from promolift.message.channels import Channel, check_channel, is_name_only
from promolift.message.reading.asides import check_festivals, check_zones, turn_round
from promolift.message.reading.claims import check_claims
from promolift.message.reading.dates import check_dates
from promolift.message.reading.examples import check_examples
from promolift.message.reading.money import check_leftovers, check_money, check_shipping
from promolift.message.reading.names import check_labels, check_names, check_person, protect_names
from promolift.message.reading.percents import check_percents
from promolift.message.reading.rest import check_rest
from promolift.message.reading.text import BrokenRule, Context, Fact, Reading, ready
from promolift.message.reading.turns import plain_ends
from promolift.message.reading.words import (
    check_code,
    check_hygiene,
    check_language,
    check_slots,
    check_tone,
    check_words,
)
from promolift.terms import Language, Offer

# Characters; nobody reads more in a promotion, and reading takes time that grows with the square of the length.
LONGEST = 1000
_NOTHING = Context()


def broken_rules(
    text: str,
    offer: Offer,
    language: Language,
    channel: Channel = "plain",
    *,
    context: Context = _NOTHING,
    strict: bool = False,
) -> list[BrokenRule]:
    """All broken rules of `text` as a message about `offer`; an empty list means the text is true and fit to send.

    `strict` is for what a machine wrote and nobody reads: each word outside the facts must be a known one. Otherwise
    moods, scenes, questions and calls to the reader may hold any words; a claim, or what adds to the offer, may not
    (`unbacked`).

    Reads digits of any script, full width, Chinese numerals and English number words. Each rule has its code, its
    place, why, and where it comes from. Codes: missing_name, other_name, sensitive_name, wrong_name, unknown_purchase,
    missing_date, wrong_date, wrong_duration, vague_deadline, not_started, expired, missing_benefit, wrong_benefit,
    wrong_percent, vague_amount, wrong_amount, missing_threshold, wrong_threshold, missing_cap, wrong_cap,
    wrong_currency, wrong_price, unknown_number, unbacked,
    wrong_scope, wrong_condition, wrong_code, negated, superlative,
    profile_leak, wrong_language, unfilled_slot, empty, control_character, link, markup, injection, tone, too_long,
    no_offer, and those of the channel: sms_signature, sms_opt_out, sms_length, email_unsubscribe, email_address,
    push_length, wechat_name, wechat_floor.
    """
    return read(text, offer, language, channel, context, strict).broken


def facts(
    text: str, offer: Offer, language: Language, channel: Channel = "plain", *, context: Context = _NOTHING
) -> list[Fact]:
    """The facts `text` states, in their order, each ticked if no rule is broken where it stands."""
    reading = read(text, offer, language, channel, context)
    wrong = [(rule.start, rule.end) for rule in reading.broken if rule.end > rule.start]
    ticked = [replace(f, holds=not any(a < f.end and f.start < b for a, b in wrong)) for f in set(reading.facts)]
    return sorted(ticked, key=lambda fact: (fact.start, fact.end, fact.kind))


def read(
    text: str, offer: Offer, language: Language, channel: Channel, context: Context, strict: bool = False
) -> Reading:
    """One whole reading of `text`: what is broken and what it states."""
    reading = Reading(text, ready(text))
    if len(text) > LONGEST:
        reading.flag("too_long", LONGEST, len(text), f"more than {LONGEST} characters; the rest is not read")
        return reading
    if offer.benefit.type == "none":
        reading.flag("no_offer", 0, len(text), "'none' is no offer; nobody is written to about it")
    if is_name_only(text, channel):
        context = replace(context, full=False)
    check_channel(reading, offer, channel)
    check_hygiene(reading)
    check_code(reading, context)
    check_labels(reading, offer, context)
    protect_names(reading, offer, language, context)
    check_slots(reading)
    check_language(reading, language)
    check_tone(reading)
    check_names(reading, offer, context)
    check_person(reading, context)
    turn_round(reading)
    plain_ends(reading)
    check_zones(reading, offer)
    check_festivals(reading, offer)
    check_dates(reading, offer, context)
    check_claims(reading, context)
    check_examples(reading, offer)
    check_rest(reading, offer, language, strict)
    check_shipping(reading, offer)
    check_words(reading, offer, context)
    check_percents(reading, offer)
    check_money(reading, offer)
    check_leftovers(reading)
    return reading
