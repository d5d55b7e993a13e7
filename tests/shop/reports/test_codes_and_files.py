"""Laws of coupon codes and plan files: codes nobody can guess or mistype, cells that run nothing."""

import io
import re
from datetime import date, datetime
from itertools import combinations
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from error_checks import raises_code
from hypothesis import given
from hypothesis import strategies as st

from promolift.core.offers.coupon_codes import ALPHABET, coupon_code, normalise_code, unique_codes
from promolift.core.offers.terms import Benefit, Offer
from promolift.foundation.errors import ConfigError
from promolift.foundation.frames import escape_formulas
from promolift.foundation.localized_text import LocalizedText
from promolift.foundation.tables.schemas import PLAN_FILE
from promolift.shop.reports.plan_rows import contact_rows, export_rows, plan_rows

SECRET = "a secret of enough bytes"
SHAPE = re.compile("[2-9A-HJ-NP-Z]{4}-[2-9A-HJ-NP-Z]{4}-[2-9A-HJ-NP-Z]{4}")
text = st.text(max_size=6)


@given(text, text, text)
def test_a_code_has_the_printed_form_and_is_recognised(campaign, customer, offer):
    made = coupon_code(campaign, customer, offer, SECRET)
    assert SHAPE.fullmatch(made)
    assert not set(made) & set("0O1I")
    assert normalise_code(made) == made
    assert normalise_code(made.lower().replace("-", "  ")) == made


@given(text)
def test_a_code_typed_in_full_width_is_the_same_code(customer):
    made = coupon_code("c", customer, "o", SECRET)
    wide = "".join(chr(ord(char) + 0xFEE0) for char in made.lower())
    assert normalise_code(wide) == made
    assert normalise_code(wide.replace(chr(ord("-") + 0xFEE0), "\u3000")) == made


def test_codes_never_change_between_versions():
    # computed once with hmac and by logarithm tables of the field; printed coupons must stay valid
    assert coupon_code("cmp_1", "A1", "coffee-20", SECRET) == "CMLN-V6PR-BGDS"


@given(st.text(max_size=4), st.integers(0, 11), st.sampled_from(ALPHABET))
def test_every_single_wrong_symbol_is_noticed(customer, at, wrong):
    plain = coupon_code("c", customer, "o", SECRET).replace("-", "")
    typed = plain[:at] + wrong + plain[at + 1 :]
    assert (normalise_code(typed) is not None) == (typed == plain)


@given(st.text(max_size=4))
def test_every_swap_of_two_symbols_is_noticed(customer):
    plain = coupon_code("c", customer, "o", SECRET).replace("-", "")
    for a, b in combinations(range(12), 2):
        typed = list(plain)
        typed[a], typed[b] = typed[b], typed[a]
        assert (normalise_code("".join(typed)) is not None) == (plain[a] == plain[b])


@pytest.mark.parametrize("typed", ["", "AAAA", "A" * 13, "0000-0000-0000", "优惠券优惠券优惠券优惠券"])
def test_what_is_no_code_is_refused(typed):
    assert normalise_code(typed) is None


def test_secret_campaign_customer_offer_and_attempt_all_matter():
    made = {
        coupon_code("c", "a", "o", SECRET),
        coupon_code("d", "a", "o", SECRET),
        coupon_code("c", "b", "o", SECRET),
        coupon_code("c", "a", "p", SECRET),
        coupon_code("c", "a", "o", SECRET + "!"),
        coupon_code("c", "a", "o", SECRET, 1),
        coupon_code("ca", "", "o", SECRET),
        coupon_code("", "ca", "o", SECRET),
        coupon_code("c\x1fa", "b", "o", SECRET),
        coupon_code("c", "a\x1fb", "o", SECRET),
    }
    assert len(made) == 10
    with raises_code("secret_too_short", "16", kind=ConfigError):
        coupon_code("c", "a", "o", "short")


def test_all_symbols_are_used_about_equally_at_every_place():
    codes = [coupon_code("c", str(i), "o", SECRET).replace("-", "") for i in range(3200)]
    for place in zip(*codes, strict=True):
        counts = [place.count(symbol) for symbol in ALPHABET]
        assert sum((n - 100) ** 2 / 100 for n in counts) < 75  # chi-square of 31 degrees; above 75 once in 40,000


def test_twenty_thousand_codes_do_not_collide():
    keys = [("c", str(i), "o") for i in range(20_000)]
    assert len(set(unique_codes(keys, SECRET).values())) == 20_000


def test_a_collision_gives_the_later_key_its_next_attempt_in_any_order():
    def narrow(campaign, customer, offer, secret, attempt):
        return f"{'same' if customer in 'ab' and attempt == 0 else customer}{attempt}"

    keys = [("c", "a", "o"), ("c", "b", "o"), ("c", "z", "o")]
    expected = {keys[0]: "same0", keys[1]: "b1", keys[2]: "z0"}
    assert unique_codes(keys, SECRET, narrow) == expected
    assert unique_codes(reversed(keys * 2), SECRET, narrow) == expected
    with raises_code("code_space_full", "('c', 'b', 'o')", "8"):
        unique_codes(keys, SECRET, lambda *_: "one")


SHANGHAI = ZoneInfo("Asia/Shanghai")
COFFEE, BOTH = LocalizedText(zh="咖啡", en="coffee"), LocalizedText(zh="咖啡及茶", en="coffee and tea")


def an_offer(name: str = "coffee-20", currency: str = "USD", **change) -> Offer:
    """20 % off coffee from 5 January to 1 February 2026, unless told otherwise."""
    values = {
        "id": name, "menu_id": name, "benefit": Benefit(type="percent_off", percent=20), "scope": "category",
        "covers": "coffee", "label": COFFEE, "currency": currency, "starts": datetime(2026, 1, 5, tzinfo=SHANGHAI),
        "expires": datetime(2026, 2, 1, 23, 59, 59, tzinfo=SHANGHAI),
    }  # fmt: skip
    return Offer(**(values | change))


PAIR = {"covers": "coffee ++ tea", "label": BOTH, "joined": "each", "activation": "code"}
SAVE = {"scope": "all", "covers": "", "label": None, "benefit": Benefit(type="amount_off", amount_cents=500)}
OFFERS = (
    an_offer(),
    an_offer("pair-20", **PAIR),
    an_offer("save", **SAVE, min_spend_cents=4000),
    an_offer("save-yen", "JPY", **SAVE, min_spend_cents=5000),
    an_offer("delivery", **SAVE | {"benefit": Benefit(type="free_shipping")}),
)


def plan(**change):
    row = {
        "customer_id": "A1",
        "offer_id": "coffee-20",
        "code": "K7QM-W3XP-9D2H",
        "message_zh": "咖啡8折",
        "message_en": "20 % off coffee",
        "gain_cents": -12.5,
        "cost_cents": 30.0,
        "channel": "web",
        "reason": "likes coffee",
        "other": 1,
    }
    return pl.DataFrame([{**row, **change}])


def decided(given: pl.DataFrame, *others: tuple[str, bool | None, str]) -> pl.DataFrame:
    """The decisions behind `given`, and those of others who get nothing: who, held out or not, and why."""
    rows = [
        (who, offer, 0.9, False, "of all offers that fit the budget, this one is expected to add most")
        for who, offer in given["customer_id", "offer_id"].rows()
    ]
    rows += [(who, "none", 0.1 if held else 0.95, held, why) for who, held, why in others]
    frame = pl.DataFrame(rows, schema=["customer_id", "offer_id", "propensity", "holdout", "reason"], orient="row")
    return frame.with_columns(decision_id="dec_" + pl.col("customer_id"))


def file_of(given: pl.DataFrame, *others: tuple[str, bool | None, str]) -> pl.DataFrame:
    return PLAN_FILE.check(plan_rows(given, decided(given, *others), OFFERS, ("en", "zh")))


HELD = ("B9", True, "holdout: kept back to measure what offers earn")


def test_the_best_come_first_and_then_those_held_out_and_nobody_else():
    rows = pl.concat([plan(), plan(customer_id="A2", gain_cents=5.0), plan(customer_id="A0", gain_cents=5.0)])
    none = ("C1", False, "no offer is expected to add enough for what it costs")
    out = file_of(rows, ("B8", True, HELD[2]), HELD, none, ("C2", None, "consent: no consent on record"))
    assert out["customer_id"].to_list() == ["A0", "A2", "A1", "B8", "B9"]
    assert out["status"].to_list() == ["offer"] * 3 + ["holdout"] * 2
    assert out["expected_gain_cents"].to_list() == [5.0, 5.0, -12.5, None, None]


def test_a_held_out_customer_has_no_offer_of_any_kind_and_a_known_propensity():
    (row,) = file_of(plan(), HELD).filter(pl.col("status") == "holdout").to_dicts()
    known = {name: value for name, value in row.items() if value is not None}
    assert known == {
        "customer_id": "B9", "status": "holdout", "propensity": 0.1, "decision_id": "dec_B9", "reason": HELD[2]
    }  # fmt: skip


def test_a_plan_for_nobody_still_names_those_held_out():
    nobody = plan().clear()
    out = PLAN_FILE.check(plan_rows(nobody, decided(nobody, HELD), [], ("en", "zh")))
    assert out["customer_id"].to_list() == ["B9"]
    assert export_rows(out).height == 1


def test_a_till_reads_the_terms_of_every_kind_of_offer():
    given = pl.concat(plan(customer_id=offer.id, offer_id=offer.id) for offer in OFFERS)
    rows = {row["offer_id"]: row for row in file_of(given).to_dicts()}
    days = {"starts": date(2026, 1, 5), "expires": date(2026, 2, 1), "valid_days": 28}
    coffee = {
        "benefit": "percent_off", "percent": 20, "amount": None, "currency": "USD", "min_spend": 0.0,
        "max_discount": None, "scope": "category", "target": "coffee", "target_ids": ["coffee"], "joined": None,
        "activation": "automatic", "channel": "web", "propensity": 0.9, "decision_id": "dec_coffee-20", **days,
    }  # fmt: skip
    assert rows["coffee-20"].items() >= coffee.items()
    pair = {"target": "coffee and tea", "target_ids": ["coffee", "tea"], "joined": "each", "activation": "code"}
    assert rows["pair-20"].items() >= pair.items()
    save = {"benefit": "amount_off", "percent": None, "amount": 5.0, "min_spend": 40.0, "target": "everything",
            "target_ids": [], "scope": "all"}  # fmt: skip
    assert rows["save"].items() >= save.items()
    assert rows["save-yen"].items() >= {"amount": 500.0, "min_spend": 5000.0, "currency": "JPY"}.items()
    assert rows["delivery"].items() >= {"benefit": "free_shipping", "percent": None, "amount": None}.items()


def test_the_target_is_named_in_the_language_of_the_shop():
    given = plan(offer_id="pair-20")
    assert plan_rows(given, decided(given), OFFERS, ("zh",))["target"].to_list() == ["咖啡及茶"]


@pytest.mark.parametrize("languages", [("en",), ("zh",), ("en", "zh"), ("zh", "en")])
def test_the_file_has_messages_in_the_languages_of_the_shop_alone(languages):
    given = plan().drop(f"message_{each}" for each in {"en", "zh"} - {*languages})
    rows = export_rows(plan_rows(given, decided(given, HELD), OFFERS, languages))
    assert {name for name in rows.columns if name.startswith("message_")} == {f"message_{each}" for each in languages}
    assert contact_rows(rows, languages[0])["MESSAGE"].to_list() == given[f"message_{languages[0]}"].to_list()


def test_a_csv_says_money_as_it_is_printed_and_ids_as_they_are():
    given = pl.concat([plan(customer_id="007", offer_id="save"), plan(customer_id="008", offer_id="save-yen"),
                       plan(customer_id="009", offer_id="pair-20")])  # fmt: skip
    out = pl.read_csv(io.StringIO(export_rows(file_of(given)).write_csv()), infer_schema=False)
    assert out["customer_id"].to_list() == ["007", "008", "009"]
    assert out.select("amount", "min_spend").rows() == [("5.00", "40.00"), ("500", "5000"), (None, "0.00")]
    assert out["target_ids"].to_list() == [None, None, "coffee ++ tea"]


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t=", "\r", "\n", "  =", "＝", "＠", "＋", "－"])
def test_no_text_cell_begins_like_a_formula(begin):
    for name in ("customer_id", "code", "message_zh", "message_en", "channel", "reason"):
        rows = file_of(plan(**{name: f"{begin}cmd()"}))
        assert export_rows(rows)[name][0] == f"'{begin}cmd()"
        assert rows[name][0] == f"{begin}cmd()"
    evil = [an_offer(covers=f"{begin}cmd()", label=LocalizedText(zh=f"{begin}cmd()", en=f"{begin}cmd()"))]
    cells = export_rows(plan_rows(plan(), decided(plan()), evil)).row(0, named=True)
    assert (cells["target"], cells["target_ids"]) == (f"'{begin}cmd()", f"'{begin}cmd()")


@given(st.lists(st.none() | st.text(), min_size=1, max_size=5))
def test_safe_cells_changes_nothing_else_and_survives_a_csv(cells):
    safe = escape_formulas(
        pl.DataFrame({"text": cells, "number": [-1.5] * len(cells)}, schema_overrides={"text": pl.String})
    )
    for before, after in zip(cells, safe["text"], strict=True):
        assert after == before or after == f"'{before}"
        assert after is None or not after.lstrip().startswith(("=", "+", "-", "@"))
    assert safe["number"].to_list() == [-1.5] * len(cells)
    assert safe.columns == ["text", "number"]


def test_a_negative_number_stays_a_number_in_the_csv():
    written = io.StringIO(export_rows(file_of(plan())).write_csv()).read().splitlines()[1]
    assert ",-12.5," in written


def test_a_missing_column_and_two_offers_are_named():
    with raises_code("column_missing", "['code']"):
        plan_rows(plan().drop("code"), decided(plan()), OFFERS)
    with raises_code("rows_duplicate", "plan", "customer"):
        plan_rows(pl.concat([plan(), plan(offer_id="pair-20")]), decided(plan()), OFFERS)


def test_words_of_another_plan_are_refused():
    """A customer with an offer and no message, or the message of another offer, must not be sent."""
    for decisions in (decided(plan(customer_id="A2")), decided(plan(offer_id="pair-20")), decided(plan()).clear()):
        with raises_code("result_outdated", "promolift message"):
            plan_rows(plan(), decisions, OFFERS)


def test_the_page_on_the_plan_file_names_only_its_columns_and_values():
    page = (Path(__file__).parents[3] / "docs" / "plan-file.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([a-z_]+)`", page))
    values = {"offer", "holdout", "automatic", "code", "link", "each", "together", "all", "percent_off", "amount_off",
              "free_shipping", "none"}  # fmt: skip
    assert named <= values | set(PLAN_FILE.schema)
    assert values <= named


def test_contacts_are_who_is_planned_an_offer_by_address_where_it_is_known():
    rows = pl.concat([plan(customer_id="ann@example.com"), plan(customer_id="A2", message_en="=1+1", code=None)])
    out = contact_rows(file_of(rows, HELD))
    assert out.columns == ["Email Address", "Customer ID", "OFFER", "MESSAGE", "CODE", "SENDON", "ENDS", "Tags"]
    assert out.sort("Customer ID").rows() == [
        (None, "A2", "coffee-20", "'=1+1", None, OFFERS[0].starts.date(), OFFERS[0].expires.date(), "promolift"),
        ("ann@example.com", "ann@example.com", "coffee-20", "20 % off coffee", "K7QM-W3XP-9D2H",
         OFFERS[0].starts.date(), OFFERS[0].expires.date(), "promolift"),
    ]  # fmt: skip
    assert contact_rows(file_of(rows), "zh")["MESSAGE"].to_list() == ["咖啡8折"] * 2
