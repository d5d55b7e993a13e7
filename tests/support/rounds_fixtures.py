"""A small shop as far as its effects, and rounds for few customers."""

from pathlib import Path

import pytest
from same_tables import ran, settings

from promolift.core.allocation import solver
from promolift.core.allocation.algorithms import lagrangian
from promolift.shop.configuration.configuration import Config
from promolift.shop.pipeline.steps import plan


@pytest.fixture(scope="module")
def ready(own_files: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, Path]:
    """A small shop as far as its effects."""
    folder = tmp_path_factory.mktemp("rounds")
    config = settings(own_files, folder)
    return config, ran(config, folder / "work", steps=("ingest", "profile", "effect"))


@pytest.fixture
def in_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is few: all that is asked of customers is asked in rounds."""
    monkeypatch.setattr(plan, "CUSTOMERS_IN_MEMORY", 20)
    for module in (solver, lagrangian):
        monkeypatch.setattr(module, "IN_MEMORY_ROWS", 0)
