"""A server with the console over a drawn shop, and people who click in it without a browser."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from html import unescape
from pathlib import Path
from typing import Any

from planned_shop import shop_config
from serve_helpers import Api
from sqlalchemy import select
from starlette.testclient import TestClient
from told_shop import SHOPS

from promolift.extensions.simulation.demo_history import play_history
from promolift.extensions.simulation.demo_play import is_play_due, play_aside
from promolift.foundation.progress import Progress
from promolift.server.api.app import create
from promolift.server.api.server import Server
from promolift.server.console.console_app import with_console
from promolift.server.console.state.users import ROLES, add_person, hash_password
from promolift.server.ledger.schema import PEOPLE
from promolift.server.settings import ServeSettings
from promolift.shop.configuration.configuration import Config

PASSWORD = "correct horse 7"
HASHED = hash_password(PASSWORD)
SAME = {"sec-fetch-site": "same-origin"}
CONFIG = shop_config(**SHOPS["dollars"])


class Person:
    """A browser of one person: cookies, and the token of the last page."""

    def __init__(self, app: Any, language: str = "en") -> None:
        self.client = TestClient(app, base_url="http://shop.test", follow_redirects=False)
        self.client.headers["accept-language"] = language
        self.token = ""

    def get(self, path: str, status: int = 200) -> str:
        """A page, its token kept apart: a test that reads the page must not find words in a random text."""
        reply = self.client.get(f"/console{path}")
        assert reply.status_code == status, (reply.status_code, path, reply.text[-2000:])
        if found := re.search(r'name="token" value="([^"]+)"', reply.text):
            self.token = unescape(found[1])
            return reply.text.replace(found[1], "token")
        return reply.text

    def json(self, path: str, status: int = 200) -> Any:
        """The same page for a program."""
        reply = self.client.get(f"/console{path}{'&' if '?' in path else '?'}format=json")
        assert reply.status_code == status, reply.text
        return reply.json()

    def post(self, path: str, status: int = 303, **form: str) -> Any:
        """Send a form with the token of the last page."""
        reply = self.client.post(f"/console{path}", data={"token": self.token} | form, headers=SAME)
        assert reply.status_code == status, (reply.status_code, path, reply.text[-2000:])
        return reply

    def send(self, path: str, file: Path, status: int = 200, size: int = 1_000_000, **about: str) -> Any:
        """A file, in pieces of `size` bytes, as the script of the page sends it."""
        content, said = file.read_bytes(), {}
        headers = SAME | {"content-type": "application/octet-stream", "x-token": self.token}
        for at in range(0, len(content), size):
            asked = {"name": file.name, "at": at, "size": len(content), "format": "json"} | about
            piece = content[at : at + size]
            reply = self.client.post(f"/console{path}", params=asked, content=piece, headers=headers)
            assert reply.status_code == status, (reply.status_code, reply.text[-2000:])
            said = reply.json()
        return said

    def sign_in(self, name: str, password: str = PASSWORD, status: int = 303) -> "Person":
        """By name and password."""
        self.get("/sign-in")
        self.post("/sign-in", status, name=name, password=password)
        if status == 303:
            self.get("/account")
        return self


def page_form(page: dict[str, Any]) -> dict[str, str]:
    """The form of the page as a browser sends it where nobody has touched it."""
    form = {each["key"]: each["default"] for each in page["sheets"]}
    if page["together"] is not None:
        form["together"] = "yes" if page["together"] else "no"
    if (reading := page["reading"]) is None:
        return form
    for question, value in (*reading["questions"], *reading["closing"]):
        form[question["key"]] = value
        if question["key"].startswith("columns."):
            form[f"guess.{question['key']}"] = question["default"]
    for table in reading["tables"]:
        for row in table["rows"] if table["may_change"] else ():
            form |= {row["key"]: row["column"], f"guess.{row['key']}": row["guess"]}
    for name in ("currency", "languages"):
        if reading[name]:
            form |= {name: reading[name][0], f"guess.{name}": reading[name][1]}
    return form


def set_up(person: Person, *files: Path) -> None:
    """Send the files of a new shop, named after their tables, and use what was understood."""
    for file in files:
        person.send("/data/setup/upload", file, table=file.stem)
    form = page_form(person.json("/data/setup"))
    person.post("/data/setup/use", **form | ({"consent": "no"} if "consent" in form else {}))


class Shop:
    """The server, its app with the console, and a person of each role."""

    def __init__(self, app: Any, client: TestClient, first_path: str | None) -> None:
        self.app, self.server, self.first_path = app, app.server, first_path
        self.api = Api(client, app.server.first_key or "")

        def make(db: Any, some: list[None]) -> list[None]:
            known = set(db.execute(select(PEOPLE.c.name)).scalars())
            for role in {*ROLES} - known:
                add_person(db, 1, "test", role, role, HASHED)
            return some

        self.server.ledger.write(make)

    def person(self, name: str = "admin") -> Person:
        """Signed in."""
        return Person(self.app).sign_in(name)

    def nobody(self, language: str = "en") -> Person:
        """Not signed in."""
        return Person(self.app, language)


def play_demo_history(server: Server, tell: Progress) -> None:
    """The demo's weeks, where they are due, played in this process."""
    config = server.config
    if config is not None and is_play_due(server):
        play_aside(server, config, lambda work, excluded: play_history(work, config, server.settings, excluded, tell))


@contextmanager
def opened(
    folder: Path, config: Config | None = CONFIG, demo: bool = False, file: Path | None = None, play: Any = None,
    start: Any = None, **more: Any,
) -> Iterator[Shop]:  # fmt: skip
    """A server with the console over a work folder; `file` is promolift.toml, or where it would be. `play` is told of
    weeks that are played first; `start` is called with the server.
    """
    app = create(ServeSettings.parse({"work": folder, "deadline_ms": 20_000} | more, "test"), config)
    made = with_console(app, demo, file, partial(play_demo_history, tell=play) if play else start)
    with TestClient(made.app, raise_server_exceptions=True) as client:
        yield Shop(made.app, client, made.first_path)
