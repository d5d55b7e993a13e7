"""Every verb takes --config and --json, and everything that can be typed has help."""

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from cli_verbs import VERBS, Command
from typer.core import TyperOption

from promolift.cli.application import main
from promolift.foundation.progress import StepSummary


def options(command: Command) -> list[TyperOption]:
    return [each for each in command.params if isinstance(each, TyperOption)]


def test_the_walk_finds_verbs_groups_and_their_verbs() -> None:
    assert {"run", "effect", "effect fit", "learn", "learn approve", "learn reject", "learn show"} <= set(VERBS)
    assert len(VERBS) > 18


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_takes_config_and_json(name: str) -> None:
    found = {flag: option for option in options(VERBS[name]) for flag in option.opts}
    assert {"--config", "-c", "--json"} <= set(found)
    assert found["--config"] is found["-c"]
    assert found["--json"].is_flag
    assert not found["--config"].hidden
    assert not found["--json"].hidden


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_and_all_that_it_takes_has_help(name: str) -> None:
    command = VERBS[name]
    assert command.help
    for each in command.params:
        assert getattr(each, "help", None), f"{name}: {each.name}"


def test_the_same_option_means_the_same_in_every_verb() -> None:
    short: dict[str, set[str]] = {}
    for command in VERBS.values():
        for option in options(command):
            long = next(flag for flag in option.opts if flag.startswith("--"))
            for flag in option.opts:
                if not flag.startswith("--"):
                    short.setdefault(flag, set()).add(long)
    assert {flag: names for flag, names in short.items() if len(names) > 1} == {}


Capture = pytest.CaptureFixture[str]
TRIAL = "id,letter,bought,age\n" + "".join(
    f"c{n},{'yes' if n % 2 else 'no'},{n % 3 % 2},{20 + n % 41}\n" for n in range(600)
)


def call(capsys: Capture, *arguments: str) -> tuple[int, str, str]:
    """A verb's exit code, its stdout and its stderr."""
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    out, err = capsys.readouterr()
    return int(end.value.code or 0), out, err


def test_init_says_as_json_what_it_found(tmp_path: Path, capsys: Capture) -> None:
    events = tmp_path / "e.csv"
    events.write_text("user,time,item,price\nu1,2024-03-01 10:00:00,p1,3\nu2,2024-03-02 10:00:00,p2,4\n", "utf-8")
    config = tmp_path / "promolift.toml"
    code, out, _ = call(capsys, "init", "--events", str(events), "--config", str(config), "--json")
    told = json.loads(out)
    assert (code, told["config"], told["step"]) == (0, str(config), "init")
    assert told["tables"][0]["columns"]["customer_id"] == ["user"]
    assert "text" not in told


@pytest.fixture
def trial(tmp_path: Path, capsys: Capture) -> list[str]:
    """A fitted trial's work folder, as options; trial.toml beside it is what it was fitted with."""
    (tmp_path / "t.csv").write_text(TRIAL, "utf-8")
    settings = '[trial]\ntreatment = "letter"\ncontrol = "no"\nrates = ["bought"]\nplanned = "equal"\n'
    (tmp_path / "trial.toml").write_text(settings, "utf-8")
    (tmp_path / "other.toml").write_text(settings.replace('"bought"', '"bought", "age"'), "utf-8")
    (tmp_path / "none.toml").write_text("[shop]\n", "utf-8")
    work = ["--work", str(tmp_path / "work")]
    for option in ("--config", "--settings"):  # the former name still works
        code, out, err = call(capsys, "effect", "fit", str(tmp_path / "t.csv"), option, str(tmp_path / "trial.toml"),
                              "--json", *work)  # fmt: skip
        assert code == 0, err
        assert json.loads(out)["settings"]["treatment"] == "letter"
    return work


def test_the_verbs_of_a_trial_hold_to_what_it_was_fitted_with(
    tmp_path: Path, capsys: Capture, trial: list[str]
) -> None:
    for verb in ("explain", "evaluate", "report"):
        out = ["--out", str(tmp_path / "out")] if verb == "report" else []
        at = ["effect", verb, *trial, *out, "--json", "--config"]
        code, told, err = call(capsys, *at, str(tmp_path / "trial.toml"))
        assert (code, isinstance(json.loads(told), dict)) == (0, True), err
        code, told, err = call(capsys, *at, str(tmp_path / "other.toml"))
        assert (code, told) == (2, "")
        assert "trial.rates" in err
        assert "promolift effect fit" in err
        assert "[result_outdated]" in err
        err = call(capsys, *at, str(tmp_path / "none.toml"))[2]
        assert "none.toml" in err
        assert "[trial]" in err
        assert "[setting_missing]" in err


def test_a_simulation_reads_its_part_and_options_go_before_it(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[Any] = []

    def stop(settings: Any, *_: object) -> None:
        taken.append(settings)
        raise KeyboardInterrupt

    monkeypatch.setattr("promolift.extensions.simulation.offline.simulate_both", stop)
    file = tmp_path / "loop.toml"
    file.write_text("[simulate]\nmonths = 3\nmargin = 0.2\n", "utf-8")
    for more in ([], ["--config", str(file)], ["--config", str(file), "--months", "5"]):
        assert call(capsys, "simulate", "--out", str(tmp_path / "out"), *more)[0] == 130
    assert [(each.months, each.customers, each.margin) for each in taken] == [
        (4, 1500, 0.3), (3, 1500, 0.2), (5, 1500, 0.2),
    ]  # fmt: skip
    file.write_text("[simulate]\nmonht = 3\n", "utf-8")
    err = call(capsys, "simulate", "--config", str(file))[2]
    assert "'months'" in err
    assert "[setting_unknown]" in err
    file.write_text("[trial]\n", "utf-8")
    err = call(capsys, "simulate", "--config", str(file))[2]
    assert "[simulate]" in err
    assert "[setting_missing]" in err


def test_a_demo_with_settings_of_ones_own_runs_on_them(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('[data]\nsource = "complete-journey"\n[shop]\nname = "Mine"\n', "utf-8")
    names: list[str] = []
    monkeypatch.setattr(
        "promolift.shop.pipeline.pipeline.run_steps",
        lambda job, *_: names.append(job.config.shop.name) or StepSummary(""),
    )
    for more in ([], ["--config", str(file)]):
        assert call(capsys, "demo", "--work", str(tmp_path / "work"), *more)[0] == 0
    assert names[1] == "Mine" != names[0]
    code, _, err = call(capsys, "demo", "--data", "hillstrom", "--path", "x.csv", "--config", str(file))
    assert (code, "--config" in err, "[option_conflict]" in err) == (2, True, True)


def test_a_verb_speaks_the_language_of_its_shop(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shop = '[data]\nsource = "complete-journey"\n[shop]\nlanguages = ["{}"]\n'
    verbs = ("doctor", "next", "learn show", "learn approve", "migrate", "erase c-1", "words draft",
             "words export w.csv", "privacy", "profile")  # fmt: skip
    for language, wanted in (("zh", True), ("en", False)):
        (tmp_path / "promolift.toml").write_text(shop.format(language), "utf-8")
        for verb in verbs:
            with suppress(SystemExit):
                main(verb.split())
            said = capsys.readouterr().err.strip()
            lines = [line for line in said.splitlines() if line.strip() and not line.startswith("promolift 0")]
            assert lines, verb
            heard = [bool(re.search("[\u4e00-\u9fff]", line)) for line in lines]
            assert all(heard) if wanted else not any(heard), (verb, said)
    (tmp_path / "promolift.toml").write_text("[shop", "utf-8")
    with pytest.raises(SystemExit):
        main(["next"])
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.endswith(" [file_unreadable]\n")
