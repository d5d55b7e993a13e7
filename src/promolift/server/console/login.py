"""Sign a user in with a name and password, or with a link that works once."""

from collections.abc import Collection, Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from secrets import token_urlsafe
from typing import Any, NamedTuple
from urllib.parse import quote

from sqlalchemy import Connection, select

from promolift.foundation.hashing import sha256_of
from promolift.foundation.i18n.catalogue import current_locale, gettext
from promolift.foundation.i18n.formatting import count
from promolift.server.api.server import Server
from promolift.server.console.pages.context import (
    INVITATION_PATH,
    Click,
    Redirect,
    Reply,
    Screen,
    safe_redirect_path,
    sentence,
)
from promolift.server.console.sign_in_methods import (
    BACK,
    MEMORY_MS,
    METHOD_PATH,
    SignInMemory,
    SignInMethod,
    read_memory,
    sign_in_methods,
)
from promolift.server.console.state.console_state import Console
from promolift.server.console.state.users import (
    SignIn,
    check_new,
    create_link,
    enter_by_email,
    hash_password,
    known_browser,
    load_link,
    new_browser,
    start_session,
    use_link,
    verify_password,
)
from promolift.server.ledger.schema import PEOPLE, Refused
from promolift.server.translations import translate_refusal

DEMO_USER = "demo"
MAX_NAME = 40  # characters of a name, as NAME_PATTERN has them


class LoginAttempt(NamedTuple):
    """A request without a session. `before` is a cookie that the browser sends until the user signs in, `browser` one
    that it got when somebody did."""

    server: Server
    console: Console
    click: Click
    before: str
    browser: str = ""
    memory: str = ""  # a cookie of a sign-in by a provider that is under way

    @property
    def token(self) -> str:
        """What a form must bring: only this server knows how it comes from the cookie."""
        return sha256_of(f"form before signing in\n{self.server.secret}\n{self.before}")


class LoginResult(NamedTuple):
    """The reply, and the session if one began, with a cookie by which the browser is known again.

    `leave` is the page of a provider that the browser goes to, with `memory` as a cookie.
    """

    reply: Reply
    sign_in: SignIn | None = None
    browser: str = ""
    leave: str = ""
    memory: str = ""


def client_address(peer: str, forwarded: Iterable[str], proxies: Collection[IPv4Network | IPv6Network]) -> str:
    """Return where a request comes from: the last address on its way that is no trusted proxy's (IPv6: its /64).

    `forwarded` are the headers X-Forwarded-For, which anybody can send: only what a trusted proxy added is believed.
    """
    found: IPv4Address | IPv6Address | None = None
    for text in reversed([*",".join(forwarded).split(","), peer]):
        plain = text.strip()
        plain = plain[1:].partition("]")[0] if plain.startswith("[") else plain
        plain = plain.partition(":")[0] if plain.count(":") == 1 else plain
        try:
            address = ip_address(plain)
        except ValueError:
            break
        found = getattr(address, "ipv4_mapped", None) or address
        if not any(found in network for network in proxies):
            break
    if isinstance(found, IPv6Address):
        return str(IPv6Network((int(found) >> 64 << 64, 64)))
    return str(found or peer)


def first_login_path(server: Server, demo: bool) -> str | None:
    """Return the path of the first user's sign-in link; None if users exist. A demo link needs no password."""

    def make(db: Connection, some: list[None]) -> list[str | None]:
        now_ms = server.clock.now_ms()
        if db.execute(select(PEOPLE.c.name).where(PEOPLE.c.password != "")).first():
            return [None for _ in some]
        return [
            f"/console{INVITATION_PATH}{create_link(db, now_ms, 'setup', DEMO_USER if demo else 'first')}" for _ in some
        ]

    found: str | None = server.ledger.write(make)
    return found


def log_in(arrived: LoginAttempt) -> LoginResult:
    """Answer a request without a session."""
    path, posted = arrived.click.path, arrived.click.method == "POST"
    if path.startswith(INVITATION_PATH):
        return _by_link(arrived, path.removeprefix(INVITATION_PATH))
    if path == "/sign-in":
        return _by_password(arrived) if posted else _form(arrived)
    if path.startswith(METHOD_PATH) and not posted:
        return _by_method(arrived, *path.removeprefix(METHOD_PATH).partition("/")[::2])
    if posted:
        return _form(arrived, sentence("signed_out"), 401)
    return LoginResult(Redirect(f"/sign-in?next={quote(arrived.click.page_address, safe='')}"))


def _form(arrived: LoginAttempt, why: str = "", status: int = 200) -> LoginResult:
    asked = arrived.click
    methods = [{"path": f"{METHOD_PATH}{each.name}", "label": each.label} for each in _methods(arrived)]
    data = {"why": why, "next": safe_redirect_path(asked.form.get("next") or asked.query.get("next", "/")),
            "name": asked.form.get("name", "")[:40], "form_token": arrived.token,
            "methods": methods}  # fmt: skip
    return LoginResult(Screen("sign_in.html", gettext("Sign in"), data, status=status))


def _by_password(arrived: LoginAttempt) -> LoginResult:
    form, patience, secret = arrived.click.form, arrived.console.patience, arrived.server.secret
    name, password = form.get("name", "").strip()[:MAX_NAME], form.get("password", "")[:1000]
    if not arrived.click.trusted(arrived.token):
        return _form(arrived, sentence("form_foreign"), 403)
    with arrived.server.ledger.read() as db:
        row = db.execute(select(PEOPLE).where(PEOPLE.c.name == name)).mappings().first()
    kept = row["password"] if row and not row["gone"] else ""
    browser = known_browser(secret, name, kept, arrived.browser) if kept else None
    origin = f"browser {browser}" if browser else f"address {arrived.click.address}"
    permit = patience.begin(name, origin)
    if not (permit.checked and verify_password(password, kept)):
        if permit.wait_s:
            return _form(arrived, sentence("wait", seconds=count(permit.wait_s + 0.5)), 429)
        return _form(arrived, sentence("sign_in_wrong"), 401)
    patience.reset(name, origin)
    found = _session(arrived, lambda db, now_ms: start_session(db, now_ms, name, "password"))
    return LoginResult(Redirect(safe_redirect_path(form.get("next", "/"))), found, new_browser(secret, name, kept))


def _methods(arrived: LoginAttempt) -> list[SignInMethod]:
    return sign_in_methods(arrived.server.settings)


def _by_method(arrived: LoginAttempt, name: str, step: str) -> LoginResult:
    """Leave for a provider, or come back from it."""
    click, server, now_ms = arrived.click, arrived.server, arrived.server.clock.now_ms()
    method = next((each for each in _methods(arrived) if each.name == name), None)
    if method is None or step not in ("", BACK):
        return LoginResult(Redirect("/sign-in"))
    back_url = f"{click.origin}/console{METHOD_PATH}{name}/{BACK}"
    try:
        if step != BACK:
            state = token_urlsafe(24)
            start = method.begin(back_url, state)
            then = safe_redirect_path(click.query.get("next", "/"))
            memory = SignInMemory(name, state, now_ms, then, start.memory)
            return LoginResult(Redirect("/"), leave=start.url, memory=memory.to_cookie(server.secret))
        found = read_memory(server.secret, arrived.memory)
        if found is None or not found.is_answered_by(click.query, name, now_ms):
            raise translate_refusal("sign_in_stale")
        language = current_locale()
        email = method.finish(click.query, found.own, back_url, now_ms // 1000)
        session = _session(arrived, lambda db, ms: enter_by_email(db, ms, email, found.mark, MEMORY_MS, language))
    except Refused as refused:
        return _form(arrived, str(refused), 401)
    return LoginResult(Screen("entering.html", gettext("Sign in"), {"path": found.next}), session)


def _by_link(arrived: LoginAttempt, secret: str) -> LoginResult:
    with arrived.server.ledger.read() as db:
        link = load_link(db, secret, arrived.server.clock.now_ms())
    if link is None:
        return _form(arrived, sentence("link_gone"), 410)
    demo, form = link["kind"] == DEMO_USER, arrived.click.form

    def welcome(why: str = "", status: int = 200) -> LoginResult:
        data = {"why": why, "demo": demo, "role": link["role"], "name": form.get("name", "")[:40],
                "form_token": arrived.token, "path": arrived.click.path}  # fmt: skip
        return LoginResult(Screen("welcome.html", gettext("Welcome"), data, status=status))

    if arrived.click.method != "POST":
        return welcome()
    if not arrived.click.trusted(arrived.token):
        return welcome(sentence("form_foreign"), 403)
    name, password = (DEMO_USER, "") if demo else (form.get("name", "").strip(), form.get("password", ""))
    language = current_locale()
    try:
        if not demo:
            check_new(name, password)
            password = hash_password(password)
        found = _session(arrived, lambda db, ms: use_link(db, ms, secret, name, password, language))
        browser = "" if demo else new_browser(arrived.server.secret, name, password)
        return LoginResult(Redirect("/"), found, browser)
    except Refused as refused:
        return welcome(str(refused), 422)


def _session(arrived: LoginAttempt, do: Any) -> SignIn:
    def doing(db: Connection, some: list[None]) -> list[SignIn]:
        return [do(db, arrived.server.clock.now_ms()) for _ in some]

    found: SignIn = arrived.server.ledger.write(doing)
    return found
