"""The image is built from what is there, runs as nobody in particular, and asks a path that exists how it is."""

import re
from pathlib import Path

import pytest
from serve_helpers import Api
from typer.main import get_command

from promolift.cli.application import app

ROOT = Path(__file__).parents[2]
DOCKERFILE, COMPOSE, IGNORE = (ROOT / name for name in ("Dockerfile", "compose.yaml", ".dockerignore"))


def instructions() -> list[tuple[str, str]]:
    """Each instruction of the Dockerfile with what follows it, continued lines joined."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(encoding="utf-8"), flags=re.MULTILINE).replace("\\\n", " ")
    return [tuple(line.split(maxsplit=1)) for line in text.splitlines() if line.strip()]  # type: ignore[misc]


def test_the_image_has_two_stages_and_only_the_second_is_shipped() -> None:
    found = instructions()
    stages = [rest for name, rest in found if name == "FROM"]
    assert len(stages) == 2
    assert stages[0].endswith("AS build")
    last = found[[name for name, _ in found].index("FROM", 1) :]
    assert "pip install" not in " ".join(rest for _, rest in last)
    assert [rest for name, rest in last if name == "COPY"] == ["--from=build /opt/promolift /opt/promolift"]


def test_all_that_is_copied_exists_and_is_let_through_and_nothing_else_is() -> None:
    sources = [source for name, rest in instructions() if name == "COPY" and "--from" not in rest
               for source in rest.split()[:-1]]  # fmt: skip
    rules = [line for line in IGNORE.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert sorted(rule[1:] for rule in rules if rule.startswith("!")) == sorted(sources)
    assert all((ROOT / source).exists() for source in sources)
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    needed = {"README.md", "LICENSE"}  # named in pyproject.toml: without them the build stops
    assert needed <= set(sources)
    assert all(name in project for name in needed)


def test_it_runs_without_rights_and_writes_in_one_place() -> None:
    last = dict(instructions())
    assert last["USER"].isdigit()
    assert int(last["USER"]) > 0
    assert last["VOLUME"] == last["WORKDIR"] == "/shop"
    cache = re.search(r"NUMBA_CACHE_DIR=(\S+)", last["ENV"])
    assert cache
    assert cache[1].startswith("/shop/")  # where else nothing can be written, compiled kernels cannot be kept
    compose = COMPOSE.read_text(encoding="utf-8")
    for line in ("read_only: true", "no-new-privileges:true", "- ALL", "- ./shop:/shop", '"127.0.0.1:8080:8080"'):
        assert line in compose
    assert last["USER"] in compose


def test_health_check_port_and_command_are_those_of_the_server(api: Api) -> None:
    last = dict(instructions())
    path = re.search(r"http://127\.0\.0\.1:(\d+)(/[a-z/]+)", last["HEALTHCHECK"])
    assert path
    assert path[1] == last["EXPOSE"]
    assert api.client.get(path[2]).status_code == 200
    command = re.findall(r'"([^"]+)"', last["CMD"])
    assert command[-1] == last["EXPOSE"]
    assert command[:1] == ["serve"]
    options = {name for each in get_command(app).commands["serve"].params for name in each.opts}  # type: ignore[attr-defined]
    assert {word for word in command if word.startswith("--")} <= options


@pytest.mark.parametrize("file", [DOCKERFILE, COMPOSE])
def test_no_secret_stands_in_the_files(file: Path) -> None:
    assert not re.search(r"pl_(admin|write|decide)_|whsec_|password", file.read_text(encoding="utf-8"), re.IGNORECASE)
