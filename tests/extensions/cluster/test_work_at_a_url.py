"""The verbs on a work folder in object storage: what one machine made, another goes on with."""

import json
import shutil
from pathlib import Path

import pytest
from error_checks import raises_code

from promolift.cli.application import main
from promolift.shop.pipeline.shop import Shop


def call(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stop:
        main([str(each) for each in arguments])
    return int(stop.value.code or 0)


@pytest.mark.slow
def test_a_run_goes_on_where_another_machine_left_it(
    s3_url: str, own_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in own_files.iterdir():
        shutil.copy(path, tmp_path)
    config = tmp_path / "promolift.toml"
    given = [part for name in ("events", "products", "customers") for part in (f"--{name}", tmp_path / f"{name}.csv")]
    assert call("init", *given, "--config", config) == 0
    at = ["--config", config, "--work", s3_url]
    assert call("next", *at) == 0
    assert call("ingest", *at) == 0
    monkeypatch.setenv("PROMOLIFT_CACHE", str(tmp_path / "other machine"))
    capsys.readouterr()
    assert call("health", *at, "--json") == 0
    told = capsys.readouterr()
    assert "nothing changed" in told.err
    assert json.loads(told.out)["tables"]
    assert call("profile", *at) == 0
    assert "ingest    nothing changed" not in capsys.readouterr().err, "profile asks for itself alone"
    with Shop.open(config, work=s3_url) as shop:
        customers = shop.customers["customer_id"]
        assert customers.len() == 240
    assert call("erase", customers[0], *at) == 0
    with Shop.open(config, work=s3_url) as shop:
        assert customers[0] not in shop.store.frame("profiles")["customer_id"]
    assert not any(Path().glob("s3:*"))


def test_what_needs_a_folder_of_this_machine_says_so(
    s3_url: str, own_files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("serve", "--work", s3_url) == 2
    said = capsys.readouterr().err
    assert "[url_unsupported]" in said
    assert s3_url in said
    with raises_code("url_unsupported", s3_url, "Shop.open"):
        Shop(own_files / "events.csv", work=s3_url)
