"""The margin of a customer's purchases: the shop's, less what they save by buying at lowered prices."""

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from planned_shop import drawn_shop, shop_config
from sharded import write_shards

from promolift.foundation.storage.local_store import Store
from promolift.shop.configuration.configuration import load_config
from promolift.shop.ingest.setup.initialisation import init
from promolift.shop.ingest.setup.settings_text import USUAL_MARGIN, usual_margin
from promolift.shop.pipeline.planning.offer_targets import CandidateInputs, ShelfTotals, shelf_shares, usual_share
from promolift.shop.results.work_folder.run_context import Job, moments
from promolift.shop.results.work_folder.work_tables import ALL_CUSTOMERS

MARGIN = 0.4


@st.composite
def sums(draw: st.DrawFn) -> pl.DataFrame:
    """What each of some customers bought, in cents of list value and of reductions, and how many lines."""
    rows = draw(st.lists(st.tuples(st.integers(1, 10**6), st.floats(0, 1), st.integers(1, 400)), min_size=1))
    return pl.DataFrame(
        {
            "customer_id": [f"u{n}" for n in range(len(rows))],
            "list_cents": [float(value) for value, _, _ in rows],
            "shelf_cents": [float(int(value * share)) for value, share, _ in rows],
            "lines": [float(lines) for _, _, lines in rows],
        }
    )


@given(rows=sums(), usual=st.floats(0, 1))
def test_a_share_lies_between_the_customers_own_and_the_shops_and_nearer_their_own_with_more_lines(
    rows: pl.DataFrame, usual: float
) -> None:
    totals = ShelfTotals(1000.0, 1000.0 * usual, 50.0)
    own = rows["shelf_cents"] / rows["list_cents"]
    drawn, bare = shelf_shares(rows, totals)["shelf_share"], shelf_shares(rows, None)["shelf_share"]
    assert bare.to_list() == pytest.approx(own.to_list())
    for share, mine, lines in zip(drawn, own, rows["lines"], strict=True):
        assert min(mine, usual) - 1e-12 <= share <= max(mine, usual) + 1e-12
        assert abs(share - mine) <= abs(usual - mine) * 10 / (10 + lines) + 1e-9


def shelf_shop(store: Store, shards: int) -> Job:
    """A drawn shop in which u000 buys half price, u001 at list prices, and u002 has bought nothing for two years."""
    drawn_shop(store, 3)
    events = store.frame("events")
    shelf = pl.when(pl.col("customer_id") == "u000").then(2500).otherwise(0)
    old = pl.when(pl.col("customer_id") == "u002").then(730 * 86_400_000).otherwise(0)
    changed = events.with_columns(shelf_cents=shelf.cast(pl.Int64), ts_ms=pl.col("ts_ms") - old)
    write_shards(store, store.connection.from_arrow(changed.to_arrow()), "events", shards)
    return Job(shop_config(value={"margin_rate": MARGIN}), store, lambda *_: None)


@pytest.mark.parametrize("shards", [1, 3])
def test_margins_follow_what_customers_save_on_the_shelf(tmp_path: Path, shards: int) -> None:
    job = shelf_shop(Store(tmp_path), shards)
    scene = CandidateInputs(job, moments(job))
    usual = usual_share(scene.shelf_totals)
    assert scene.shelf_totals is not None
    assert 0 < usual < 0.05
    margins = dict(scene.inputs().profiles.select("customer_id", "margin_rate").iter_rows())
    lines = scene.shelf_shares(ALL_CUSTOMERS)
    assert "u002" not in lines["customer_id"]
    assert margins["u000"] == pytest.approx(MARGIN - (0.5 + 10 * usual) / 11)
    assert margins["u001"] == pytest.approx(MARGIN - 10 * usual / 11)
    assert margins["u002"] == pytest.approx(MARGIN - usual)


@given(share=st.floats(0, 0.9))
def test_the_usual_margin_is_thirty_per_cent_of_what_is_paid(share: float) -> None:
    assert (usual_margin(share) - share) / (1 - share) == pytest.approx(USUAL_MARGIN, abs=0.005 / (1 - share) + 1e-9)


@pytest.mark.parametrize("reduced", [0.0, 0.25])
def test_init_proposes_a_margin_for_the_prices_of_the_shop(tmp_path: Path, reduced: float) -> None:
    lines = [
        f"u{n % 40},2026-0{1 + n % 6}-{1 + n % 28:02d} 10:00:00,p{n % 9},o{n},10.00,{10 * reduced:.2f}"
        for n in range(400)
    ]
    log, config = tmp_path / "log.csv", tmp_path / "promolift.toml"
    log.write_text("\n".join(["customer_id,time,product_id,order_id,sales_value,discount", *lines]) + "\n")
    init({"events": log}, config, force=False)
    # `sales_value` is what was paid: a reduction of 2.50 on 10.00 is a fifth of 12.50
    assert load_config(config).value.margin_rate == usual_margin(10 * reduced / (10 + 10 * reduced))
