"""Nobody locks anybody else out of the console, guesses without end, or fills the memory by names."""

import random
from pathlib import Path
from typing import Any

import pytest
from console_helpers import PASSWORD, SAME, Person, Shop, opened
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from promolift.server.console import console_app
from promolift.server.console.login import client_address
from promolift.server.console.state import users
from promolift.server.console.state.users import ACCOUNT_TRIES, ORIGIN_TRIES, LoginThrottle, known_browser, new_browser
from promolift.server.settings import ServeSettings

WRONG = "wrong wrong wrong"


def at(shop: Shop, forwarded: str = "", peer: str = "127.0.0.1") -> Person:
    """A browser at an address, behind a proxy of this machine."""
    person = shop.nobody()
    person.client = TestClient(
        shop.app, base_url="http://shop.test", follow_redirects=False, client=(peer, 50000)
    )  # a connection of the proxy's
    if forwarded:
        person.client.headers["x-forwarded-for"] = forwarded
    return person


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords are checked without scrypt, which takes a tenth of a second."""
    monkeypatch.setattr(
        "promolift.server.console.login.verify_password", lambda given, kept: bool(kept) and given == PASSWORD
    )


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("proxies", [[], ["127.0.0.1"]])
def test_wrong_passwords_behind_a_proxy_lock_nobody_out(folder: Path, proxies: list[str]) -> None:
    with opened(folder, console={"proxies": proxies}) as shop:
        held = at(shop, "198.51.100.7").sign_in("admin")
        stranger = at(shop, "203.0.113.9")
        for name in ("admin", "viewer", "nobody") * 10:
            stranger.get("/sign-in")
            status = stranger.client.post(
                "/console/sign-in", data={"token": stranger.token, "name": name, "password": WRONG}, headers=SAME
            ).status_code
            assert status in (401, 429)
        stranger.sign_in("admin", WRONG, 429)
        assert held.json("/account")["name"] == "admin"  # who is in stays in
        at(shop, "198.51.100.8").sign_in("admin")  # from a new browser elsewhere
        at(shop, "203.0.113.9").sign_in("editor")  # from the stranger's own address
        held.post("/account/password", 422, old="nonsense nonsense", new="another horse 9")


@pytest.mark.usefixtures("quick")
def test_who_was_in_before_enters_though_all_tries_are_used(folder: Path) -> None:
    with opened(folder) as shop:
        owner = at(shop).sign_in("admin")
        owner.post("/sign-out")
        stranger = at(shop)
        stranger.get("/sign-in")
        for _ in range(ORIGIN_TRIES + ACCOUNT_TRIES + 3):
            stranger.client.post(
                "/console/sign-in", data={"token": stranger.token, "name": "admin", "password": WRONG}, headers=SAME
            )
        at(shop).sign_in("admin", PASSWORD, 429)  # a guess that is right is not checked any more
        owner.sign_in("admin")
        stranger.client.cookies.set(console_app.BROWSER_COOKIE, "x.y", domain="shop.test", path="/console")
        stranger.sign_in("admin", PASSWORD, 429)


@pytest.mark.usefixtures("quick")
def test_a_header_of_a_stranger_is_not_believed(folder: Path) -> None:
    with opened(folder, console={"proxies": ["10.0.0.0/8"]}) as shop:
        for number in range(ORIGIN_TRIES + 1):
            at(shop, f"198.51.100.{number}", peer="203.0.113.9").sign_in(
                "admin", WRONG, 401 if number < ORIGIN_TRIES else 429
            )


ADDRESSES = st.ip_addresses().map(str) | st.sampled_from(
    ["10.1.2.3", "127.0.0.1", "::1", "unknown", "", "_x", "1.2.3.4:80"]
)


@given(forged=st.lists(ADDRESSES, max_size=4), real=st.ip_addresses(v=4), hops=st.integers(0, 3))
def test_what_a_stranger_writes_never_changes_where_he_comes_from(forged: list[str], real: Any, hops: int) -> None:
    """Law: with trusted proxies appending, the address is the one that the first of them saw, whatever came before."""
    proxies = ServeSettings.parse({"console": {"proxies": ["192.0.2.0/24"]}}, "test").console.proxies
    if any(real in network for network in proxies):
        return
    way = [str(real), *(f"192.0.2.{n + 1}" for n in range(hops))]
    *forwarded, peer = way
    headers = [",".join([*forged, *forwarded])] if hops else forged
    assert client_address(peer, headers, proxies) == str(real)
    assert client_address("203.0.113.5", [*headers], proxies) == "203.0.113.5"


def test_addresses_of_one_house_are_one_origin() -> None:
    assert client_address("2001:db8:1:2:3::4", [], ()) == client_address("2001:db8:1:2:ffff::9", [], ())
    assert client_address("::ffff:192.0.2.1", [], ()) == "192.0.2.1"
    proxies = ServeSettings.parse({"console": {"proxies": ["::1", "127.0.0.1"]}}, "test").console.proxies
    assert client_address("::1", ["[2001:db8::1]:443"], proxies) == "2001:db8::/64"
    assert client_address("testclient", ["1.2.3.4"], proxies) == "testclient"


@settings(deadline=None, max_examples=60)
@given(
    wrong=st.lists(st.tuples(st.sampled_from(["ann", "bob", "ANN"]), st.integers(0, 9)), max_size=300),
    owner=st.sampled_from(["ann", "bob"]), seconds=st.floats(0, 100),
)  # fmt: skip
def test_a_first_try_from_elsewhere_is_always_checked(wrong: list[tuple[str, int]], owner: str, seconds: float) -> None:
    """Law: whatever others tried, a fresh origin is checked at once; and no account is checked more often than
    ORIGIN_TRIES from each origin and ACCOUNT_TRIES in all."""
    now = [0.0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(users, "monotonic", lambda: now[0])
        throttle, checked = LoginThrottle(), dict.fromkeys(("ann", "bob"), 0)
        for name, origin in wrong:
            permit = throttle.begin(name, f"address {origin}")
            checked[name.lower()] += permit.checked
            now[0] += seconds / 300
        assert throttle.begin(owner, "address fresh") == (True, 0.0)
        assert max(checked.values()) <= 10 * ORIGIN_TRIES + ACCOUNT_TRIES + 12


def test_names_and_addresses_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users, "MAX_REMEMBERED", 200)
    throttle, draw = LoginThrottle(), random.Random(1)
    for _ in range(5000):
        throttle.begin(draw.randbytes(8).hex(), draw.randbytes(4).hex())
    assert len(throttle._used) <= 200


def test_a_browser_is_known_to_one_account_and_password() -> None:
    cookie = new_browser("secret", "ann", "salt:hash")
    assert known_browser("secret", "ann", "salt:hash", cookie)
    for secret, name, password, brought in (
        ("other", "ann", "salt:hash", cookie), ("secret", "bob", "salt:hash", cookie),
        ("secret", "ann", "salt:new", cookie), ("secret", "ann", "salt:hash", "x" + cookie),
        ("secret", "ann", "salt:hash", ""), ("secret", "ann", "salt:hash", "é.é"),
    ):  # fmt: skip
        assert known_browser(secret, name, password, brought) is None
