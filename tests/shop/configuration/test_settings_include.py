"""promolift.toml includes what the console changed: by part and key, lists as a whole, nothing that cannot be."""

from pathlib import Path

import pytest
from error_checks import raises_code

from promolift.shop.configuration.configuration import load_config
from promolift.shop.configuration.fragment import change_settings
from promolift.shop.ingest.setup.initialisation import init
from promolift.shop.pipeline.pipeline import demo_config

OWN = """# mine
[shop]
name = "Tea"
currency = "CNY"

[data]
source = "complete-journey"

[[menu]]
id = "a"
benefit = { type = "percent_off", percent = 10 }
scope = "category"
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A file that somebody wrote."""
    (tmp_path / "promolift.toml").write_text(OWN, encoding="utf-8")
    return tmp_path / "promolift.toml"


def test_a_change_goes_before_what_stands_there_and_the_rest_stays(own: Path) -> None:
    config = change_settings(own, load_config(own), {"shop": {"name": "茶店"}})
    assert (config.shop.name, config.shop.currency, config.menu[0].id) == ("茶店", "CNY", "a")
    line = {"id": "b", "benefit": {"type": "gift", "item": {"zh": "杯", "en": "cup"}, "product_id": "c"},
            "benefit_cost_cents": 350}  # fmt: skip
    config = change_settings(own, config, {"menu": [line]})
    assert (config.shop.name, [each.id for each in config.menu]) == ("茶店", ["b"])
    assert load_config(own) == config
    text = own.read_text(encoding="utf-8")
    assert text.endswith(OWN)
    assert text.count("include") == 1


def test_what_cannot_be_is_not_written(own: Path) -> None:
    before = {path.name: path.read_bytes() for path in own.parent.iterdir()}
    with raises_code("setting_invalid", "menu.0"):
        change_settings(own, load_config(own), {"menu": [{"id": "b", "benefit": {"type": "percent_off"}}]})
    assert {path.name: path.read_bytes() for path in own.parent.iterdir()} == before


def test_a_list_of_files_that_lacks_the_consoles_is_left_alone(own: Path) -> None:
    (own.parent / "more.toml").write_text("[shop]\nname = 'More'\n", encoding="utf-8")
    own.write_text(f'include = ["more.toml"]\n{OWN}', encoding="utf-8")
    assert load_config(own).shop.name == "More"
    with raises_code("include_missing", "console.toml", "include"):
        change_settings(own, load_config(own), {"shop": {"name": "x"}})


def test_a_missing_file_is_named(own: Path) -> None:
    own.write_text(f'include = ["gone.toml"]\n{OWN}', encoding="utf-8")
    with raises_code("file_not_found", "gone.toml"):
        load_config(own)


def test_where_no_file_is_the_settings_are_written_whole(tmp_path: Path) -> None:
    now = demo_config()
    config = change_settings(tmp_path / "promolift.toml", now, {"shop": {"name": "Mine"}})
    changed = now.shop.model_copy(update={"name": "Mine"})
    assert config == now.model_copy(update={"shop": changed, "include": ("console.toml",)})


def test_settings_written_anew_keep_what_they_include(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    rows = [f"c{n % 9},2026-01-{1 + n % 27:02} 10:00:00,o{n},p{n % 4},{1 + n % 5}.50" for n in range(60)]
    log.write_text("\n".join(["customer_id,time,order_id,product_id,amount", *rows]), encoding="utf-8")
    file = tmp_path / "promolift.toml"
    init({"events": log}, file, force=False)
    change_settings(file, load_config(file), {"shop": {"name": "Ann's"}})
    init({"events": log}, file, force=True)
    assert load_config(file).shop.name == "Ann's"
    assert file.read_text("utf-8").count("include") == 1
    file.write_text("not TOML", encoding="utf-8")  # what nobody can read includes nothing
    init({"events": log}, file, force=True)
    assert load_config(file).include == ()
