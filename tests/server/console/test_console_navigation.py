"""Five places hold every page once, and the page that is shown is marked in its place alone."""

import re
from pathlib import Path

import pytest

pytest.importorskip("fastapi")
from console_helpers import opened
from hypothesis import given
from hypothesis import strategies as st

from promolift.server.console.pages.navigation import PLACES, list_places
from promolift.server.translations import translate_group

PAGES = translate_group("nav")
CURRENT = re.compile(r'<a href="/console([^"]*)" aria-current="([a-z]+)"')


def test_every_page_of_the_navigation_has_one_place() -> None:
    placed = [path for paths in PLACES.values() for path in paths]
    assert sorted(placed) == sorted(PAGES)
    assert len(PLACES) == 5


@given(
    names=st.sets(st.sampled_from([*PAGES, "/loyalty", "/loyal"])),
    here=st.sampled_from([*PAGES, "/loyalty", "/words/review", "/customers/one", "/planning", "/account", ""]),
)
def test_a_page_that_may_be_opened_is_listed_once_and_only_the_page_that_is_shown_is_marked(
    names: set[str], here: str
) -> None:
    places = list_places({path: path for path in names}, here)
    listed = [path for place in places for path in place.pages]
    assert sorted(listed) == sorted(names)
    assert all(place.pages for place in places)
    shown = [place.shown for place in places if place.shown]
    owner = [path for path in names if here == path or (path != "/" and here.startswith(f"{path}/"))]
    assert shown == owner


def test_a_screen_marks_its_place_and_its_page(folder: Path) -> None:
    with opened(folder) as found:
        for role, pages in (("admin", set(PAGES)), ("viewer", set(PAGES) - {"/people"})):
            person = found.person(role)
            for path in pages:
                page = person.get(path)
                marked = CURRENT.findall(page.partition("<main")[0])  # filters of a page mark themselves, too
                alone = path in ("/", "/customers")
                assert [at for at, kind in marked if kind == "page"] == [path], (role, path)
                assert len([kind for _, kind in marked if kind == "true"]) == (0 if alone else 1), (role, path)
            assert ('href="/console/people"' in person.get("/data")) == (role == "admin")
