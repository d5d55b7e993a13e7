"""Nobody meets a dead end: every link and form of the console answers, for every role, in every state of a shop."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest
from console_crawler import Answer, Crawler
from console_helpers import Shop, opened

from promolift.server.console.state.users import ROLES

STATES = ("empty", "planned", "running")
SPOKEN = re.compile(r".{0,60}(?:\bpromolift [a-z]+\b|(?<![\w-])--[a-z][a-z-]+).{0,40}")
QUICK = {("empty", "viewer"), ("empty", "admin"), ("running", "viewer"), ("running", "editor")}


@contextmanager
def shop_in(state: str, folder: Path, tmp_path: Path) -> Iterator[Shop]:
    """A shop of nothing, one with a plan that nobody is served from, and one that decides."""
    if state == "empty":
        with opened(tmp_path / "nothing", None, file=tmp_path / "new" / "promolift.toml") as shop:
            yield shop
    else:
        with opened(folder, demo=state == "running") as shop:
            if state == "running":
                for customer in ("u001", "u002", "u003"):
                    shop.api.decide(customer)
            yield shop


def dead_ends(answers: list[Answer]) -> list[str]:
    """Answers that leave a person without a way on. A form that is refused shows its page again with what is wrong."""
    return [
        f"{each.status} {each.what}: {' '.join(each.page.text.split())[-200:]}"
        for each in answers
        if each.status >= 400 and not each.shown_again
    ]


def command_lines(answers: list[Answer]) -> list[str]:
    """What pages say of the command line, but for the developer's page and the record for a data protection officer,
    who use it or keep it outside of the console.
    """
    found = {
        (each.what.partition("?")[0], match[0])
        for each in answers
        if not any(path in each.what for path in ("/developer", "/governance/record.html"))
        for match in SPOKEN.finditer(" ".join(each.page.text.split()))
    }
    return sorted(f"{what}: {said}" for what, said in found)


@pytest.mark.parametrize(("state", "role"), [
    pytest.param(state, role, marks=() if (state, role) in QUICK else pytest.mark.slow)
    for state in STATES for role in ROLES
])  # fmt: skip
def test_every_link_and_form_answers(
    state: str, role: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where words.jsonl is written
    with shop_in(state, folder, tmp_path) as shop:
        answers = Crawler(shop.person(role), Random(f"{state} {role}"), (f"/people/{role}",)).walk()
    assert len(answers) > 15
    assert "\n".join(dead_ends(answers)) == ""
    assert "\n".join(command_lines(answers)) == ""
