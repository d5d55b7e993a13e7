"""What `promolift next` says leads on: it never names the command that led there."""

from pathlib import Path

import pytest
from living_shop import config

from promolift.extensions.simulation.worlds.market import SimulatedMarket, draw_shop
from promolift.shop.configuration.configuration import Config
from promolift.shop.pipeline.shop import Shop
from promolift.shop.reports.next_step import shop_status


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("next")
    market = SimulatedMarket(draw_shop(3, 60))
    market.advance(30)
    market.events.write_parquet(made / "events.parquet")
    market.products.write_csv(made / "products.csv")
    return made


def stated(folder: Path, case: str) -> Config:
    return config(
        folder, test_share=0.1 * (case != "nothing drawn"), budget_cents=0 if case == "no budget" else 300_000
    )


@pytest.mark.parametrize("case", ["no budget", "nothing drawn", "as it is"])
def test_the_next_command_is_not_the_one_that_was_just_run(folder: Path, case: str) -> None:
    with Shop.of(stated(folder, case), folder / case) as shop:
        assert shop_status(shop.config, shop.store).command == "promolift run"  # no log was read
        plan = shop.plan()
        after = shop_status(shop.config, shop.store)
    assert after.command != "promolift run"
    assert after.what
    if case != "as it is":
        assert (plan.note.treated, after.stage, after.command) == (0, "stopped", "promolift plays")
