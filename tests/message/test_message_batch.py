"""Writing a whole plan gives, row by row, what `write` gives, and says what is wrong with a plan."""

import polars as pl
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from message_helpers import GOLDEN, MEALS, OFFERS, an_offer, percent

from drawn import cases
from promolift.errors import InputError
from promolift.message import Bought, Recipient, Style, broken_rules, label, write, write_all
from promolift.terms import Benefit, Words

NOTHING = an_offer(Benefit(type="none")).model_copy(update={"id": "none"})
BY_ID = {"none": NOTHING} | {name: offer.model_copy(update={"id": name}) for name, offer in OFFERS.items()}
NAMES = [None, "Anna", "用户A", "May", "Sunny Lamb", "null", "http://x.cn", "全场", "O'Neill", "Enjoy Milk"]
PURCHASES = [None, "BEEF", "FAMILY PLANNING", "Wool Rug", "851", " ", "HOME_DECOR", "MILK"]
ROW = st.tuples(
    st.sampled_from(["c1", "c2", "c3", "7", ""]),
    st.sampled_from([None, *BY_ID]),
    st.sampled_from(NAMES),
    st.sampled_from(PURCHASES),
    st.sampled_from([None, "category", "product"]),
    st.sampled_from([None, "DIAPERS & DISPOSABLES", "BEEF"]),
)
COLUMNS = ("customer_id", "offer_id", "name", "bought", "bought_kind", "bought_category")


def plan_of(rows: list[tuple[str | None, ...]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=dict.fromkeys(COLUMNS, pl.String), orient="row")


@cases(25, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(ROW, max_size=12), st.integers(0, 3))
def test_a_plan_is_written_row_by_row_as_write_would(rows, seed):
    style = Style(seed=seed)
    written = write_all(plan_of(rows), BY_ID, style)
    assert written.select(COLUMNS).equals(plan_of(rows))
    for row in written.iter_rows(named=True):
        for language in ("zh", "en"):
            text = row[f"message_{language}"]
            if row["offer_id"] in (None, "none"):
                assert text is None
                continue
            key, kind = row["bought"], row["bought_kind"] or "category"
            past = key and key.strip()
            bought = (
                Bought(label=label(key, kind), key=key, kind=kind, category=row["bought_category"] or "")
                if past
                else None
            )
            recipient = Recipient(customer_id=row["customer_id"], name=row["name"], bought=bought)
            assert text == write(BY_ID[row["offer_id"]], recipient, language, style).text


def test_row_order_and_splits_change_nothing():
    rows = [(f"c{i}", list(OFFERS)[i % 40], "Anna" if i % 2 else None, "BEEF", None, None) for i in range(120)]
    whole = write_all(plan_of(rows), BY_ID)
    parts = pl.concat([write_all(plan_of(rows[60:]), BY_ID), write_all(plan_of(rows[:60]), BY_ID)])
    assert parts.sort("customer_id").equals(whole.sort("customer_id"))


def test_a_plan_needs_only_customer_and_offer():
    plan = pl.DataFrame({"customer_id": ["a", "b"], "offer_id": ["meals20", None]})
    written = write_all(plan, BY_ID, languages=("zh",))
    assert written.columns == ["customer_id", "offer_id", "message_zh"]
    assert not broken_rules(written["message_zh"][0], BY_ID["meals20"], "zh")
    assert written["message_zh"][1] is None


def test_an_empty_plan_gives_an_empty_plan():
    plan = pl.DataFrame(schema={"customer_id": pl.String, "offer_id": pl.String})
    assert write_all(plan, {}).schema == {**plan.schema, "message_zh": pl.String, "message_en": pl.String}


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (pl.DataFrame({"offer_id": ["meals20"]}), "plan: column 'customer_id' is missing"),
        (
            pl.DataFrame({"customer_id": ["a"], "offer_id": ["x"]}),
            r"plan.offer_id: 1 ids have no offer, the first \['x'\]",
        ),
        (plan_of([("a", "meals20", None, "BEEF", "shelf", None)]), "plan.bought_kind: 'shelf'; known kinds"),
    ],
)
def test_a_wrong_plan_is_one_clear_error(plan, message):
    with pytest.raises(InputError, match=message):
        write_all(plan, BY_ID)


def test_offers_that_cannot_be_said_are_counted():
    private = an_offer(percent(20), ("FAMILY PLANNING", Words(zh="计生用品", en="family planning products")))
    plan = pl.DataFrame({"customer_id": ["a", "b"], "offer_id": ["off_1", "ok"]})
    with pytest.raises(InputError, match=r"1 of 2 texts cannot be written; message: offer 'off_1'.*sensitive_name"):
        write_all(plan, {"off_1": private, "ok": an_offer(percent(20), MEALS)})


def test_products_in_catalogues_without_names_can_be_offered():
    nameless = GOLDEN.model_copy(update={"label": label("851", "product"), "covers": "851"})
    assert "商品851" in write(nameless, Recipient(), "zh").text
    assert "product 851" in write(nameless, Recipient(), "en").text
