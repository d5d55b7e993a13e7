"""The plan is the same to the bit over 1, 4 and 16 shards, under `privacy.epsilon` and without it."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from own_shop import write_shop
from private_shop import PRIVATE, differences, files_config, fix_noise, planned

from promolift.shop.pipeline.shop import Shop
from promolift.shop.pipeline.steps import plan

BUDGET = {"budget_cents": 20_000, "min_evidence": "assumed"}
MODES = pytest.mark.parametrize("privacy", [{}, PRIVATE], ids=["exact", "private"])
COMPARED = ("profiles", "affinities", "interests", "candidates", "chosen", "decisions")


@MODES
def test_past_orders_are_valued_alike_in_one_shard_and_in_four(
    privacy: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fix_noise(monkeypatch)
    one = planned(tmp_path / "1", 5, privacy=privacy, plan=BUDGET)
    assert one["chosen"].height > 5
    monkeypatch.setattr(plan, "CUSTOMERS_IN_MEMORY", 4)
    assert differences(one, planned(tmp_path / "4", 5, shards=4, privacy=privacy, plan=BUDGET)) == []


@pytest.mark.slow
@MODES
def test_from_files_to_plan_shards_change_no_bit(
    privacy: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A response is measured in a shop of this size, and its plan is made shard by shard."""
    fix_noise(monkeypatch)
    folder = write_shop(tmp_path, customers=300, weeks=40)
    found: list[dict[str, pl.DataFrame]] = []
    for shards in (1, 4, 16):
        monkeypatch.setattr(plan, "CUSTOMERS_IN_MEMORY", 3_000 if shards == 1 else 20)
        config = files_config(folder, privacy, BUDGET, shards)
        with Shop.of(config, tmp_path / f"work{shards}") as shop:
            shop.step("ingest", "profile", "effect", "plan")
            found.append({name: shop.store.frame(name) for name in COMPARED})
        assert differences(found[0], found[-1]) == [], shards
