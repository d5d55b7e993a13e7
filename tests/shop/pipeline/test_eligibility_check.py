"""Law: codes of age bands never bar most customers as minors unasked."""

from pathlib import Path
from random import Random

import pytest
from error_checks import raises_code

from promolift.foundation.storage.local_store import Store
from promolift.shop.configuration.configuration import Config, load_config
from promolift.shop.ingest.setup.initialisation import SetupAnswers, init
from promolift.shop.pipeline.planning.eligibility_check import check_rule_shares
from promolift.shop.pipeline.steps.ingest import run as ingest
from promolift.shop.results.work_folder.run_context import Job


@pytest.mark.parametrize(("ages", "asked"), [
    (("1", "2", "3", "4", "5"), True), (("01", "02", "03"), True), (("10", "11", "12"), True),
    (("17", "25-34", "35-44", "45+"), False), (("30", "41", "16"), False),
])  # fmt: skip
def test_codes_read_as_ages_stop_the_plan(ages: tuple[str, ...], asked: bool, tmp_path: Path) -> None:
    draw = Random(len(ages))
    sales = [f"K{n},2025-01-{1 + n % 28:02d},A{n % 5},9.50" for n in range(60)]
    people = [f"K{n},{ages[n % len(ages)]},yes" for n in draw.sample(range(60), 60)]
    (tmp_path / "e.csv").write_text("\n".join(["customer_id,date,sku,amount", *sales]))
    (tmp_path / "c.csv").write_text("\n".join(["customer_id,age_band,consent", *people]))
    files = {"events": tmp_path / "e.csv", "customers": tmp_path / "c.csv"}
    init(files, tmp_path / "p.toml", False, answers=SetupAnswers.of(["customers.age=age_band"]))
    config = load_config(tmp_path / "p.toml")
    with Store(tmp_path / "work") as store:
        ingest(Job(config, store, lambda *_: None))
        if asked:
            with raises_code("rule_refuses_most", "minimum_age"):
                check_rule_shares(Job(config, store, lambda *_: None))
        stated = config.model_dump()
        stated["rules"]["confirmed"] = ["minimum_age"] if asked else []
        check_rule_shares(Job(Config.parse(stated, "test"), store, lambda *_: None))
