"""Extensions are found by their entry points, and register commands, projects and tasks. test_seams.py has the rest."""

from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from error_checks import raises_code

from promolift.cli.application import main
from promolift.cli.command_line import CommandLine
from promolift.foundation import extension
from promolift.foundation.extension import Extension, Project, check_conflicts, load_reference
from promolift.foundation.progress import StepSummary
from promolift.foundation.settings import Settings

GREENHOUSE = Extension(
    "greenhouse",
    projects=(
        Project(
            "greenhouse",
            row="plant",
            settings="test_extension:GreenhouseFile",
            init="test_extension:start",
            run="test_extension:run",
        ),
    ),
    commands=("test_extension:add_commands",),
    tasks={"demo": "test_extension:water"},
)


class GreenhouseSettings(Settings):
    plants: int


class GreenhouseFile(Settings):
    greenhouse: GreenhouseSettings


def start(file: Path, config: Path, answers: Any) -> StepSummary:
    config.write_text(f"[greenhouse]\nplants = {len(file.read_text().splitlines())}\n")
    return StepSummary("planted", {"currency": answers.currency})


def run(settings: GreenhouseSettings, config: Path, work: Path, out: Path, tell: Any) -> StepSummary:
    tell("grow", 1.0, "done")
    return StepSummary("grown", {"plants": settings.plants, "config": config.name, "out": str(out)})


def grow(work: Path, height: int = 3) -> StepSummary:
    """Grow plants."""
    return StepSummary("grown", {"height": height, "work": str(work)})


def prune() -> StepSummary:
    """Prune plants."""
    return StepSummary("pruned", {})


def add_commands(command_line: CommandLine) -> None:
    command_line.add(grow, after="init")
    command_line.add_group("plants", help="Commands on plants.")
    command_line.add(prune, group="plants")


def add_run(command_line: CommandLine) -> None:
    command_line.add(run, "run")


def water(server: Any, tell: Any) -> None:
    tell(server.name, 1.0, "watered")


@pytest.fixture
def greenhouse(monkeypatch: pytest.MonkeyPatch) -> Extension:
    monkeypatch.setattr(extension, "extensions", lambda: (GREENHOUSE,))
    return GREENHOUSE


def called(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main([*words])
    printed = capsys.readouterr()
    return int(stop.value.code or 0), printed.out, printed.err


def test_extensions_of_the_package_are_found_in_the_order_of_their_names() -> None:
    names = [each.name for each in extension.extensions()]
    assert names == sorted(names)
    assert {"agents", "finance", "simulation"} <= {*names}


def test_every_reference_of_the_package_names_something_that_exists() -> None:
    references = [each for kind in ("commands",) for each in extension.listed(kind)]
    references += [part for each in extension.listed("projects") for part in (each.settings, each.init, each.run)]
    references += [*extension.registered("tasks").values()]
    assert len(references) > 5
    for reference in references:
        assert callable(load_reference(reference)), reference


def test_what_extensions_register_is_joined_and_nothing_is_registered_without_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    two = Extension("a", tasks={"x": "m:f"}, routes=("m:A",)), Extension("b", tasks={"y": "m:g"}, routes=("m:B",))
    monkeypatch.setattr(extension, "extensions", lambda: two)
    assert extension.registered("tasks") == {"x": "m:f", "y": "m:g"}
    assert extension.listed("routes") == ("m:A", "m:B")
    monkeypatch.setattr(extension, "extensions", lambda: ())
    assert (extension.registered("tasks"), extension.listed("routes")) == ({}, ())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"sources": {"sap": "m:f"}}, {"sources": {"sap": "m:g"}}),
        ({"commands": ("m:f",)}, {"commands": ("m:f",)}),
        ({"projects": GREENHOUSE.projects}, {"projects": GREENHOUSE.projects}),
        ({"release_policy": "m:f"}, {"release_policy": "m:g"}),
        ({"name": "a"}, {"name": "a"}),
    ],
)
def test_two_extensions_cannot_claim_one_name(one: dict[str, Any], other: dict[str, Any]) -> None:
    with raises_code("extension_conflict"):
        check_conflicts((Extension(**{"name": "a"} | one), Extension(**{"name": "b"} | other)))


def test_extensions_may_use_one_name_for_different_kinds() -> None:
    check_conflicts((Extension("a", sources={"sap": "m:f"}), Extension("b", tasks={"sap": "m:f"}), Extension("sap")))


@pytest.mark.parametrize("value", ["no_such_module:X", "test_extension:NO_SUCH_NAME", "test_extension:GREENHOUSE.name"])
def test_an_extension_that_cannot_be_loaded_names_its_distribution(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("garden", value, extension.GROUP)
    vars(entry).update(dist=SimpleNamespace(name="promolift-garden"))
    monkeypatch.setattr(extension, "entry_points", lambda group: EntryPoints([entry]))
    with raises_code("extension_broken", "promolift-garden"):
        extension.extensions.__wrapped__()


@pytest.mark.parametrize("reference", ["no_such_module:x", "test_extension:no_such_name", "test_extension"])
def test_a_reference_to_nothing_is_an_error_that_shows_it(reference: str) -> None:
    with raises_code("extension_broken", reference):
        load_reference(reference)


def test_a_library_that_an_extension_lacks_is_not_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "needs_more.py").write_text("import no_such_library\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError) as error:
        load_reference("needs_more:x")
    assert error.value.name == "no_such_library"


@pytest.mark.usefixtures("greenhouse")
def test_commands_of_an_extension_stand_in_the_help_and_take_shared_options(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, help_text, _ = called(capsys, "--help")
    listed = [line.split()[0] for line in help_text.split("Commands:")[1].splitlines() if line.strip()]
    assert listed[:3] == ["init", "grow", "migrate"]
    assert "plants" in listed
    assert "simulate" not in listed
    code, out, _ = called(capsys, "grow", "--work", "here", "--height", "5", "--json")
    assert (code, out) == (0, '{\n "height": 5,\n "work": "here"\n}\n')
    assert called(capsys, "plants", "prune") == (0, "", "pruned\n")


@pytest.mark.parametrize("reference", ["test_extension:add_run", "test_extension:no_such_name", "needs_more:x"])
def test_a_command_that_cannot_be_added_is_one_line_and_not_a_traceback(
    reference: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "needs_more.py").write_text("import no_such_library\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(extension, "extensions", lambda: (Extension("odd", commands=(reference,)),))
    code, _, error = called(capsys, "--version")
    assert (code, error.count("\n")) == (2, 1)
    assert "[extension_conflict]" in error or "[extension_broken]" in error


@pytest.mark.usefixtures("greenhouse")
def test_a_project_of_an_extension_is_set_up_and_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, data = tmp_path / "promolift.toml", tmp_path / "plants.csv"
    data.write_text("fern\nmoss\n")
    words = ["--events", str(data), "--config", str(config), "--currency", "EUR", "--json"]
    assert called(capsys, "init", "--trade", "greenhouse", *words)[:2] == (0, '{\n "currency": "EUR"\n}\n')
    assert "[file_exists]" in called(capsys, "init", "--trade", "greenhouse", *words)[2]
    assert "plant" in called(capsys, "init", "--trade", "greenhouse", *words, "--events", str(data))[2]
    code, out, _ = called(capsys, "run", "--config", str(config), "--out", "page", "--json")
    assert (code, out) == (0, '{\n "plants": 2,\n "config": "promolift.toml",\n "out": "page"\n}\n')
    assert "[file_kind_mismatch]" in called(capsys, "health", "--config", str(config))[2]
    config.write_text("[greenhouse]\nplant = 2\n")
    assert "[setting_unknown]" in called(capsys, "run", "--config", str(config))[2]


@pytest.mark.usefixtures("greenhouse")
def test_a_trade_that_no_extension_registers_does_not_exist(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, error = called(capsys, "init", "--trade", "finance", "--events", str(tmp_path), "--config", "x.toml")
    assert code == 2
    assert "[trade_unknown]" in error
    assert "greenhouse" in error


def test_the_demo_runs_the_task_that_an_extension_registers_on_its_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    others = tuple(each for each in extension.extensions() if each.name != "simulation")
    monkeypatch.setattr(extension, "extensions", lambda: (*others, GREENHOUSE))
    served: list[Any] = []
    monkeypatch.setattr("promolift.cli.pipeline_commands.run_steps", lambda *_, **__: StepSummary("planned"))
    monkeypatch.setattr("promolift.server.startup.serve_planned", lambda *given: served.append(given[-1]))
    told: list[tuple[str, float, str]] = []
    monkeypatch.setattr(
        "promolift.server.console.console_app.with_console",
        lambda _, play, **__: play(SimpleNamespace(name="s"), lambda *line: told.append(line)),
    )
    assert called(capsys, "demo", "--serve", "--work", str(tmp_path))[0] == 0
    served[0]("app")
    assert told == [("s", 1.0, "watered")]
