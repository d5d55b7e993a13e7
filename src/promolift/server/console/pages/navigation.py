"""The five places of the console and the pages of each, as far as a visitor may open them."""

from collections.abc import Mapping
from typing import NamedTuple

from promolift.server.translations import translate_key

# In the order in which work goes on. Pages of extensions stand in the last place.
PLACES = {
    "today": ("/",),
    "campaign": ("/plan", "/offers", "/words", "/tests"),
    "customers": ("/customers",),
    "results": ("/results", "/trials", "/live"),
    "setup": ("/data", "/people", "/governance", "/developer"),
}


class Place(NamedTuple):
    """A place of the console: its name, its pages by path, and the path of the page that is shown, "" if none is."""

    name: str
    pages: Mapping[str, str]
    shown: str


def list_places(labels: Mapping[str, str], here: str) -> list[Place]:
    """Arrange the pages that a visitor may open, names by path; `here` is the path that is shown. A place without a
    page is left out.
    """
    own = {path for paths in PLACES.values() for path in paths}
    others = tuple(path for path in labels if path not in own)
    found = []
    for key, paths in PLACES.items():
        all_paths = (*paths, *others) if key == "setup" else paths
        if pages := {path: labels[path] for path in all_paths if path in labels}:
            found.append(Place(translate_key("place", key), pages, next((p for p in pages if _holds(p, here)), "")))
    return found


def _holds(path: str, here: str) -> bool:
    """Whether an address belongs to a page: its own, or one below it."""
    return here == path or (path != "/" and here.startswith(f"{path}/"))
