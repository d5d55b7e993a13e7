"""What people and logs see of a run: bars on a terminal, one line per step elsewhere."""

import ast
import io
import re
import sys
from pathlib import Path

import pytest

import promolift
from promolift.foundation.i18n.formatting import use_locale
from promolift.foundation.i18n.lazy_message import gettext_lazy, render_message
from promolift.foundation.progress import progress_lines, show_progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_without_a_terminal_each_step_is_one_line_as_it_ends(capsys: pytest.CaptureFixture[str]) -> None:
    with show_progress() as tell:
        tell("ingest", 0.0)
        tell("ingest", 0.5, "half of the rows")
        assert capsys.readouterr().err == ""
        tell("ingest", 1.0, "done")
        assert re.fullmatch(r"ingest    done, \d+\.\d s\n", capsys.readouterr().err)
        tell("profile", 0.2)
        tell("encoder", 0.0, "purchases")
        tell("encoder", 1.0, "done")
        tell("profile", 1.0, "done")
        tell("plan", 1.0, "nothing changed")
    told = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in told] == ["encoder   done", "profile   done", "plan      nothing changed"]
    assert [line.endswith(" s") for line in told] == [True, True, False]


def test_a_step_that_never_says_it_is_done_is_told_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_lines() as tell:
        tell("learn", 0.7, "next release")
    assert capsys.readouterr().err.startswith("learn     next release, ")


def test_a_step_that_fails_has_no_line(capsys: pytest.CaptureFixture[str]) -> None:

    def fail() -> None:
        with progress_lines() as tell:
            tell("ingest", 0.5, "half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert capsys.readouterr().err == ""


def test_on_a_terminal_there_is_a_bar_for_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    with show_progress() as tell:
        tell("ingest", 1.0, "done")
        tell("plan", 0.5, "choice within the budget")
    assert "ingest    done" in screen.getvalue()
    assert "━" in screen.getvalue()


def test_in_chinese_steps_and_what_they_say_are_chinese(capsys: pytest.CaptureFixture[str]) -> None:
    with use_locale("zh"), show_progress() as tell:
        tell("ingest", 0.5, gettext_lazy("{accepted} events taken", accepted="1,234"))
        tell("evaluate", 0.2, gettext_lazy("check of {name}", name="purchases"))
        tell("evaluate", 0.5, "something that the catalogue does not hold")
    ingest, evaluate = capsys.readouterr().err.splitlines()
    assert ingest.startswith("读入清洗")
    assert "已收入 1,234 条事件" in ingest
    assert evaluate.startswith("检验")
    assert "something that the catalogue does not hold" in evaluate


def test_all_that_the_steps_of_a_run_say_has_its_chinese() -> None:
    """Read from their sources: the third argument of `job.tell` in the steps and in pipeline.py."""
    package = Path(promolift.__file__).parent
    said = set()
    for path in [*(package / "shop/pipeline/steps").glob("*.py"), package / "shop/pipeline/pipeline.py"]:
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and getattr(call.func, "attr", "") == "tell" and len(call.args) == 3:
                said |= {text for text in _texts(call.args[2]) if re.search("[a-z]{3}", text) and "|" not in text}
    assert len(said) > 15
    with use_locale("zh"):
        assert [text for text in said if render_message(text) == text and not text.endswith(".html")] == []


def _texts(note: ast.expr) -> list[str]:
    if isinstance(note, ast.Constant):
        return [str(note.value)]
    if isinstance(note, ast.Call) and getattr(note.func, "id", "").startswith("gettext"):
        return _texts(note.args[0])
    if isinstance(note, ast.JoinedStr):
        return ["".join(str(part.value) if isinstance(part, ast.Constant) else "7" for part in note.values)]
    return []
