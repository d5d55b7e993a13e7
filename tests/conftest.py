"""Fixtures that more than one folder needs."""

from pathlib import Path

import pytest
from drawn import cases
from hypothesis import settings
from own_shop import write_shop
from s3_server import s3_server, s3_url

__all__ = ["s3_server", "s3_url"]
settings.register_profile("house", cases(100))
settings.load_profile("house")


@pytest.fixture(scope="session")
def own_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a small shop nobody has seen before."""
    return write_shop(tmp_path_factory.mktemp("own"))
