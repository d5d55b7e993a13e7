"""Somebody who is not signed in: a name and password, or a link that works once, in; a session, or why not, out."""

import secrets
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from sqlalchemy import Connection, select

from promolift.console.people import SignIn, begin, check_new, hashed, link_of, matches, new_link, use_link
from promolift.console.state import Console
from promolift.console.visit import Redirect, Reply, Screen
from promolift.hashing import sha256_of
from promolift.serve.server import Server
from promolift.store.ledger_schema import PEOPLE, Refused
from promolift.words import count, pick

DEMO = "demo"
ENTER = "/enter/"


class Newcomer(NamedTuple):
    """A request of somebody unknown. `before` is what their browser keeps until they are signed in."""

    server: Server
    console: Console
    method: str
    path: str
    query: Mapping[str, str]
    form: Mapping[str, str]
    before: str
    address: str
    same_site: bool

    @property
    def token(self) -> str:
        """What a form must bring: only this server knows how it comes from the cookie."""
        return sha256_of(f"form before signing in\n{self.server.secret}\n{self.before}")

    @property
    def trusted(self) -> bool:
        """Whether the form is one of ours, from this browser."""
        given = self.form.get("token", "")
        return self.same_site and secrets.compare_digest(given.encode(), self.token.encode())


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


def enter(arrival: Newcomer) -> Entered:
    """Answer somebody who is not signed in."""
    if arrival.path.startswith(ENTER):
        return _by_link(arrival, arrival.path.removeprefix(ENTER))
    if arrival.path == "/sign-in" and arrival.method == "POST":
        return _by_password(arrival)
    if arrival.path == "/sign-in":
        return Entered(_form(arrival))
    if arrival.method == "POST":
        why = pick("You were signed out. Sign in and repeat it.", "您已退出登录，请重新登录后再操作。")
        return Entered(_form(arrival, why, 401))
    return Entered(Redirect(f"/sign-in?next={quote(arrival.path, safe='')}"))


def onward(path: str) -> str:
    """A path of the console to go on to; anything else is its first page."""
    plain = path.startswith("/") and not path.startswith(("//", "/\\", "/sign-in", ENTER))
    return path if plain and all(c.isalnum() or c in "/-_.~" for c in path) else "/"


def _form(arrival: Newcomer, why: str = "", status: int = 200) -> Screen:
    given = arrival.form.get("next") or arrival.query.get("next", "/")
    data = {"why": why, "next": onward(given), "name": arrival.form.get("name", "")[:40], "form_token": arrival.token}
    return Screen("sign_in.html", pick("Sign in", "登录"), data, status=status)


def _by_password(arrival: Newcomer) -> Entered:
    name, password = arrival.form.get("name", "").strip()[:200], arrival.form.get("password", "")[:1000]
    who, patience = (f"name {name.lower()}", f"address {arrival.address}"), arrival.console.patience
    if not arrival.trusted:
        return Entered(_form(arrival, _foreign(), 403))
    if wait_s := patience.wait_s(*who):
        return Entered(_form(arrival, _wait(wait_s), 429))
    with arrival.server.ledger.read() as db:
        row = db.execute(select(PEOPLE).where(PEOPLE.c.name == name)).mappings().first()
    if not matches(password, row["password"] if row and not row["gone"] else ""):
        patience.wrong(*who)
        why = pick("Name or password is wrong.", "姓名或密码不正确。")
        return Entered(_form(arrival, why, 401))
    patience.right(*who)
    found = _session(arrival, lambda db, now_ms: begin(db, now_ms, name, "password"))
    return Entered(Redirect(onward(arrival.form.get("next", "/"))), found)


def _by_link(arrival: Newcomer, secret: str) -> Entered:
    with arrival.server.ledger.read() as db:
        link = link_of(db, secret, arrival.server.clock.now_ms())
    if link is None:
        why = pick(
            "This link was used already or is too old. Sign in, or ask an admin for another one.",
            "该链接已使用或已过期。请登录，或向管理员索取新链接。",
        )
        return Entered(_form(arrival, why, 410))
    demo = link["kind"] == DEMO
    if arrival.method != "POST":
        return Entered(_welcome(arrival, demo, link["role"]))
    if not arrival.trusted:
        return Entered(_welcome(arrival, demo, link["role"], _foreign(), 403))
    name, password = arrival.form.get("name", "").strip(), arrival.form.get("password", "")
    try:
        if demo:
            name, kept = DEMO, ""
        else:
            check_new(name, password)
            kept = hashed(password)
        return Entered(Redirect("/"), _session(arrival, lambda db, now_ms: use_link(db, now_ms, secret, name, kept)))
    except Refused as refused:
        return Entered(_welcome(arrival, demo, link["role"], str(refused), 422))


def _welcome(arrival: Newcomer, demo: bool, role: str, why: str = "", status: int = 200) -> Screen:
    data = {
        "why": why,
        "demo": demo,
        "role": role,
        "name": arrival.form.get("name", "")[:40],
        "form_token": arrival.token,
        "path": arrival.path,
    }
    return Screen("welcome.html", pick("Welcome", "欢迎"), data, status=status)


def _session(arrival: Newcomer, do: Any) -> SignIn:
    def doing(db: Connection, some: list[None]) -> list[SignIn]:
        return [do(db, arrival.server.clock.now_ms()) for _ in some]

    found: SignIn = arrival.server.ledger.write(doing)
    return found


def _foreign() -> str:
    return pick(
        "This form is too old or comes from another page. Try once more.", "表单已过期或来自其他页面，请再试一次。"
    )


def _wait(wait_s: float) -> str:
    seconds = count(wait_s + 0.5)
    return pick(f"Too many wrong tries. Wait {seconds} seconds.", f"错误次数过多，请等待{seconds}秒。")
