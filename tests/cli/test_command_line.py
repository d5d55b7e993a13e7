"""What a person meets first: the version, what is installed and what is not, completion, exit codes."""

import json
import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

import promolift
from promolift.cli.application import main
from promolift.shop.ingest.setup import installation_check

ROOT = Path(__file__).parents[2]
Capture = pytest.CaptureFixture[str]


def call(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    return int(end.value.code or 0)


def test_the_version_is_that_of_the_package(capsys: Capture) -> None:
    assert call("--version") == 0
    assert capsys.readouterr().out == f"{promolift.__version__}\n"


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> dict[str, str | None]:
    """Packages by name that are there in another version, or (None) not at all."""
    other: dict[str, str | None] = {}

    def found(name: str) -> str:
        if (said := other.get(name, version(name) if name not in other else None)) is None:
            raise PackageNotFoundError(name)
        return said

    monkeypatch.setattr(installation_check, "version", found)
    return other


def test_what_the_settings_ask_for_and_is_missing_is_a_fault_and_what_nobody_asks_for_is_none(
    without: dict[str, str | None], tmp_path: Path, capsys: Capture
) -> None:
    config = tmp_path / "promolift.toml"
    config.write_text('[data]\nsource = "complete-journey"\n[encoder]\ndepth = 2\n', "utf-8")
    without["torch"] = None
    assert call("doctor", "--config", str(config)) == 2
    said = capsys.readouterr().err
    assert "[deep] missing" in said
    assert "pip install 'promolift[deep]'" in said
    assert "encoder.depth in promolift.toml asks for it" in said
    assert call("doctor", "--config", str(tmp_path / "none.toml"), "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["faults"], told["parts"]["deep"]["state"]) == (0, "missing")
    assert told["parts"]["deep"]["packages"]["torch"] is None


def test_a_package_of_the_core_that_is_too_old_is_named_with_what_is_wanted(
    without: dict[str, str | None], tmp_path: Path, capsys: Capture
) -> None:
    without["polars"] = "0.20.31"
    assert call("doctor", "--config", str(tmp_path / "none.toml")) == 2
    assert "polars>=1.30 (here: 0.20.31)" in capsys.readouterr().err


def test_every_extra_that_a_person_may_install_is_explained() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert set(installation_check.EXTRAS) == set(project["optional-dependencies"]) - {"dev", "docs"}
    for line in (each for lines in project["optional-dependencies"].values() for each in lines):
        assert installation_check.REQUIREMENT.match(line), line


@pytest.mark.parametrize(
    ("found", "wanted", "fits"),
    [
        ("2.13.0+cpu", ">=2.5,<=2.13", True),
        ("2.14.0", ">=2.5,<=2.13", False),
        ("3.0", "<3,>=2.40", False),
        ("2.9.1", ">=2.40", False),
        ("1.30", ">=1.30", True),
        (None, ">=1", False),
        ("1.0.0", "==1.0.0", True),
        ("1.0.1", "==1.0.0", False),
        ("4", "", True),
    ],
)
def test_versions_are_compared_number_by_number(found: str | None, wanted: str, fits: bool) -> None:
    assert installation_check.Requirement("p", wanted, "", found).fits is fits


def test_a_shell_completes_verbs() -> None:
    asked = {"_PROMOLIFT_COMPLETE": "complete_bash", "COMP_WORDS": "promolift words rev", "COMP_CWORD": "2"}
    program = "import sys; sys.argv = ['promolift']; from promolift.cli.application import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **asked}, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["review"]


def test_each_exit_code_stands_in_the_docs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    codes = {call("--help"), call("plan", "--no-such-option"), call("plan")}
    assert codes == {0, 2}
    page = (ROOT / "docs/command-line.md").read_text("utf-8")
    assert all(f"| {code} |" in page for code in (0, 1, 2, 130))
