"""A refusal counts in whatever coding a sender writes it; a yes never comes from what nobody can read."""

from typing import Any

import duckdb
import polars as pl
import pytest
from drawn import cases
from hypothesis import given
from hypothesis import strategies as st
from serve_helpers import Api

from promolift.server.events.events import parse_events
from promolift.server.ledger.event_rows import CONSENT_BY_PAGE, ParsedEvents
from promolift.shop.configuration.column_mapping import Mapping
from promolift.shop.configuration.settings import CleanRules
from promolift.shop.ingest.cleaning.consent_answers import (
    AGREED_TEXTS,
    NO_TEXTS,
    UNKNOWN_TEXTS,
    YES_TEXTS,
    names_refusal,
)
from promolift.shop.ingest.cleaning.table_cleaning import clean_customers

RECEIVED = 1_767_600_000_000
NO = st.sampled_from([False, 0, 0.0, "opt-out", "OptedOut", "OPT_OUT", *NO_TEXTS])
YES = st.sampled_from([True, 1, 1.0, "opt_in", *YES_TEXTS])
UNKNOWN = st.sampled_from([None, "", *UNKNOWN_TEXTS])
LONG = ("x" * 999, "yes" + 300 * " " + "x")
UNREADABLE = st.sampled_from(
    [2, 7.5, "maybe", "yes?", "-1", "(ja)", "\u00f6", "01/02/2025", *LONG, [], {}, ["x"], {"email": "maybe"}]
)  # fmt: skip
CONSENTS = st.sampled_from(
    ["marketing_consent", "newsletter", "accepts_marketing", "email_opt_in", "emailOptIn", "Opt-In SMS", "同意",
     "subscribed"]
)  # fmt: skip
REFUSALS = st.sampled_from(
    ["unsubscribed", "Opted Out", "optOut", "email_unsubscribed", "doNotContact", "退订", "not_subscribed",
     "no_consent", "consentRevoked", "marketing_consent_denied", "emailBlacklisted"]
)  # fmt: skip
SHAPES = st.sampled_from(["{}", " {} ", "upper", "title", "dict", "list"])
GONE = ("Withdrawal from Newsletter", "Order Updates Unsubscribed", "Unsubscribed",
        "Email Unsubscribed", "unsubscribe", "email_unsubscribed", "users.messages.email.Unsubscribe",
        "Opted Out", "SMS Opt-Out", "Email Marked as Spam", "退订")  # fmt: skip


def shaped(value: Any, shape: str) -> Any:
    if shape in ("dict", "list"):
        return {"marketing": value} if shape == "dict" else [value]
    if not isinstance(value, str):
        return value
    return getattr(value, shape)() if shape in ("upper", "title") else shape.format(value)


def identify(**traits: Any) -> ParsedEvents:
    return parse_events([{"type": "identify", "userId": "u", "traits": traits}], None, RECEIVED)


def track(name: str, **properties: Any) -> ParsedEvents:
    event = {"type": "track", "event": name, "userId": "u", "properties": properties}
    return parse_events([event], None, RECEIVED)


def said(parsed: ParsedEvents, name: str = "consent") -> Any:
    assert not parsed.rejected, parsed.rejected
    return next((row[name] for row in parsed.traits if name in row), None)


@cases(400)
@given(value=NO, shape=SHAPES, other=CONSENTS, more=YES | UNKNOWN | UNREADABLE)
def test_a_no_in_any_coding_is_a_no_whatever_stands_beside_it(value: Any, shape: str, other: str, more: Any) -> None:
    no = shaped(value, shape)
    assert said(identify(consent=no)) == said(identify(Consent=no)) == said(identify(**{other: no})) == 0
    assert said(identify(preferences={other: no})) == said(track("Consent Updated", **{other: no})) == 0
    assert said(identify(consent=no, **{other: more})) == said(identify(consent=no, personal=more)) == 0
    assert said(identify(personal=no), "personal") == 0
    assert said(identify(marketing=no, consent=True)) == 0
    assert said(track("Email Subscription Preferences Updated", email=no)) == 0


@cases(200)
@given(name=REFUSALS, value=YES | UNREADABLE | st.just("2026-01-05"), beside=YES, no=NO, unknown=UNKNOWN)
def test_the_name_of_a_refusal_is_a_no(name: str, value: Any, beside: Any, no: Any, unknown: Any) -> None:
    denied = ("opt_in", *AGREED_TEXTS, [], {})  # answers that deny the refusal
    if value not in denied:
        assert said(identify(**{name: value})) == said(identify(**{name: value}, consent=beside)) == 0
    assert said(identify(**{name: unknown})) is None
    if not isinstance(no, str) or no in ("no", "false", "0", "nein"):
        assert said(identify(**{name: no})) is None
        assert said(identify(**{name: no}, consent=beside)) == 1


@cases(200)
@given(yes=YES, shape=SHAPES, unknown=UNKNOWN, other=CONSENTS)
def test_a_yes_is_a_yes_and_under_another_name_takes_no_withdrawal_back(
    yes: Any, shape: str, unknown: Any, other: str
) -> None:
    assert said(identify(consent=shaped(yes, shape))) == said(identify(consent=yes, email_opt_in=unknown)) == 1
    assert said(identify(personal=shaped(yes, shape)), "personal") == 1
    assert said(identify(consent=unknown)) is None
    assert said(identify(**{other: yes})) == CONSENT_BY_PAGE
    assert said(identify(marketing=yes)) is None  # it could mean anything


@cases(200)
@given(value=UNREADABLE, name=st.sampled_from(["consent", "personal"]) | CONSENTS, yes=YES)
def test_what_nobody_can_read_is_refused_by_name_and_is_no_yes(value: Any, name: str, yes: Any) -> None:
    for traits in ({name: value}, {"consent": yes, "personal": yes} | {name: value}, {"consent": yes, "Consent": "hm"}):
        parsed = identify(**traits)
        assert (parsed.traits, parsed.events, len(parsed.rejects)) == ([], [], 1)
        (bad,) = parsed.rejected
        assert bad["code"] == "answer_unreadable"
        assert bad["pointer"].removeprefix("/traits/") in traits
        assert "yes" in bad["detail"]


CHANNELS = st.sampled_from(["sms", "SMS", "E-Mail", "email", "phone", "push", "WhatsApp", "短信", "推送", "newsletter"])
NAMES = st.builds(
    lambda form, channel, shape: shape(form.format(channel)),
    st.sampled_from([
        "{} opt-out", "{} opt in", "{} consent", "no {} consent", "{} consent revoked", "unsubscribed from {}",
        "accepts {} marketing", "同意{}", "退订{}", "not subscribed to {}", "do not contact by {}", "Einwilligung {}",
        "consent to {} denied", "keine Werbung per {}", "never opted in to {}", "{} consent not revoked",
    ]),
    CHANNELS,
    st.sampled_from(
        [str, str.upper, str.title, lambda text: text.replace(" ", "_"), lambda text: text.replace(" ", "-")]
    ),
)  # fmt: skip
TEXTS = st.builds(
    lambda text, shape: shape(text),
    st.sampled_from([*NO_TEXTS, *YES_TEXTS, *UNKNOWN_TEXTS, "maybe", "2026-01-05", "subscribed to all"]),
    st.sampled_from([str, str.upper, lambda text: text.replace(" ", "_"), lambda text: text.replace(" ", "-")]),
)


def in_file(rows: list[dict[str, str]]) -> list[bool | None]:
    """What a customers' file with these columns of consent says of each customer."""
    columns = {"customer_id": "id", "consent": [*rows[0]]}
    mapping = Mapping.parse({"table": "customers", "columns": columns}, "customers")
    with duckdb.connect() as connection:
        said = [{"_row": at, "id": f"c{at:02}", **row} for at, row in enumerate(rows)]
        raw = connection.from_arrow(pl.DataFrame(said).to_arrow())
        people = clean_customers(raw, mapping, CleanRules(now_ms=0)).accepted().pl()
    return people.sort("customer_id")["consent"].to_list()


def in_events(row: dict[str, str]) -> bool | None:
    """The same of an event with these traits; one that is refused as unreadable agrees to nothing."""
    parsed = identify(**row)
    return False if parsed.rejected else {None: None, 0: False}.get(said(parsed), True)


@cases(60)
@given(names=st.lists(NAMES, min_size=1, max_size=3, unique_by=str.casefold), data=st.data())
def test_a_file_and_an_event_say_the_same_of_a_customer(names: list[str], data: st.DataObject) -> None:
    """Whatever the channels are called and however the answers are written: any refusal is one of all messages."""
    row = st.fixed_dictionaries(dict.fromkeys(names, TEXTS))
    rows = data.draw(st.lists(row, min_size=10, max_size=20))
    for row_, of_file in zip(rows, in_file(rows), strict=True):
        assert of_file == in_events(row_), row_


@cases(200)
@given(name=NAMES)
def test_an_event_is_a_refusal_where_a_column_of_its_name_holds_refusals(name: str) -> None:
    assert (said(track(name)) == 0) == names_refusal(name)


@pytest.mark.parametrize("name", GONE)
def test_an_event_of_unsubscribing_is_a_no(name: str) -> None:
    assert said(track(name)) == said(track(name, consent=True)) == said(track(name, consent="hm")) == 0


def test_other_traits_and_events_say_nothing_of_consent() -> None:
    quiet = {"email": "a@b.example", "plan": 0, "vip": False, "consent_source": "web", "newsletter_id": "n-7",
             "email_opt_in_at": "2025-01-01", "unsubscribe_url": "https://x.example/u", "may" * 9000: 0}  # fmt: skip
    assert said(identify(**quiet)) is None
    assert said(identify(**quiet, consent="ja")) == 1
    for name in (
        "Withdrawal Requested",
        "Product Blacklisted",
        "Card Blocked",
        "Video Stopped",
        "Product Viewed",
        "Newsletter Subscribed",
        "Subscription Updated",
        "Order Completed",
    ):
        assert said(track(name, plan="x", consent_source="web")) is None
    assert track("Email Subscription Preferences Updated", often="weekly").rejected[0]["pointer"] == "/properties"


CODINGS: tuple[dict[str, Any], ...] = (
    {"consent": "no"}, {"consent": 0}, {"consent": {"marketing": False}}, {"unsubscribed": True},
    {"accepts_marketing": False}, {"email_opt_in": "N"}, {"consent": "unsubscribed"},
)  # fmt: skip


@pytest.mark.parametrize("traits", CODINGS)
def test_no_offer_follows_a_refusal(api: Api, traits: dict[str, Any]) -> None:
    who = next(each for each in map("u{:02d}".format, range(60)) if api.decide(each)["offer_id"] != "none")
    api("POST", "/v1/identify", {"userId": who, "messageId": "no", "traits": traits}, 202)
    assert api.decide(who)["reason"].startswith("consent")
    api("POST", "/v1/identify", {"userId": who, "messageId": "other", "traits": {"sms_opt_in": True}}, 202)
    assert api.decide(who)["reason"].startswith("consent")
    api("POST", "/v1/identify", {"userId": who, "messageId": "yes", "traits": {"consent": "yes"}}, 202)
    assert not api.decide(who)["reason"].startswith("consent")


@pytest.mark.parametrize(
    "text",
    [
        *("nein danke", "no gracias", "No, thanks", "ne plus contacter", "kein Newsletter", "不要推销", "STOP"),
        *("bitte nicht mehr anschreiben", "arrêtez de m'écrire", "送らないでください", "не присылать", "不要再发了"),
        "dejen de escribirme",
    ],
)
def test_a_refusal_in_words_is_a_no_under_any_name(text: str) -> None:
    for name in ("marketing_email", "email_marketing", "email_opt_in"):
        assert said(identify(**{name: text})) == 0
