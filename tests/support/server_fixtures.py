"""One planned shop for all tests, copied for each server, since a server writes into its folder."""

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from time import sleep, time

import pytest
import uvicorn
from serve_helpers import Api, free_port, planned, released, serving

from promolift.shop.configuration.configuration import Config


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


@pytest.fixture
def address(folder: Path) -> Iterator[tuple[str, Api]]:
    """A real server on a free port."""
    with serving(folder) as api:
        port = free_port()
        server = uvicorn.Server(uvicorn.Config(api.client.app, port=port, log_config=None, lifespan="off"))
        thread = threading.Thread(target=server.run)
        thread.start()
        deadline = time() + 10
        while not server.started and time() < deadline:
            sleep(0.02)
        yield f"http://127.0.0.1:{port}", api
        server.should_exit = True
        thread.join()
