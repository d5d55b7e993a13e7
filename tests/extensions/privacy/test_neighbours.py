"""Two shops that differ in one customer, with the same releases: everybody else's plan is the same, to the bit."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from own_shop import write_shop
from private_shop import PRIVATE, differences, files_config, fix_noise, planned

from promolift.core.offers.order_replay import total_replays
from promolift.extensions.privacy.mechanisms.synthetic_customers import CUSTOMER_ID_FORMAT
from promolift.shop.pipeline.planning import offer_targets
from promolift.shop.pipeline.shop import Shop
from promolift.shop.results import segments

BUDGET = {"budget_cents": 5_000_000}  # large beside the noise, so that no offer is too dear to be planned
COMPARED = ("profiles", "affinities", "interests", "candidates", "chosen", "decisions")


def pair(folder: Path, seed: int, **parts: Any) -> list[str]:
    """Where the plans of a shop and of its neighbour without one customer differ."""
    who = f"u{seed * 7 % 30:03d}"
    whole = planned(folder / "whole", seed, plan=BUDGET, **parts)
    whole = {name: rows.filter(pl.col("customer_id") != who) for name, rows in whole.items()}
    assert whole["candidates"].filter("eligible")["menu_id"].n_unique() >= 15
    assert whole["chosen"].height > 10
    return differences(whole, planned(folder / "less", seed, who, plan=BUDGET, **parts))


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 40))])
def test_a_customer_more_changes_nobody_else_s_offers_of_any_kind(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fix_noise(monkeypatch)
    assert pair(tmp_path, seed) == []


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 20))])
def test_the_only_buyer_of_what_a_line_covers_changes_nobody_else_s_offers(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a shop whose catalogue has no categories a line names products: that is known without any customer."""
    fix_noise(monkeypatch)
    who = f"u{seed * 11 % 30:03d}"
    whole = planned(tmp_path / "whole", seed, only=who, plan=BUDGET)
    own = whole["candidates"].filter((pl.col("target") == "p-tea") & (pl.col("scope") == "category"))
    assert own["kind"].unique().to_list() == ["product"]
    others = {name: rows.filter(pl.col("customer_id") != who) for name, rows in whole.items()}
    assert differences(others, planned(tmp_path / "less", seed, who, only=who, plan=BUDGET)) == []


def test_the_number_of_orders_replayed_goes_by_a_released_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fix_noise(monkeypatch)
    monkeypatch.setattr(offer_targets, "MOST_ORDERS", 119)  # by an exact count three orders of each of 30, four of 29
    assert pair(tmp_path, 3) == []


def test_a_planted_leak_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exact means of everybody reach each customer again, and so does the exact border of a segment by rank."""
    fix_noise(monkeypatch)
    own = offer_targets.mean_per_order
    monkeypatch.setattr(offer_targets, "mean_per_order", lambda replays, _: own(replays, total_replays(replays)))
    leaked = pair(tmp_path / "means", 1)
    assert {"candidates.gain_cents", "candidates.cost_cents"} <= {*leaked}
    monkeypatch.setattr(offer_targets, "mean_per_order", own)
    monkeypatch.setattr(segments, "synthetic_spend", lambda job: None)
    assert "candidates.segments" in pair(tmp_path / "ranks", 1)


def test_a_decile_under_epsilon_is_a_place_among_made_up_customers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fix_noise(monkeypatch)
    rows = planned(tmp_path, 2, plan=BUDGET)["candidates"].unique("customer_id")
    best = rows.filter(pl.col("segments").list.contains("best"))
    assert 0 < best.height < rows.height
    assert not rows["customer_id"].str.starts_with(CUSTOMER_ID_FORMAT.split()[0]).any()


@pytest.mark.slow
def test_from_files_to_plan_a_customer_more_changes_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """40 neighbours of one shop, each without another customer, the first and the last of the log included."""
    fix_noise(monkeypatch)
    folder = write_shop(tmp_path, customers=40, weeks=30)
    events, config = pl.read_csv(folder / "events.csv", infer_schema=False), files_config(folder, PRIVATE, BUDGET)
    found: list[dict[str, pl.DataFrame]] = []
    for at, who in enumerate(("", *events["user_id"].unique().sort())):
        events.filter(pl.col("user_id") != who).write_csv(folder / "events.csv")
        with Shop.of(config, tmp_path / f"work{at}") as shop:
            shop.step("ingest", "profile", "effect", "plan")
            tables = {name: shop.store.frame(name) for name in COMPARED}
        found = found or [tables]
        others = [
            {name: rows.filter(pl.col("customer_id") != who) for name, rows in each.items()}
            for each in (found[0], tables)
        ]
        assert others[0]["profiles"].height > 100
        assert differences(*others) == [], who
