"""The wheel: the same bytes from the same files, wherever and whenever it is built, and the licences of all in it."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"
pytestmark = pytest.mark.slow


def built(folder: Path) -> Path:
    """A wheel of a copy of the sources, whose files are as old as the copy."""
    source = folder / "source"
    source.mkdir(parents=True)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copyfile(ROOT / name, source / name)
    shutil.copytree(
        ROOT / "src", source / "src", copy_function=shutil.copyfile,
        ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"),
    )  # fmt: skip
    env = {**os.environ, "SOURCE_DATE_EPOCH": "1767225600"}
    command = [sys.executable, "-c", BUILD, str(folder)]
    done = subprocess.run(command, cwd=source, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    pytest.importorskip("setuptools", "77")
    return [built(tmp_path_factory.mktemp(name)) for name in ("here", "there")]


def test_two_builds_are_equal_to_the_bit(wheels: list[Path]) -> None:
    one, other = (sha256(path.read_bytes()).hexdigest() for path in wheels)
    assert one == other


def test_the_wheel_holds_licences_and_no_tests(wheels: list[Path]) -> None:
    names = zipfile.ZipFile(wheels[0]).namelist()
    licences = [name for name in names if ".dist-info/licenses/" in name]
    for part in ("/LICENSE", "htmx.LICENSE.txt", "echarts.LICENSE.txt", "fonts.LICENSE.txt"):
        assert any(name.endswith(part) for name in licences), part
    assert not [name for name in names if not name.startswith(("promolift/", "promolift-"))]


def test_the_wheel_holds_the_catalogues_of_texts(wheels: list[Path]) -> None:
    names = zipfile.ZipFile(wheels[0]).namelist()
    for language in ("zh", "de"):
        assert f"promolift/foundation/i18n/locale/{language}/LC_MESSAGES/promolift.po" in names


def test_every_script_and_font_of_others_is_listed_for_the_sbom() -> None:
    listed = json.loads((ROOT / ".ci" / "vendored.json").read_text(encoding="utf-8"))
    files = {each["file"] for each in listed}
    package = ROOT / "src" / "promolift"
    there = {
        path.relative_to(package).as_posix()
        for path in package.glob("*/*/vendor/*")
        if path.suffix in (".js", ".css", ".woff2")
    }
    assert files == there
    for each in listed:
        said = "".join(path.read_text(encoding="utf-8") for path in package.glob("*/*/vendor/*.md"))
        name = each["name"].rpartition("/")[2].removesuffix(".org")
        assert name == "tslib" or re.search(rf"{name}[^|\n]*{re.escape(each['version'])}", said, re.S), each
