"""What people and logs see of a run: bars on a terminal, one line per step elsewhere."""

import io
import re
import sys

import pytest

from promolift.progress import lines, showing


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_without_a_terminal_each_step_is_one_line_as_it_ends(capsys: pytest.CaptureFixture[str]) -> None:
    with showing() as tell:
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
    with lines() as tell:
        tell("learn", 0.7, "next release")
    assert capsys.readouterr().err.startswith("learn     next release, ")


def test_a_step_that_fails_has_no_line(capsys: pytest.CaptureFixture[str]) -> None:

    def fail() -> None:
        with lines() as tell:
            tell("ingest", 0.5, "half")
            raise ValueError("rows")

    with pytest.raises(ValueError, match="rows"):
        fail()
    assert capsys.readouterr().err == ""


def test_on_a_terminal_there_is_a_bar_for_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    with showing() as tell:
        tell("ingest", 1.0, "done")
        tell("plan", 0.5, "choice within the budget")
    assert "ingest    done" in screen.getvalue()
    assert "━" in screen.getvalue()
