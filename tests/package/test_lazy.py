"""The public packages import their names on first use, list them all, and no submodule hides a function."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from promolift import core
from promolift.foundation.lazy_imports import LazyPackage

OTHERS = ("promolift.shop.ingest", "promolift.foundation.storage", "promolift.foundation.pages")
PUBLIC = [*(f"promolift.core.{name}" for name in core.__all__), *OTHERS]


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_package_offers_the_names_it_lists_and_no_others(name: str) -> None:
    package = importlib.import_module(name)
    assert isinstance(package, LazyPackage)
    assert sorted(package.__all__) == sorted(package.sources_)
    for each in package.__all__:
        assert getattr(package, each) is not None
    assert set(package.__all__) <= set(dir(package))
    with pytest.raises(AttributeError) as caught:
        _ = package.nobody
    assert "'nobody'" in str(caught.value)


def test_a_submodule_never_hides_the_function_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "sums").mkdir()
    (tmp_path / "sums/__init__.py").write_text(
        "from typing import TYPE_CHECKING\n"
        "from promolift.foundation.lazy_imports import make_lazy\n"
        "if TYPE_CHECKING:\n    from sums.total import total\nelse:\n    make_lazy(__name__)\n"
    )
    (tmp_path / "sums/total.py").write_text("def total() -> int:\n    return 3\n")
    code = "import sums.total\nfrom sums import total\nprint(total())"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "3"
