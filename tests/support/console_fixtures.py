"""One drawn, planned and told shop for all tests of the console, copied for each server."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("fastapi")

from console_helpers import Shop, opened
from told_shop import SHOPS, told_shop

from promolift.foundation.storage.local_store import Store


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder that holds all that the report tells."""
    folder = tmp_path_factory.mktemp("console")
    with Store(folder) as store:
        told_shop(store, 1, **SHOPS["dollars"])
    return folder


@pytest.fixture
def folder(told: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    shutil.copytree(told, tmp_path / "work")
    return tmp_path / "work"


@pytest.fixture
def shop(folder: Path) -> Iterator[Shop]:
    """A server with the console, and a person of each role."""
    with opened(folder) as found:
        yield found
