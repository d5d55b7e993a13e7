"""Single sign-on lets in whom an admin invited, by a verified e-mail address, and nobody else."""

import sys
import time
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("authlib")
pytest.importorskip("fastapi")
from console_helpers import CONFIG, HASHED, Person, Shop, opened
from error_checks import raises_code
from joserfc.jwk import RSAKey
from oidc_provider import CLIENT, SECRET, Provider, oidc_provider
from sqlalchemy import select

from promolift.extensions.sso.oidc import SECRET_VARIABLE, is_safe_url
from promolift.foundation.errors import ConfigError
from promolift.server.console.sign_in_methods import MEMORY_MS
from promolift.server.console.state.users import LINK_KIND, add_person, parse_email
from promolift.server.ledger.audit_log import list_records
from promolift.server.ledger.schema import PEOPLE, SESSIONS, Refused

START, BACK = "/sign-in/with/oidc", "/console/sign-in/with/oidc/back"
NOW = int(time.time())


def asked_of(provider: Provider, **more: Any) -> dict[str, Any]:
    """The server's settings of the console."""
    return {"console": {"oidc": {"issuer": provider.url, "client_id": CLIENT} | more}}


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    monkeypatch.setenv(SECRET_VARIABLE, SECRET)
    with oidc_provider() as found:
        yield found


@pytest.fixture
def shop(provider: Provider, tmp_path: Path) -> Iterator[Shop]:
    """A server that has one person with the provider's e-mail address."""
    with opened(tmp_path, **asked_of(provider)) as found:
        person(found, "ann", "editor", "ann@example.com")
        yield found


def person(shop: Shop, name: str, role: Any, email: str | None, password: str = HASHED) -> None:
    def make(db: Any, some: list[None]) -> list[None]:
        add_person(db, 1, "test", name, role, password, email)
        return some

    shop.server.ledger.write(make)


def leave(browser: Person, query: str = "") -> str:
    """Begin to sign in; the address of the provider's page."""
    reply = browser.client.get(f"/console{START}{query}")
    assert reply.status_code == 303, reply.text
    return str(reply.headers["location"])


def come_back(browser: Person, url: str) -> Any:
    return browser.client.get(url.replace("http://shop.test", ""))


def enter(browser: Person, provider: Provider, query: str = "") -> Any:
    return come_back(browser, provider.authorize(leave(browser, query)))


def sessions(shop: Shop) -> list[str]:
    with shop.server.ledger.read() as db:
        return list(db.execute(select(SESSIONS.c.name)).scalars())


def test_a_person_with_the_verified_address_enters_with_their_own_role(shop: Shop, provider: Provider) -> None:
    browser = shop.nobody()
    assert "Sign in with your company account" in browser.get("/sign-in?next=/offers")
    reply = enter(browser, provider, "?next=/offers")
    assert reply.status_code == 200
    assert '<meta http-equiv="refresh" content="0; url=/console/offers">' in reply.text
    cookies = {each.name: each for each in browser.client.cookies.jar}
    assert "promolift_provider" not in cookies
    kept = [header for header in reply.headers.get_list("set-cookie") if header.startswith("promolift_console=")]
    assert "samesite=strict" in kept[0].lower()
    assert "httponly" in kept[0].lower()
    assert browser.json("/account")["role"] == "editor"
    assert browser.json("/account")["name"] == "ann"
    audit = shop.api("GET", "/v1/audit?limit=1000")["data"]
    begun = [row for row in audit if row["action"] == "session.begin" and row["subject"] == "ann"]
    assert "single sign-on" in begun[-1]["new"]
    assert "ann@example.com" not in str(audit)
    browser.get("/account")
    browser.post("/sign-out")
    assert sessions(shop) == []  # the session can be revoked, as any other


def test_the_account_page_says_by_which_address_single_sign_on_knows_a_person(shop: Shop, provider: Provider) -> None:
    browser = shop.nobody()
    enter(browser, provider)
    assert browser.json("/account")["email"] == "ann@example.com"
    assert "Single sign-on knows you by ann@example.com." in unescape(browser.get("/account"))
    without = shop.person("viewer")
    assert without.json("/account")["email"] is None
    assert "No e-mail address of yours is on file" in without.get("/account")
    assert "ann@example.com" not in without.get("/account")


def test_the_request_has_pkce_state_and_nonce_and_asks_for_no_more_than_the_address(
    shop: Shop, provider: Provider
) -> None:
    from urllib.parse import parse_qs, urlsplit

    first, second = (parse_qs(urlsplit(leave(shop.nobody())).query) for _ in range(2))
    assert first["scope"] == ["openid email"]
    assert first["redirect_uri"] == [f"http://shop.test{BACK}"]
    for name in ("state", "nonce", "code_challenge"):
        assert len(first[name][0]) >= 32
        assert first[name] != second[name]


CHEATS: dict[str, dict[str, Any]] = {
    "wrong issuer": {"claims": {"iss": "https://evil.example.com"}},
    "no issuer": {"claims": {"iss": None}},
    "wrong audience": {"claims": {"aud": "another-client"}},
    "two audiences, of another party": {"claims": {"aud": [CLIENT, "other"], "azp": "other"}},
    "wrong nonce": {"claims": {"nonce": "guessed"}},
    "no nonce": {"claims": {"nonce": None}},
    "expired": {"claims": {"exp": NOW - 3600, "iat": NOW - 7200}},
    "no end": {"claims": {"exp": None}},
    "not valid yet": {"claims": {"nbf": NOW + 7200}},
    "made tomorrow": {"claims": {"iat": NOW + 86_400}},
    "no signature": {"alg": "none"},
    "signed by the text of the public key": {"alg": "HS256"},
    "signed by another key": {"signing": RSAKey.generate_key(2048, {"kid": "1"})},
    "unverified address": {"verified": False},
    "verified only in words": {"verified": "true"},
    "no word on the address": {"verified": None},
    "no address": {"email": None},
    "address of somebody else": {"email": "bob@example.com"},
    "two addresses": {"email": ["ann@example.com", "bob@example.com"]},
    "another token of the same access": {"claims": {"at_hash": "wrong"}},
}  # fmt: skip


@pytest.mark.parametrize("name", CHEATS)
def test_no_token_that_is_wrong_in_one_thing_lets_anybody_in(name: str, shop: Shop, provider: Provider) -> None:
    for attribute, value in CHEATS[name].items():
        setattr(provider, attribute, value)
    browser = shop.nobody()
    reply = enter(browser, provider)
    assert reply.status_code == 401, reply.text
    assert 'role="alert"' in reply.text
    assert sessions(shop) == []
    browser.json("/account", 401)


def test_a_state_counts_once_in_its_own_browser_and_for_ten_minutes(shop: Shop, provider: Provider) -> None:
    browser = shop.nobody()
    back = provider.authorize(leave(browser))
    cookie = browser.client.cookies.get("promolift_provider")
    other = shop.nobody()
    assert come_back(other, back).status_code == 401  # no cookie: another browser
    leave(other)
    assert come_back(other, back).status_code == 401  # a cookie of another sign-in
    forged = shop.nobody()
    leave(forged)
    text, _, signature = str(forged.client.cookies.get("promolift_provider")).partition(".")
    forged.client.cookies.set("promolift_provider", f"{text[:-4]}AAAA.{signature}", path="/console/sign-in/with/")
    assert come_back(forged, back).status_code == 401
    assert provider.seen == []  # none of them reached the provider
    assert come_back(browser, back).status_code == 200
    again = shop.nobody()
    again.client.cookies.set("promolift_provider", str(cookie), path="/console/sign-in/with/")
    code = provider.authorize(leave(shop.nobody()))  # a fresh code does not help an old state
    address, query = back.split("?")
    mine = code.partition("?")[2].partition("&")[0]
    fresh = f"{address}?{mine}&{query.partition('&')[2]}"
    assert come_back(again, fresh).status_code == 401
    assert sessions(shop) == ["ann"]


def test_a_completed_sign_in_cannot_be_replayed_though_the_provider_would_answer(
    shop: Shop, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = shop.nobody()
    back = provider.authorize(leave(browser))
    cookie = str(browser.client.cookies.get("promolift_provider"))
    asked = dict(provider.codes)
    assert come_back(browser, back).status_code == 200
    provider.codes |= asked  # a careless provider takes a code twice
    thief = shop.nobody()
    thief.client.cookies.set("promolift_provider", cookie, path="/console/sign-in/with/")
    assert come_back(thief, back).status_code == 401
    assert sessions(shop) == ["ann"]


def test_a_sign_in_ends_after_ten_minutes(shop: Shop, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = shop.nobody()
    back = provider.authorize(leave(browser))
    now_ms = shop.server.clock.now_ms()
    monkeypatch.setattr(shop.server.clock, "now_ms", lambda: now_ms + MEMORY_MS + 1000)
    assert come_back(browser, back).status_code == 401
    assert sessions(shop) == []


@pytest.mark.parametrize(
    "next_", ["https://evil.example.com", "//evil.example.com", "/\\evil.example.com", "javascript:alert(1)"]
)
def test_nobody_is_led_elsewhere(next_: str, shop: Shop, provider: Provider) -> None:
    reply = enter(shop.nobody(), provider, f"?next={next_}")
    assert reply.status_code == 200
    assert "evil" not in reply.text
    assert "alert(1)" not in reply.text
    assert '<meta http-equiv="refresh" content="0; url=/console/' in reply.text


def test_who_was_invited_by_address_becomes_a_person_with_the_role_of_the_invitation(
    shop: Shop, provider: Provider
) -> None:
    provider.email = "Bob.Smith@Example.com"
    assert enter(shop.nobody(), provider).status_code == 401  # nobody invited them
    admin = shop.person("admin")
    admin.get("/people")
    admin.post("/people/invite", 200, role="approver", email="bob.smith@example.com")
    browser = shop.nobody()
    assert enter(browser, provider).status_code == 200
    account = browser.json("/account")
    assert (account["name"], account["role"], account["has_password"]) == ("bob.smith", "approver", False)
    with shop.server.ledger.read() as db:
        assert not [each for each in list_records(db, LINK_KIND).values() if each["kind"] == "invite"]  # used up
    again = shop.nobody()
    assert enter(again, provider).status_code == 200
    assert again.json("/account")["name"] == "bob.smith"


def test_who_was_removed_or_has_lost_the_address_stays_out(shop: Shop, provider: Provider) -> None:
    admin = shop.person("admin")
    admin.get("/people")
    admin.post("/people/ann", what="out")
    assert enter(shop.nobody(), provider).status_code == 401
    admin.get("/people")
    admin.post("/people/ann", what="in")
    inside = shop.nobody()
    assert enter(inside, provider).status_code == 200
    admin.get("/people")
    admin.post("/people/ann", what="email", email="")
    inside.json("/account", 401)  # their sessions ended
    assert enter(shop.nobody(), provider).status_code == 401


def test_an_address_belongs_to_one_person(shop: Shop) -> None:
    admin = shop.person("admin")
    admin.get("/people")
    page = admin.post("/people/viewer", 422, what="email", email="ANN@example.com", back="/people").text
    assert "Another person has this e-mail address" in page
    admin.post("/people/invite", 422, role="viewer", email="ann@example.com", back="/people")
    admin.post("/people/viewer", what="email", email="viewer@example.com")
    with shop.server.ledger.read() as db:
        found = dict(db.execute(select(PEOPLE.c.name, PEOPLE.c.email)).all())
    assert (found["viewer"], found["ann"], found["editor"]) == ("viewer@example.com", "ann@example.com", None)
    for wrong in ("nobody", "a@b@c", "a b@c", "<a>@b"):
        with raises_code("email_invalid", kind=Refused):
            parse_email(wrong)


@pytest.mark.parametrize("fault", [{"down": True}, {"metadata": {"issuer": "https://other.example.com"}},
                                   {"metadata": {"token_endpoint": "http://evil.example.com/token"}}])  # fmt: skip
def test_a_provider_that_does_not_answer_as_it_should_ends_in_a_sentence(
    fault: dict[str, Any], shop: Shop, provider: Provider
) -> None:
    for name, value in fault.items():
        setattr(provider, name, value)
    browser = shop.nobody()
    reply = browser.client.get(f"/console{START}")
    if reply.status_code == 303:
        reply = come_back(browser, provider.authorize(reply.headers["location"]))
    assert reply.status_code == 401
    assert "does not answer as it should" in reply.text
    assert "Password" in reply.text


def test_a_refusal_of_the_provider_is_said(shop: Shop, provider: Provider) -> None:
    browser = shop.nobody()
    state = leave(browser).partition("state=")[2].partition("&")[0]
    reply = browser.client.get(f"{BACK}?error=access_denied&state={state}")
    assert reply.status_code == 401
    assert "did not sign you in" in reply.text


def test_the_button_stands_only_where_a_provider_is_configured(tmp_path: Path) -> None:
    with opened(tmp_path, CONFIG) as shop:
        assert "/sign-in/with/" not in shop.nobody().get("/sign-in")
        reply = shop.nobody().client.get(f"/console{START}")
        assert (reply.status_code, reply.headers["location"]) == (303, "/console/sign-in")


@pytest.mark.parametrize(("wrong", "code"), [({"client_id": ""}, "setting_invalid"),
                                             ({"issuer": "http://login.example.com"}, "setting_invalid")])  # fmt: skip
def test_a_provider_that_cannot_work_ends_the_start(
    wrong: dict[str, str], code: str, provider: Provider, tmp_path: Path
) -> None:
    with raises_code(code, kind=ConfigError), opened(tmp_path, **asked_of(provider, **wrong)):
        pass


def test_a_missing_extra_is_named_at_the_start(
    provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "authlib.oidc.core", None)
    with raises_code("extra_missing", kind=ConfigError), opened(tmp_path, **asked_of(provider)):
        pass


def test_a_secret_goes_by_https_or_to_this_machine() -> None:
    assert all(map(is_safe_url, ["https://login.example.com/x", "http://localhost:8000", "http://127.0.0.1"]))
    assert not any(map(is_safe_url, ["http://login.example.com", "ftp://x", "https://", "https://a:b@c", None, 7]))
