"""A command that a result names is a link to a page of the console; every command of a shop has one."""

import pytest

pytest.importorskip("fastapi")
from cli_verbs import VERBS

from promolift.server.console.pages.command_links import COMMAND_PAGES, mark_commands
from promolift.server.translations import translate_group


def test_every_page_is_one_of_the_navigation_and_every_command_exists() -> None:
    assert set(COMMAND_PAGES.values()) <= set(translate_group("nav"))
    assert set(COMMAND_PAGES) <= {verb.split()[0] for verb in VERBS}


def test_a_command_becomes_a_link_and_all_else_stays_as_written() -> None:
    assert mark_commands("Next: `promolift ingest --again`.") == 'Next: <a href="/console/data">Data</a>.'
    assert mark_commands("set `plan.seed` <b>") == "set <code>plan.seed</code> &lt;b&gt;"
    assert mark_commands("`promolift serve`") == "<code>promolift serve</code>"
