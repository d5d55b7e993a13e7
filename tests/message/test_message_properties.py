"""Laws over all valid offers: every template message verifies, and no single changed fact goes unseen."""

from contextlib import suppress
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, assume, given
from hypothesis import strategies as st

from drawn import cases
from promolift.errors import InputError
from promolift.message import Bought, Context, Message, Recipient, Style, broken_rules, write
from promolift.message.names import table
from promolift.message.templates import compose
from promolift.terms import Benefit, Offer, Words

FAST = cases(150, suppress_health_check=list(HealthCheck))
CATEGORIES = [(key, row.words) for (kind, key), row in table().items() if kind == "category"]
PRODUCTS = [
    Words(zh="商品2", en="Product 2"),
    Words(zh="50%可可巧克力", en="Dark Chocolate 50% Cocoa"),
    Words(zh="7UP", en="7UP"),
    Words(zh="iPhone 15", en="iPhone 15"),
    Words(zh="三折雨伞", en="No. 1 Umbrella"),
    Words(zh="最佳果酱", en="Best Jam Ever"),
]
ZONES = ["America/New_York", "Asia/Shanghai", "Europe/London", "Asia/Kolkata", "Pacific/Auckland"]
CURRENCIES = ["USD", "CNY", "EUR", "JPY", "GBP", "KWD", "CHF", "HKD", "TRY", "ALL", "XQQ", "BRL", "INR"]
RUG = Bought(label=Words(zh="羊毛地毯", en="Wool Rug"), key="rug", kind="product")


@st.composite
def offers(draw: st.DrawFn) -> Offer:
    kind = draw(st.sampled_from(["percent_off", "amount_off", "free_shipping"]))
    cents, spend = draw(st.integers(1, 10**7)), draw(st.one_of(st.just(0), st.integers(1, 10**8)))
    benefit = Benefit(
        type=kind,
        percent=draw(st.integers(1, 100)) if kind == "percent_off" else 0,
        amount_cents=cents if kind == "amount_off" else 0,
        max_discount_cents=draw(st.one_of(st.none(), st.integers(1, 10**6))),
    )
    scope = draw(st.sampled_from(["all", "category", "product"]))
    key, label = draw(st.sampled_from(CATEGORIES))
    start = draw(st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1)))
    end = start + timedelta(seconds=draw(st.integers(60, 10**7)))
    end = end.replace(hour=23, minute=59, second=59) if draw(st.booleans()) else end
    zone = ZoneInfo(draw(st.sampled_from(ZONES)))
    assume(end.replace(tzinfo=zone) > start.replace(tzinfo=zone))
    return Offer(
        id="off_1", menu_id="m", benefit=benefit, scope=scope,
        covers={"all": "", "category": key, "product": "p"}[scope],
        label={"all": None, "category": label, "product": draw(st.sampled_from(PRODUCTS))}[scope],
        min_spend_cents=spend + cents if kind == "amount_off" and 0 < spend <= cents else spend,
        starts=start.replace(tzinfo=zone), expires=end.replace(tzinfo=zone), currency=draw(st.sampled_from(CURRENCIES)),
    )  # fmt: skip


LANGUAGES, FRAMES = st.sampled_from(["zh", "en"]), st.integers(0, 3)
NAMES = st.sampled_from([None, "Anna", "用户A", "May", "O'Neill", "李雷", "Rose Lamb", "Sun"])


@FAST
@given(offers(), LANGUAGES, FRAMES, NAMES, st.booleans(), st.one_of(st.none(), st.integers(-(10**6), 10**6)))
def test_every_template_message_of_every_valid_offer_verifies(offer, language, frame, name, has_bought, seconds):
    sent = None if seconds is None else min(offer.starts + timedelta(seconds=seconds), offer.expires)
    recipient = Recipient(name=name, bought=RUG if has_bought else None)
    message = compose(offer, recipient, language, frame, Style(sent=sent))
    context = Context(name=name, bought=(RUG.label,) if has_bought else (), sent=sent, allow_sensitive=True)
    assert broken_rules(message.text, offer, language, context=context) == []
    assert message.text == message.greeting + message.body + (" " if language == "en" else "") + message.terms


def one_fact_changed(draw: st.DrawFn, offer: Offer) -> dict[str, object]:
    benefit, cap = offer.benefit.model_dump(), offer.benefit.max_discount_cents or 0
    changes: list[dict[str, object]] = [
        {"expires": offer.expires + draw(st.sampled_from([timedelta(days=d) for d in (1, 2, 30, 365)]))},
        {"min_spend_cents": max(offer.min_spend_cents, offer.benefit.amount_cents) + draw(st.integers(1, 10**6))},
        {
            "benefit": {
                **benefit,
                "max_discount_cents": cap + draw(st.integers(1, 10**6)),
            }
        },
    ]
    if offer.benefit.percent:
        others = [p for p in range(1, 101) if p != offer.benefit.percent]
        changes.append({"benefit": {**benefit, "percent": draw(st.sampled_from(others))}})
    if offer.benefit.amount_cents > 1:
        changes.append({"benefit": {**benefit, "amount_cents": draw(st.integers(1, offer.benefit.amount_cents - 1))}})
    if offer.benefit.max_discount_cents:
        changes.append({"benefit": {**benefit, "max_discount_cents": None}})
    if offer.min_spend_cents and offer.benefit.type != "amount_off":
        changes.append({"min_spend_cents": 0})
    sums = offer.min_spend_cents or offer.benefit.amount_cents or cap
    if sums and offer.currency != "XQQ":  # a code that is none can be read only in its own shop
        changes.append({"currency": "SEK"})
    if offer.scope == "all":
        changes.append({"scope": "category", "covers": "SOUP", "label": {"zh": "汤罐头与汤料", "en": "soup"}})
    else:
        changes += [{"label": {"zh": "纸巾盒", "en": "tissue boxes"}}, {"label": {"zh": "商品21", "en": "Product 21"}}]
    return draw(st.sampled_from(changes))


@FAST
@given(offers(), LANGUAGES, FRAMES, NAMES, st.data())
def test_every_single_fact_mutation_is_caught(offer, language, frame, name, data):
    message: Message = compose(offer, Recipient(name=name), language, frame, Style())
    other = Offer.model_validate({**offer.model_dump(), **data.draw(st.composite(one_fact_changed)(offer))})
    assert broken_rules(message.text, other, language, context=Context(name=name, allow_sensitive=True))


@FAST
@given(st.text(max_size=30), st.text(max_size=12), LANGUAGES)
def test_any_label_and_name_give_a_true_message_or_a_clear_refusal(label, name, language):
    assume(label)
    offer = Offer(
        id="off_1", menu_id="m", benefit=Benefit(type="percent_off", percent=20), scope="product", covers="p",
        label=Words(zh=label, en=label), starts=datetime(2026, 6, 1, tzinfo=ZoneInfo("UTC")),
        expires=datetime(2026, 6, 30, 23, 59, 59, tzinfo=ZoneInfo("UTC")), currency="USD",
    )  # fmt: skip
    with suppress(InputError):  # a label with links, markup or nothing to read
        message = write(offer, Recipient(name=name), language)
        assert broken_rules(message.text, offer, language, context=Context(name=name)) == []


@FAST
@given(st.text(max_size=200), offers(), LANGUAGES)
def test_any_text_can_be_read(text, offer, language):
    for rule in broken_rules(text, offer, language, context=Context(name="Anna", bought=(RUG.label,))):
        assert rule.span in text
