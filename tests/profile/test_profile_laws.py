"""Laws of the room: the future changes nothing, and neither does the way customers are cut into shards."""

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from profile_shop import MONDAY, SETTINGS, Shop, event, product

import promolift.profile as room
from promolift.sql import WEEK_MS

ASOF = MONDAY + 12 * WEEK_MS
CATALOGUE = [product(f"p{k}", category=f"c{k // 2}", type=f"t{k}", brand="Private" if k % 2 else "B") for k in range(8)]
KINDS = ("purchase", "purchase", "purchase", "refund", "view", "add_to_cart")


@st.composite
def rows(draw, low: float, high: float, size: int):
    def one():
        kind = draw(st.sampled_from(KINDS))
        day = draw(st.integers(round(low * 24), round(high * 24) - 1)) / 24
        more = {"product_id": f"p{draw(st.integers(0, 7))}", "kind": kind, "revenue_cents": draw(st.integers(0, 900))}
        more |= {"shelf_cents": draw(st.sampled_from((0, 30))), "coupon_cents": draw(st.sampled_from((0, 0, 20)))}
        more["order_id"] = draw(st.sampled_from((None, "o1", "o2")))
        return event(draw(st.sampled_from("abcdef")), day, **more)

    return [one() for _ in range(draw(st.integers(1, size)))]


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
    found = [[], [], [], []]
    for part in parts or [shop.customers]:
        if not part:
            continue
        shard, moments = shop.shard(part), shop.moments(asofs, part)
        found[0].append(room.profile(shard, moments, shared, SETTINGS))
        found[1].append(room.affinities(shard, moments, shared, SETTINGS))
        found[2].append(room.interests(shard.events, moments, shared, SETTINGS))
        found[3].append(room.spend_features(shard, moments, shared, SETTINGS))
    return [pl.concat(frames).sort("customer_id", "asof_ms", *frames[0].columns[2:3]) for frames in found]


def same(one: list[pl.DataFrame], other: list[pl.DataFrame]) -> None:
    for left, right in zip(one, other, strict=True):
        assert_frame_equal(left, right, rel_tol=1e-8, abs_tol=1e-8)


@settings(max_examples=3, deadline=None)
@given(rows(0, 84, 60), rows(84, 130, 20), rows(84, 130, 20))
def test_rows_at_or_after_the_moment_change_nothing(past, future, other):
    sent, used = campaigns()
    anchor = [event(c, k) for c in "abcdef" for k in (0, 30, 60)]
    late = [row | {"ts_ms": row["ts_ms"] + 60 * WEEK_MS} for row in used]
    past_used = [row for row in used if row["ts_ms"] < ASOF]
    one = Shop(anchor + past + future + [event("a", 84)], CATALOGUE, sent, used)
    two = Shop(anchor + past + other, CATALOGUE, [r for r in sent if r["start_ms"] < ASOF], past_used + late)
    asofs = (MONDAY + 9 * WEEK_MS, ASOF)
    same(everything(one, asofs), everything(two, asofs))


@settings(max_examples=3, deadline=None)
@given(rows(0, 120, 80), st.lists(st.booleans(), min_size=6, max_size=6))
def test_any_division_into_shards_gives_the_same_tables(found, cut):
    sent, used = campaigns()
    shop = Shop([event(c, k) for c in "abcdef" for k in (0, 30, 60)] + found, CATALOGUE, sent, used)
    parts = [[c for c, k in zip("abcdef", cut, strict=True) if k == part] for part in (False, True)]
    asofs = (MONDAY + 9 * WEEK_MS, ASOF)
    whole, pieces = everything(shop, asofs), everything(shop, asofs, [part for part in parts if part])
    same(whole, pieces)


def test_moments_asked_together_or_alone_say_the_same():
    shop = Shop([event(c, k, product_id=f"p{(k + ord(c)) % 8}") for c in "abc" for k in range(0, 84, 5)], CATALOGUE)
    first = MONDAY + 6 * WEEK_MS
    shared = shop.shared([first, ASOF])
    together = room.profile(shop.shard(), shop.moments([first, ASOF]), shared, SETTINGS)
    alone = pl.concat(room.profile(shop.shard(), shop.moments([a]), shared, SETTINGS) for a in (first, ASOF))
    assert_frame_equal(together, alone.sort("customer_id", "asof_ms"))
