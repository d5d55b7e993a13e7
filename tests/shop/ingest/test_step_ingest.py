"""Equal lines of a receipt that nobody explained are spoken of; no log is held in memory to look up prices."""

from pathlib import Path

import pytest

from promolift.foundation.files.table_files import open_file
from promolift.foundation.storage.local_store import Store
from promolift.shop.configuration.column_mapping import Mapping
from promolift.shop.configuration.configuration import Config
from promolift.shop.ingest.cleaning.event_cleaning import add_catalogue_price
from promolift.shop.pipeline.pipeline import run_steps
from promolift.shop.pipeline.steps.ingest import fixed_join_order
from promolift.shop.results.ingest import Health
from promolift.shop.results.work_folder.run_context import Job

COLUMNS = {"customer_id": "who", "time": "at", "order_id": "receipt", "product_id": "sku", "amount": "paid"}


@pytest.mark.parametrize(
    ("settings", "warned", "taken"),
    [({}, True, 40), ({"repeats": "duplicates"}, False, 40), ({"repeats": "lines"}, False, 60)],
)
def test_equal_lines_that_nobody_explained_are_said_at_the_end(
    tmp_path: Path, settings: dict[str, str], warned: bool, taken: int
) -> None:
    lines = [
        f"u{r % 5},2024-03-{1 + r:02} 10:00:00,r{r},{sku},1.50" for r in range(20) for sku in ("tea", "tea", "nut")
    ]
    (tmp_path / "lines.csv").write_text("who,at,receipt,sku,paid\n" + "\n".join(lines))
    events = {"path": str(tmp_path / "lines.csv"), "mapping": {"columns": COLUMNS, **settings}}
    config = Config.parse({"data": {"source": "files", "events": events}}, str(tmp_path))
    with Store(tmp_path / "work") as store:
        run_steps(Job(config, store, lambda *_: None), ["ingest"])
        warnings = Health.load(store).warnings
        assert store.events().aggregate("count(*)").fetchall() == [(taken,)]
    said = [each for each in warnings if each.startswith("lines.csv: 20 rows equal")]
    assert bool(said) == warned
    assert all('set repeats = "lines"' in each for each in said)


def test_the_catalogue_is_held_to_look_up_prices_and_not_the_log(tmp_path: Path) -> None:
    (tmp_path / "lines.csv").write_text("who,at,sku\n" + "u1,2024-03-01 10:00:00,tea\n" * 2_000)
    how = Mapping.parse(
        {"table": "events", "columns": {"customer_id": "who", "time": "at", "product_id": "sku"}}, "lines.csv"
    )
    with Store(tmp_path / "work") as store:
        prices = store.connection.sql("select 'sku' || i as product_id, i as price_cents from range(1000) t(i)")
        log = open_file(store.connection, tmp_path / "lines.csv", tmp_path).rows
        with fixed_join_order(store):
            assert "Join Type: LEFT" in add_catalogue_price(log, how, prices).explain()
        assert "Join Type: RIGHT" in add_catalogue_price(log, how, prices).explain()  # or this is not needed any more
