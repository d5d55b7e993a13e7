"""Laws of the whole way from files to plan: shards, row order and repetition change nothing."""

from pathlib import Path

import polars as pl
import pytest

from promolift.extensions.encoder.settings import ForecastSettings
from promolift.foundation.storage.local_store import Store
from promolift.shop.configuration.configuration import Config
from promolift.shop.pipeline import pipeline

HIDDEN = {"code"}  # made from the folder's own secret


def settings(folder: Path, shards: int, budget_cents: int = 150_000) -> Config:
    mapping = {"columns": {"customer_id": "user_id", "time": "event_time", "kind": "event_type", "product_id": "sku",
                           "order_id": "order_number", "quantity": "quantity", "amount": "sales_value",
                           "shelf_discount": "discount"}}  # fmt: skip
    products = {
        "columns": {n: n for n in ("product_id", "name", "category", "type")}
        | {"price": "price_cents", "cost": "cost_cents"},
        "money": "minor",
    }
    return Config.parse(
        {
            "data": {
                "shards": shards,
                "events": {"path": str(folder / "events.csv"), "mapping": mapping},
                "products": {"path": str(folder / "products.csv"), "mapping": products},
            },
            "consent": {"default": True},
            "plan": {"budget_cents": budget_cents},
        },
        "test",
    )


def plan(config: Config, work: Path) -> pl.DataFrame:
    steps = ["ingest", "profile", "effect", "plan", "message"]
    with Store(work) as store:
        pipeline.run_steps(pipeline.Job(config, store, lambda *told: None), steps)
        return store.frame("messages").drop(*HIDDEN).sort("customer_id")


@pytest.fixture(scope="module")
def reference(own_files: Path, tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    return plan(settings(own_files, 1), tmp_path_factory.mktemp("one"))


def same(one: pl.DataFrame, other: pl.DataFrame) -> None:
    """Equal texts and numbers of rows; floats to 1e-6 relative, since sums are added in another order."""
    assert one.height > 20
    texts = [name for name, kind in one.schema.items() if kind in (pl.String, pl.Boolean, pl.Int64)]
    assert one.select(texts).equals(other.select(texts))
    for name in ("gain_cents", "cost_cents", "gain_se_cents"):
        assert one[name].to_list() == pytest.approx(other[name].to_list(), rel=1e-6)


@pytest.mark.slow
def test_an_encoder_adds_understanding_and_leaves_the_plan_as_it_is(
    own_files: Path, tmp_path: Path, reference: pl.DataFrame
) -> None:
    pytest.importorskip("torch")
    with_encoder = settings(own_files, 1).model_copy(update={"encoder": ForecastSettings(depth=1, epochs=1)})
    same(reference, plan(with_encoder, tmp_path))
    with Store(tmp_path) as store:
        assert store.frame("outlook").height > 100


def test_any_number_of_shards_gives_the_same_plan(own_files: Path, tmp_path: Path, reference: pl.DataFrame) -> None:
    same(reference, plan(settings(own_files, 3), tmp_path / "three"))


def test_the_order_of_rows_changes_nothing(own_files: Path, tmp_path: Path, reference: pl.DataFrame) -> None:
    shuffled = tmp_path / "shuffled"
    shuffled.mkdir()
    for name in ("events.csv", "products.csv"):
        pl.read_csv(own_files / name, infer_schema=False).sample(fraction=1, shuffle=True, seed=7).write_csv(
            shuffled / name
        )
    same(reference, plan(settings(shuffled, 2), tmp_path / "work"))


@pytest.mark.parametrize("budget_cents", [0, 700, 3_333])
def test_no_plan_is_above_its_budget(
    budget_cents: int, own_files: Path, tmp_path_factory: pytest.TempPathFactory, reference: pl.DataFrame
) -> None:
    work = tmp_path_factory.getbasetemp() / "budgets"
    smaller = plan(settings(own_files, 1, budget_cents), work)
    assert smaller["cost_cents"].sum() <= budget_cents
    assert smaller["gain_cents"].sum() <= reference["gain_cents"].sum()
