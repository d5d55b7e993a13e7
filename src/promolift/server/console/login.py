"""Somebody who is not signed in: a name and password, or a link that works once, in; a session, or why not, out."""

from typing import Any, NamedTuple
from urllib.parse import quote

from sqlalchemy import Connection, select

from promolift.foundation.hashing import sha256_of
from promolift.foundation.i18n.formatting import count, pick
from promolift.server.api.server import Server
from promolift.server.console.pages.context import ENTER, Click, Redirect, Reply, Screen, onward, say
from promolift.server.console.state.console_state import Console
from promolift.server.console.state.users import SignIn, begin, check_new, hashed, link_of, matches, new_link, use_link
from promolift.server.ledger.schema import PEOPLE, Refused

DEMO = "demo"


class Newcomer(NamedTuple):
    """A request of somebody unknown. `before` is what their browser keeps until they are signed in."""

    server: Server
    console: Console
    click: Click
    before: str

    @property
    def token(self) -> str:
        """What a form must bring: only this server knows how it comes from the cookie."""
        return sha256_of(f"form before signing in\n{self.server.secret}\n{self.before}")


class Entered(NamedTuple):
    """What they see, and the session if one began."""

    reply: Reply
    sign_in: SignIn | None = None


def first_path(server: Server, demo: bool) -> str | None:
    """The path of the link for the first person; None where there are people. For a demo it asks for no password."""

    def make(db: Connection, some: list[None]) -> list[str | None]:
        now_ms = server.clock.now_ms()
        if db.execute(select(PEOPLE.c.name).where(PEOPLE.c.password != "")).first():
            return [None for _ in some]
        return [f"/console{ENTER}{new_link(db, now_ms, 'setup', DEMO if demo else 'first')}" for _ in some]

    found: str | None = server.ledger.write(make)
    return found


def enter(arrived: Newcomer) -> Entered:
    """Answer somebody who is not signed in."""
    path, posted = arrived.click.path, arrived.click.method == "POST"
    if path.startswith(ENTER):
        return _by_link(arrived, path.removeprefix(ENTER))
    if path == "/sign-in":
        return _by_password(arrived) if posted else _form(arrived)
    if posted:
        return _form(arrived, say("signed_out"), 401)
    return Entered(Redirect(f"/sign-in?next={quote(path, safe='')}"))


def _form(arrived: Newcomer, why: str = "", status: int = 200) -> Entered:
    asked = arrived.click
    data = {"why": why, "next": onward(asked.form.get("next") or asked.query.get("next", "/")),
            "name": asked.form.get("name", "")[:40], "form_token": arrived.token}  # fmt: skip
    return Entered(Screen("sign_in.html", pick("Sign in", "登录"), data, status=status))


def _by_password(arrived: Newcomer) -> Entered:
    form, patience = arrived.click.form, arrived.console.patience
    name, password = form.get("name", "").strip()[:200], form.get("password", "")[:1000]
    who = f"name {name.lower()}", f"address {arrived.click.address}"
    if not arrived.click.trusted(arrived.token):
        return _form(arrived, say("form_foreign"), 403)
    if wait_s := patience.wait_s(*who):
        return _form(arrived, say("wait", seconds=count(wait_s + 0.5)), 429)
    with arrived.server.ledger.read() as db:
        row = db.execute(select(PEOPLE).where(PEOPLE.c.name == name)).mappings().first()
    if not matches(password, row["password"] if row and not row["gone"] else ""):
        patience.wrong(*who)
        return _form(arrived, say("sign_in_wrong"), 401)
    patience.right(*who)
    found = _session(arrived, lambda db, now_ms: begin(db, now_ms, name, "password"))
    return Entered(Redirect(onward(form.get("next", "/"))), found)


def _by_link(arrived: Newcomer, secret: str) -> Entered:
    with arrived.server.ledger.read() as db:
        link = link_of(db, secret, arrived.server.clock.now_ms())
    if link is None:
        return _form(arrived, say("link_gone"), 410)
    demo, form = link["kind"] == DEMO, arrived.click.form

    def welcome(why: str = "", status: int = 200) -> Entered:
        data = {"why": why, "demo": demo, "role": link["role"], "name": form.get("name", "")[:40],
                "form_token": arrived.token, "path": arrived.click.path}  # fmt: skip
        return Entered(Screen("welcome.html", pick("Welcome", "欢迎"), data, status=status))

    if arrived.click.method != "POST":
        return welcome()
    if not arrived.click.trusted(arrived.token):
        return welcome(say("form_foreign"), 403)
    name, password = (DEMO, "") if demo else (form.get("name", "").strip(), form.get("password", ""))
    try:
        if not demo:
            check_new(name, password)
            password = hashed(password)
        return Entered(Redirect("/"), _session(arrived, lambda db, ms: use_link(db, ms, secret, name, password)))
    except Refused as refused:
        return welcome(str(refused), 422)


def _session(arrived: Newcomer, do: Any) -> SignIn:
    def doing(db: Connection, some: list[None]) -> list[SignIn]:
        return [do(db, arrived.server.clock.now_ms()) for _ in some]

    found: SignIn = arrived.server.ledger.write(doing)
    return found
