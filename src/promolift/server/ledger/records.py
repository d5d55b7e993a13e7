"""Lines of the menu that people write: drafts, what became of them, and every version of the menu that was approved."""

from typing import Any

from sqlalchemy import Connection

from promolift.core.offers.menu import MenuItem
from promolift.server.ledger.things import Thing


class MenuDraft(Thing):
    """A line that somebody wants on the menu: a draft, until they ask for approval (asked) and somebody says yes
    (approved) or no (rejected).
    """

    KIND = "menu_draft"
    line: MenuItem
    status: str
    by: str
    said_by: str = ""
    note: str = ""


class MenuVersion(Thing):
    """The whole menu as somebody approved it: when, and what was changed."""

    KIND = "menu_version"
    menu: tuple[MenuItem, ...]
    by: str
    changed: str
    ts_ms: int


def versions(db: Connection) -> dict[int, MenuVersion]:
    """All of them, the latest first."""
    return dict(sorted(((int(name), each) for name, each in MenuVersion.all(db).items()), reverse=True))


def as_stated(line: MenuItem) -> dict[str, Any]:
    """A line as promolift.toml has it: without what is left at its default."""
    return line.model_dump(mode="json", exclude_defaults=True)
