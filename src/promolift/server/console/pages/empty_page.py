"""What a screen shows before it has anything to show: what will stand there, and the one thing to do first."""

from promolift.server.console.pages.context import PageVisit, Screen
from promolift.server.translations import translate_group, translate_key


def unset_screen(visit: PageVisit) -> Screen | None:
    """Return the page of a screen in a shop without settings and releases; None for screens that need neither."""
    asked = visit.click.path
    path = next((each for each in translate_group("empty") if asked == each or asked.startswith(f"{each}/")), None)
    if path is None or visit.server.config is not None or visit.campaign().release:
        return None
    return empty_screen(visit, path, "/data/setup")


def empty_screen(visit: PageVisit, path: str, first: str) -> Screen:
    """Return the page of the screen `path`, which leads to `first`; who may not change anything there is told so."""
    on_data = first.startswith("/data") and not visit.visitor.may("editor")
    data = {
        "will": translate_key("empty", path),
        "first": "/data" if on_data else first,
        "name": translate_key("begin", "look" if on_data else first),
        "job": visit.shared.jobs.running,
    }
    return Screen("empty.html", translate_key("nav", path), data)
