"""Laws of the room: the future changes nothing, and neither does the way customers are cut into shards."""

from dataclasses import replace

import duckdb
import numpy as np
import polars as pl
import pytest
from drawn import cases
from hypothesis import Phase, example, given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from profile_shop import MONDAY, SETTINGS, Shop, event, product

import promolift.core.customers as room
from promolift.core.customers.profiles.purchase_counts import fade_per_ms, read_pace
from promolift.foundation.hashing import hash_unit
from promolift.foundation.time.clock import DAY_MS, WEEK_MS

ASOF = MONDAY + 12 * WEEK_MS
CATALOGUE = [product(f"p{k}", category=f"c{k // 2}", type=f"t{k}", brand="Private" if k % 2 else "B") for k in range(8)]
SOME = cases(3, phases=[Phase.explicit, Phase.generate])  # a seed has nothing to shrink
KINDS = ("purchase", "purchase", "purchase", "refund", "view", "add_to_cart")


def rows(seed: int, low: float, high: float, size: int) -> list[dict]:
    """Events of every kind between two days, fixed by the seed: rich from the first example on."""
    rng = np.random.default_rng(seed)

    def one() -> dict:
        more = {
            "product_id": f"p{rng.integers(8)}",
            "kind": KINDS[rng.integers(6)],
            "revenue_cents": int(rng.integers(900)),
        }
        more |= {"shelf_cents": 30 * int(rng.integers(2)), "coupon_cents": 20 * int(rng.integers(3) == 0)}
        more |= {"order_id": (None, "o1", "o2")[rng.integers(3)], "store_id": f"s{rng.integers(3)}", "channel": "web"}
        return event("abcdef"[rng.integers(6)], rng.integers(low * 24, high * 24) / 24, **more)

    return [one() for _ in range(size)]


def campaigns() -> tuple[list, list]:
    sent = [
        {
            "campaign_id": f"c{k}",
            "customer_id": c,
            "kind": "A",
            "start_ms": MONDAY + k * WEEK_MS,
            "end_ms": MONDAY + (k + 2) * WEEK_MS,
        }
        for c in "abcd"
        for k in range(0, 16, 3)
    ]
    used = [
        {"customer_id": "a", "campaign_id": f"c{k}", "coupon_id": "u", "ts_ms": MONDAY + (k + 1) * WEEK_MS}
        for k in (0, 6, 12)
    ]
    return sent, used


def everything(shop: Shop, asofs, parts=None) -> list[pl.DataFrame]:
    shared = shop.shared(asofs, parts)
    found = [[], [], []]
    for part in parts or [shop.customers]:
        shard, moments = shop.shard(part), shop.moments(asofs, part)
        found[0].append(room.build_profiles(shard, moments, shared, SETTINGS))
        found[1].append(pl.concat(room.estimate_affinities(shard, moments, shared, SETTINGS)))
        found[2].append(room.find_interests(shard, moments, shared, SETTINGS))
    return [pl.concat(frames).sort("customer_id", "asof_ms", *frames[0].columns[2:3]) for frames in found]


def same(one: list[pl.DataFrame], other: list[pl.DataFrame]) -> None:
    for left, right in zip(one, other, strict=True):
        assert_frame_equal(left, right, check_exact=True)


@SOME
@given(st.integers(0, 2**32))
def test_rows_at_or_after_the_moment_change_nothing(seed):
    sent, used = campaigns()
    past, asofs = rows(seed, 0, 84, 150), (MONDAY + 9 * WEEK_MS, ASOF, ASOF + 4 * WEEK_MS)
    before = [row for row in used if row["ts_ms"] < ASOF]
    one = Shop([*past, *rows(seed + 1, 84, 130, 60), event("a", 84)], CATALOGUE, sent, used)
    two = Shop([*past, *rows(seed + 2, 84, 130, 60)], CATALOGUE, [r for r in sent if r["start_ms"] < ASOF], before)
    # the shared tables also hold a later moment, which sees the difference
    known = [[frame.filter(pl.col("asof_ms") <= ASOF) for frame in everything(shop, asofs)] for shop in (one, two)]
    same(*known)


@pytest.mark.parametrize("catalogue", [CATALOGUE, pytest.param((), marks=pytest.mark.slow), CATALOGUE[:3]])
@SOME
@given(st.integers(0, 2**32), st.integers(1, 5), st.permutations("abcdef"))
@example(44577, 5, "bdcefa").via("a shard of one customer, whose sums divide columns of one value")
@example(2574501643, 5, "feabcd").via("a shard of one customer with one row")
def test_any_division_into_shards_gives_the_same_tables(catalogue, seed, cut, order):
    """Without a catalogue a product is a target, and each shard knows other products."""
    own = [event(customer, 10, product_id=f"only {customer}") for customer in "abcdef"]
    shop = Shop([*rows(seed, 0, 120, 200), *own], catalogue, *campaigns())
    order = [customer for customer in order if customer in shop.customers]
    asofs = (MONDAY + 9 * WEEK_MS, ASOF)
    same(everything(shop, asofs), everything(shop, asofs, [order[:cut], order[cut:]]))


def test_each_shared_moment_holds_all_earlier_rows_and_no_others():
    shop = Shop(rows(7, 0, 84, 120), CATALOGUE)
    asofs = (MONDAY + 3 * WEEK_MS, MONDAY + 9 * WEEK_MS)
    shared = shop.shared(asofs)
    for asof in asofs:
        seen = [row for row in shop.events if row["ts_ms"] < asof]
        bought = [row for row in seen if row["kind"] == "purchase"]
        held = shared["shop"].filter(asof_ms=asof).row(0, named=True)
        assert (held["rows"], held["coupon_cents"]) == (len(seen), sum(row["coupon_cents"] for row in seen))
        assert held["purchases_first_ms"] == min(row["ts_ms"] for row in bought)
        prices = shared["prices"].filter(asof_ms=asof, type="t3").row(0, named=True)
        assert prices["list_cents"] == sum(row["list_cents"] for row in bought if row["product_id"] == "p3")


def test_what_a_pass_kept_is_what_the_next_one_would_find_itself():
    shop, asofs = Shop(rows(3, 0, 120, 200), CATALOGUE, *campaigns()), (MONDAY + 9 * WEEK_MS, ASOF)
    shared = [room.PopulationSums.start(asofs)] * 2
    kept: dict[str, pl.DataFrame] = {}
    for step in room.AGGREGATION_STEPS:
        alone, after = (
            step(shop.shard(), shared[0], SETTINGS),
            step(replace(shop.shard(), frames=kept), shared[1], SETTINGS),
        )
        for name, table in alone.items():
            assert_frame_equal(table, after[name])
        shared = [shared[0].plus([alone]), shared[1].plus([after])]
    moments, handed = shop.moments(asofs), replace(shop.shard(), frames=kept)
    assert_frame_equal(*(room.build_profiles(each, moments, shared[0], SETTINGS) for each in (shop.shard(), handed)))
    assert_frame_equal(
        *(pl.concat(room.estimate_affinities(each, moments, shared[0], SETTINGS)) for each in (shop.shard(), handed))
    )


def test_moments_asked_together_or_alone_say_the_same():
    shop = Shop([event(c, k, product_id=f"p{(k + ord(c)) % 8}") for c in "abc" for k in range(0, 84, 5)], CATALOGUE)
    first = MONDAY + 6 * WEEK_MS
    shared = shop.shared([first, ASOF])
    together = room.build_profiles(shop.shard(), shop.moments([first, ASOF]), shared, SETTINGS)
    alone = pl.concat(room.build_profiles(shop.shard(), shop.moments([a]), shared, SETTINGS) for a in (first, ASOF))
    assert_frame_equal(together, alone.sort("customer_id", "asof_ms"))


def test_a_forecaster_learns_of_some_customers_and_counts_all():
    shop, asofs, earlier = Shop(rows(3, 0, 120, 200), CATALOGUE, *campaigns()), (ASOF,), (ASOF - 4 * WEEK_MS,)
    shared = room.PopulationSums.start(asofs, earlier)
    for step in room.AGGREGATION_STEPS:
        shared = shared.plus([step(shop.shard(), shared, SETTINGS)])
    moments, facts = shop.moments((*earlier, *asofs)), []
    whole = pl.concat(room.estimate_affinities(shop.shard(), moments, shared, SETTINGS))
    for share in (0.5, 1.0):
        found = list(room.estimate_affinities_by_moment(shop.shard(), moments, shared, SETTINGS, share))
        drawn = [who for who in shop.customers if hash_unit("purchases", who) < share]
        assert_frame_equal(pl.concat(each.rows for each in found), whole.filter(asof_ms=ASOF))
        some = whole.filter(pl.col("customer_id").is_in(drawn))
        assert_frame_equal(pl.concat(each.learned for each in found), some)
        assert 0 < some.height <= whole.height
        facts.append(pl.concat(each.facts for each in found).sort("asof_ms", "target"))
    assert_frame_equal(facts[0], facts[1])
    assert_frame_equal(facts[0], room.target_facts(whole).sort("asof_ms", "target"))


@SOME
@given(st.integers(0, 2**32))
def test_the_order_of_rows_changes_no_bit(seed):
    """Shards hold the rows of a customer in other places of other blocks, in which a database adds."""
    rng = np.random.default_rng(seed)
    past = [row | {"ts_ms": row["ts_ms"] + int(rng.integers(3_600_000))} for row in rows(seed, 0, 84, 900)]
    past = [row | ({"dwell_s": float(rng.gamma(2, 9))} if row["kind"] == "view" else {}) for row in past]
    sent, used = campaigns()
    first, second = (
        everything(Shop([past[at] for at in order], CATALOGUE, sent, used), [ASOF - 4 * WEEK_MS, ASOF])
        for order in (range(len(past)), rng.permutation(len(past)))
    )
    for one, other in zip(first, second, strict=True):
        assert [c for c in one.columns if not one[c].equals(other[c])] == []


@cases(20)
@given(st.integers(0, 2**32))
def test_the_pace_of_a_customer_is_the_same_to_the_bit_in_any_order_of_visits(seed):
    rng = np.random.default_rng(seed)
    size = int(rng.integers(2, 400))
    visits = pl.DataFrame({
        "customer_id": rng.integers(0, 5, size), "asof_ms": np.full(size, ASOF),
        "ts_ms": ASOF - 1 - np.int64(rng.exponential(300, size) * DAY_MS),
    })  # fmt: skip
    with duckdb.connect(config={"threads": 1}) as connection:
        first, second = (
            read_pace(connection.from_arrow(visits[order].to_arrow()), SETTINGS)
            for order in (np.arange(size), rng.permutation(size))
        )
    assert first.equals(second)
    paced = first.filter(pl.col("customer_id") == visits["customer_id"][0]).row(0, named=True)
    ago = visits.filter(pl.col("customer_id") == visits["customer_id"][0]).select(ASOF - pl.col("ts_ms")).to_series()
    weights = np.exp(-fade_per_ms(SETTINGS.target_half_life_days) * ago.to_numpy())
    assert paced["faded_choices"] == pytest.approx(weights.sum(), rel=1e-13)
    assert paced["choice_weight"] == pytest.approx((weights**2).sum() / weights.sum(), rel=1e-13)
