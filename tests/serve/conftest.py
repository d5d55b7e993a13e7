"""One planned shop for all tests, copied for each server, since a server writes into its folder."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from serve_helpers import Api, planned, released, serving

from promolift.config import Config


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Config]:
    """A planned folder and its settings."""
    folder = tmp_path_factory.mktemp("shop")
    return folder, planned(folder)


@pytest.fixture
def folder(shop: tuple[Path, Config], tmp_path: Path) -> Path:
    """A copy of the planned folder."""
    shutil.copytree(shop[0], tmp_path / "work")
    return tmp_path / "work"


@pytest.fixture
def api(shop: tuple[Path, Config], folder: Path) -> Iterator[Api]:
    """A server with the plan released."""
    with serving(folder, shop[1]) as opened:
        released(opened)
        yield opened
