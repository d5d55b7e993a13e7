"""What the generator draws is allowed, reproducible, independent of row order, and like what was accepted."""

import numpy as np
import polars as pl
import pytest
from error_checks import raises_code

from promolift.core.offers.proposals import PROPOSALS
from promolift.foundation.tables.schemas import CANDIDATES

pytest.importorskip("torch")
from promolift.extensions.generator.candidate_source import slot_vectors
from promolift.extensions.generator.offer_generator import (
    GeneratorSettings,
    OfferGenerator,
    OfferMarket,
    build_market,
    fit_generator,
    read_accepted,
)

N, PERCENTS = 40, (10, 20, 30)
SLOTS = (("category", "tea"), ("category", "fuel"), ("product", "p1"), ("all", None))
SMALL = GeneratorSettings(steps=25, batch=16, hidden=12, pack=2)


def market(customers: list[int] | None = None, **changes: object) -> OfferMarket:
    """Everybody has all slots but B, the second customer, who has no tea; 30 % is legal on tea alone."""
    who = list(range(N)) if customers is None else customers
    n = len(who)
    slot = np.tile(np.arange(4), (n, 1))
    slot[np.array(who) == 1, 0] = -1
    open_ = np.ones((n, 4, 3), dtype=bool)
    open_[:, 1:, 2] = False
    x = np.array([[np.sin(i), np.cos(i)] for i in who])
    parts = {
        "percents": PERCENTS, "customer_ids": tuple(f"C{i:02d}" for i in who), "slots": SLOTS, "slot_NS": slot,
        "x_NF": x,
        "item_NSI": np.tile(np.eye(4)[None], (n, 1, 1)), "open_NSD": open_,
        "basket_N": np.full(n, 4000.0), "kind_K": np.array([True, True, False]),
    } | changes  # fmt: skip
    return OfferMarket(**parts)  # type: ignore[arg-type]


def accepted(rows: int = 160) -> pl.DataFrame:
    """Three in four took 10 % off fuel because of tea; one in four, 5.00 off 50.00."""
    coupon = {
        "scope": "category", "target": "fuel", "benefit": "percent_off", "percent": 10, "amount_cents": 0,
        "min_spend_cents": 0,
    }  # fmt: skip
    amount = coupon | {"scope": "all", "target": None, "benefit": "amount_off", "percent": 0} | {
        "amount_cents": 500, "min_spend_cents": 5000,
    }  # fmt: skip
    made = [(amount if i % 4 == 0 else coupon) | {"customer_id": f"C{(i * 7) % N:02d}"} for i in range(rows)]
    return pl.DataFrame(made, schema=PROPOSALS.schema)


@pytest.fixture(scope="module")
def made() -> OfferGenerator:
    return fit_generator(market(), accepted(), SMALL)


def test_accepted_offers_are_read_by_hand() -> None:
    strange = [
        {"customer_id": "nobody"}, {"target": "tea", "customer_id": "C01"}, {"target": "wine"}, {"benefit": "gift"},
    ]  # nobody; B has no tea; no such slot; no such benefit  # fmt: skip
    base = accepted(2).row(1, named=True)
    rows = pl.DataFrame([*accepted(2).to_dicts(), *(base | change for change in strange)], schema=PROPOSALS.schema)
    read = read_accepted(rows, market())
    assert (read.who_A.tolist(), read.slot_A.tolist()) == ([0, 7], [3, 1])
    assert (read.kind_A.tolist(), read.percent_A.tolist()) == ([1, 0], [0, 0])
    assert read.money_A2[0] == pytest.approx([(0.1 - 0.02) / 0.48, (1.25 - 0.5) / 2.5])


def test_nothing_forbidden_is_ever_drawn(made: OfferGenerator) -> None:
    drawn = PROPOSALS.check(made.propose(market(), 12).unique(PROPOSALS.key))
    percent = drawn.filter(pl.col("benefit") == "percent_off")
    assert drawn["benefit"].is_in(["percent_off", "amount_off"]).all()  # the shop gives no free delivery
    assert percent.filter((pl.col("target") != "tea") | pl.col("target").is_null())["percent"].max() == 20
    assert drawn.filter((pl.col("customer_id") == "C01") & (pl.col("target") == "tea")).is_empty()
    money = drawn.filter(pl.col("benefit") == "amount_off")
    assert money.height > 0
    assert (money["scope"] == "all").all()
    assert money["min_spend_cents"].is_between(2000, 12_000).all()
    assert (money["amount_cents"] / money["min_spend_cents"]).is_between(0.019, 0.501).all()


def test_a_customers_draws_hang_on_nobody_else(made: OfferGenerator) -> None:
    some = [5, 31, 2]
    whole = made.propose(market(), 4, block=7).filter(pl.col("customer_id").is_in([f"C{i:02d}" for i in some]))
    alone = made.propose(market(some), 4)
    assert whole.sort(pl.all()).equals(alone.sort(pl.all()))
    assert not made.propose(market(some), 4, seed=1).equals(alone)
    assert alone.filter(pl.col("customer_id") == "C05").n_unique() > 1  # the draws of one customer differ


def test_the_same_seed_trains_the_same_generator(made: OfferGenerator) -> None:
    again = fit_generator(market(), accepted(), SMALL)
    assert again.record == made.record
    assert again.propose(market(), 3).equals(made.propose(market(), 3))
    other = fit_generator(market(), accepted(), SMALL.model_copy(update={"seed": 1}))
    assert other.record != made.record


def test_offers_are_drawn_as_they_were_accepted() -> None:
    knobs = SMALL.model_copy(update={"steps": 150, "hidden": 24, "batch": 32})
    drawn = fit_generator(market(), accepted(), knobs).propose(market(), 8)

    def share(target: str, percent: int) -> float:
        return float(((drawn["target"] == target) & (drawn["percent"] == percent)).fill_null(False).mean())  # type: ignore[arg-type]

    assert share("tea", 30) < 0.2
    assert share("fuel", 10) > 0.4  # three in four of the accepted ones


def test_a_slot_carries_what_is_said_of_its_products() -> None:
    goods = pl.DataFrame({"product_id": ["p1", "p2", "p3"], "category": ["tea", "tea", "fuel"], "type": [None] * 3})
    said = pl.DataFrame({"product_id": ["p1", "p2", "p3"], "vector": [[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]]})
    said = said.with_columns(pl.col("vector").cast(pl.Array(pl.Float32, 2)))
    found = slot_vectors(market(), goods, said)
    tea, fuel, p1, everything = found
    assert everything.tolist() == [0, 0]
    assert np.linalg.norm(tea - p1) < np.linalg.norm(tea - fuel)
    placed = market().with_slot_vectors(found)
    assert placed.item_NSI.shape == (N, 4, 6)
    assert placed.item_NSI[0, 1, 4:].tolist() == fuel.tolist()
    assert placed.item_NSI[1, 0, 4:].tolist() == [0, 0]  # B has no tea
    assert placed.item_NSI[:, :, :4].tolist() == market().item_NSI.tolist()


def test_too_few_accepted_offers_are_refused() -> None:
    with raises_code("too_few_outcomes", "80"):
        fit_generator(market(), accepted(80), SMALL)


def test_a_market_is_read_from_candidates() -> None:
    rows = [
        {"customer_id": who, "offer_id": f"{target}{p}", "menu_id": "m", "scope": "category", "target": target,
         "benefit": "percent_off", "depth": p / 100, "eligible": p < 30, "gain_cents": g, "cost_cents": 1.0,
         "base_cents": 100.0, "buy_prob": 0.5, "bought": target == "tea", "margin_rate": 0.3}
        for who, target, p, g in (
            ("B", "tea", 10, 5.0), ("B", "tea", 30, None), ("A", "oil", 20, 2.0), ("B", "oil", 20, 1.0),
        )
    ]  # fmt: skip
    people = pl.DataFrame(
        {"customer_id": ["B", "A"], "orders_expected": [1.0, None], "basket_mean_cents": [None, 50.0],
         "price_sensitivity": [0.1, 0.2], "online": [True, None]}
    )  # fmt: skip
    found = build_market(CANDIDATES.conform(pl.DataFrame(rows)), people, PERCENTS, frozenset({"percent_off"}))
    assert found.customer_ids == ("A", "B")
    assert found.slots == (("category", "oil"), ("category", "tea"))
    assert found.slot_NS.tolist() == [[0, -1], [0, 1]]
    assert found.open_NSD[1].tolist() == [[False, True, False], [True, False, False]]
    assert found.item_NSI[1, :, 3].tolist() == [0, 1]  # tea was bought
    assert found.x_NF[:, 4:].tolist() == [[1, 0, 0, 1], [0, 1, 0, 0]]
    assert np.isnan(found.basket_N[1])
