"""Who comes in and who does not: links, passwords, sessions, roles, forms of other pages, headers, keys and cookies."""

import re
from pathlib import Path

import pytest
from console_helpers import PASSWORD, SAME, Shop, opened
from sqlalchemy import select

from promolift.server.console.console_app import SESSION_COOKIE
from promolift.server.console.pages.view import CONTENT_SECURITY_POLICY
from promolift.server.console.screens import SCREENS
from promolift.server.console.state.users import ROLES
from promolift.server.ledger.schema import AUDIT, SESSIONS

STATED = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
CHANGES = [door for door in SCREENS if door.method == "POST"]


def filled(path: str) -> str:
    return re.sub(r"\{\w+\}", "somebody", path)


def test_the_first_link_lets_one_person_in_as_admin_and_then_no_more(folder: Path) -> None:
    with opened(folder) as shop:
        path = str(shop.first_path).removeprefix("/console")
        first = shop.nobody()
        assert "admin" in first.get(path)
        first.post(path, 422, name="ann", password="short")
        first.post(path, name="ann", password=PASSWORD)
        assert first.json("/account")["role"] == "admin"
        assert "used already" in shop.nobody().get(path, 410)


def test_where_people_are_no_link_is_printed(folder: Path) -> None:
    with opened(folder) as shop:
        path = str(shop.first_path).removeprefix("/console")
        first = shop.nobody()
        first.get(path)
        first.post(path, name="ann", password=PASSWORD)
    with opened(folder, None) as again:
        assert again.first_path is None


def test_the_demo_opens_by_one_click_and_its_release_decides(folder: Path) -> None:
    with opened(folder, demo=True) as shop:
        path = str(shop.first_path).removeprefix("/console")
        guest = shop.nobody()
        assert 'type="password"' not in guest.get(path)
        guest.post(path)
        assert guest.json("/")["summary"]["release"].startswith("rel_")


def test_nobody_sees_a_page_before_they_are_signed_in(shop: Shop) -> None:
    for door in SCREENS:
        reply = shop.nobody().client.request(door.method, f"/console{filled(door.path)}", headers=SAME)
        assert reply.status_code in (303, 401), door
        assert reply.status_code == 401 or reply.headers["location"].startswith("/console/sign-in"), door


@pytest.mark.parametrize("role", ROLES)
def test_a_form_is_closed_to_weaker_roles(shop: Shop, role: str) -> None:
    person = shop.person(role)
    for door in CHANGES:
        if ROLES.index(role) < ROLES.index(door.role):
            reply = person.client.post(f"/console{filled(door.path)}", data={"token": person.token}, headers=SAME)
            assert reply.status_code == 403, door
            assert door.role in reply.text


def test_a_form_without_the_token_or_from_another_site_changes_nothing(shop: Shop) -> None:
    admin = shop.person()
    for door in CHANGES:
        path = f"/console{filled(door.path)}"
        assert admin.client.post(path, headers=SAME).status_code == 403, door
        assert admin.client.post(path, data={"token": "x" * 32}, headers=SAME).status_code == 403, door
        for foreign in ({"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {}, {"origin": "null"}):
            assert admin.client.post(path, data={"token": admin.token}, headers=foreign).status_code == 403, door
    assert admin.json("/account")["name"] == "admin"


def test_a_token_of_somebody_else_is_none(shop: Shop) -> None:
    editor, admin = shop.person("editor"), shop.person()
    reply = admin.client.post("/console/people/invite", data={"token": editor.token, "role": "admin"}, headers=SAME)
    assert reply.status_code == 403


def test_an_invitation_is_a_whole_address(shop: Shop) -> None:
    admin = shop.person()
    page = admin.post("/people/invite", 200, role="viewer").text
    found = re.search(r"http://shop\.test/console/enter/[\w-]+", page)
    assert found
    assert "viewer" in shop.nobody().get(found[0].removeprefix("http://shop.test/console"))


def test_another_language_keeps_the_page_with_its_query(shop: Shop) -> None:
    viewer = shop.person("viewer")
    said = viewer.post("/language", language="zh", back="/customers/one?id=u001&x=a b")
    assert said.headers["location"] == "/console/customers/one?id=u001&x=a+b"
    assert viewer.post("/language", language="en", back="//evil.test/?a=1").headers["location"] == "/console/"


def test_signing_in_makes_a_new_session_whatever_the_browser_brought(shop: Shop) -> None:
    person = shop.nobody()
    person.client.cookies.set(SESSION_COOKIE, "planted", domain="shop.test", path="/console")
    person.sign_in("viewer")
    assert person.client.cookies.get(SESSION_COOKIE, domain="shop.test", path="/console") != "planted"
    held = shop.person("viewer")
    first = held.client.cookies.get(SESSION_COOKIE)
    held.post("/sign-out")
    assert held.client.get("/console/").status_code == 303
    held.sign_in("viewer")
    assert held.client.cookies.get(SESSION_COOKIE) != first


def test_the_cookie_is_for_the_console_alone_and_no_script_reads_it(shop: Shop) -> None:
    person = shop.nobody()
    person.get("/sign-in")
    said = person.post("/sign-in", name="viewer", password=PASSWORD).headers.get_list("set-cookie")[0]
    assert "HttpOnly" in said
    assert "Path=/console" in said
    assert "SameSite=strict" in said


def test_a_cookie_is_sent_over_https_alone_where_the_settings_say_so(folder: Path) -> None:
    with opened(folder, console={"secure": True}) as shop:
        person = shop.nobody()
        reply = person.client.get("/console/sign-in")
        assert all("Secure" in each for each in reply.headers.get_list("set-cookie"))


def test_no_key_opens_a_page_and_no_cookie_the_api(shop: Shop) -> None:
    key = {"authorization": f"Bearer {shop.api.key}"}
    assert shop.nobody().client.get("/console/", headers=key).status_code == 303
    assert shop.person().client.get("/v1/campaigns").status_code == 401


def test_wrong_passwords_make_wait(shop: Shop) -> None:
    person = shop.nobody()
    for _ in range(5):
        person.sign_in("viewer", "wrong wrong wrong", 401)
    person.sign_in("viewer", "wrong wrong wrong", 429)
    person.sign_in("viewer")  # who knows it waits for nobody


def test_the_wrong_name_says_what_the_wrong_password_says(shop: Shop) -> None:
    people = {"viewer": shop.nobody(), "no-such": shop.nobody()}
    for person in people.values():
        person.get("/sign-in")
    texts = [
        person.post("/sign-in", 401, name=name, password="wrong wrong").text.replace(name, "")
        for name, person in people.items()
    ]
    plain = [re.sub(r'name="token" value="[^"]+"', "", text) for text in texts]
    assert plain[0] == plain[1]


@pytest.mark.parametrize(
    "onward", ["//evil.test", "https://evil.test", "/\\evil.test", "/%2f%2fevil.test", "evil.test"]
)
def test_signing_in_leads_nowhere_else(shop: Shop, onward: str) -> None:
    person = shop.nobody()
    person.get("/sign-in")
    reply = person.post("/sign-in", name="viewer", password=PASSWORD, next=onward)
    assert reply.headers["location"] == "/console/"
    back = shop.person("viewer").post("/language", language="en", back=onward).headers["location"]
    assert back == "/console/"


def test_every_answer_says_what_a_browser_may_do(shop: Shop) -> None:
    assert CONTENT_SECURITY_POLICY == STATED
    admin = shop.person()
    for reply in (
        admin.client.get("/console/"),
        shop.nobody().client.get("/console/sign-in"),
        admin.client.get("/console/nothing"),
        admin.client.get("/console/?format=json"),
    ):
        assert reply.headers["content-security-policy"] == STATED
        assert reply.headers["x-frame-options"] == "DENY"
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["cache-control"] == "no-store"


def test_an_idle_session_ends(shop: Shop) -> None:
    person = shop.person("viewer")
    late = shop.server.clock.now_ms() - 9 * 3_600_000

    def old(db: object, some: list[None]) -> list[None]:
        db.execute(SESSIONS.update().values(seen_ms=late))  # type: ignore[attr-defined]
        return some

    shop.server.ledger.write(old)
    person.get("/", 303)


def test_who_is_removed_or_gets_another_role_is_signed_out_at_once(shop: Shop) -> None:
    admin, editor = shop.person(), shop.person("editor")
    admin.post("/people/editor", what="role", role="viewer")
    editor.get("/", 303)
    editor.sign_in("editor")
    admin.post("/people/editor", what="out")
    editor.get("/", 303)
    shop.nobody().sign_in("editor", status=401)


def test_an_admin_ends_sessions(shop: Shop) -> None:
    admin, viewer = shop.person(), shop.person("viewer")
    assert next(p for p in admin.json("/people")["people"] if p["name"] == "viewer")["sessions"] == 1
    admin.post("/people/viewer", what="sessions")
    viewer.get("/", 303)


def test_the_last_admin_stays(shop: Shop) -> None:
    admin = shop.person()
    assert "[last_admin]" in admin.post("/people/admin", 422, what="out").text
    assert "[last_admin]" in admin.post("/people/admin", 422, what="role", role="viewer").text


def test_an_invitation_gives_the_role_it_names(shop: Shop) -> None:
    admin = shop.person()
    page = admin.post("/people/invite", 200, role="editor").text
    path = re.search(r"/console(/enter/[\w-]+)", page)
    assert path
    guest = shop.nobody()
    guest.get(path[1])
    guest.post(path[1], name="王芳", password=PASSWORD)
    assert guest.json("/account")["role"] == "editor"


def test_a_new_password_ends_all_sessions(shop: Shop) -> None:
    person, other = shop.person("viewer"), shop.person("viewer")
    assert (
        "[password_wrong]" in person.post("/account/password", 422, old="nonsense nonsense", new="another horse 9").text
    )
    person.post("/account/password", old=PASSWORD, new="another horse 9")
    other.get("/", 303)
    shop.nobody().sign_in("viewer", "another horse 9")


def test_the_audit_log_names_the_person_and_holds(shop: Shop) -> None:
    shop.person("editor").post("/dismiss", key="stale 1", why="on purpose")
    with shop.server.ledger.read() as db:
        rows = db.execute(select(AUDIT.c.actor, AUDIT.c.action, AUDIT.c.new)).all()
    assert ("person editor", "console.dismiss", '{"why":"on purpose"}') in [tuple(row) for row in rows]
    assert shop.api("GET", "/v1/audit:verify")["holds"]


def test_passwords_and_cookies_are_kept_as_hashes(shop: Shop, folder: Path) -> None:
    person = shop.person("viewer")
    kept = b"".join(path.read_bytes() for path in (folder / "serve").glob("ledger.db*"))
    assert PASSWORD.encode() not in kept
    assert person.client.cookies[SESSION_COOKIE].encode() not in kept


def test_a_page_that_is_not_there_says_so(shop: Shop) -> None:
    assert "Nothing here" in shop.person().get("/nothing", 404)


def test_each_person_has_their_language(shop: Shop) -> None:
    person = shop.person("viewer")
    person.post("/language", language="zh", back="/account")
    assert 'lang="zh-Hans"' in person.get("/account")
    assert 'lang="en"' in shop.person("editor").get("/account")
    assert "登录" in shop.nobody("zh-CN,zh").get("/sign-in")


def test_without_the_console_nothing_is_there(folder: Path) -> None:
    from serve_helpers import serving

    with serving(folder) as api:
        assert api.client.get("/console/").status_code == 401


def test_no_template_holds_a_script_a_style_or_what_htmx_would_run() -> None:
    folder = Path(__file__).parents[3] / "src" / "promolift"
    blocks = folder / "foundation" / "pages" / "templates" / "blocks.html"
    screens = [*(folder / "server" / "console" / "templates").rglob("*.html")]
    assert len(screens) > 30
    for path in [*screens, blocks]:
        text = path.read_text(encoding="utf-8")
        for bad in ("hx-on", "js:", "style=", "onclick", "onload", "javascript:", "| safe", "hx-vals"):
            assert bad not in text, (path.name, bad)


def test_who_enters_by_a_link_in_chinese_is_spoken_to_in_chinese(folder: Path) -> None:
    with opened(folder, demo=True) as shop:
        somebody = shop.nobody("zh-CN")
        path = str(shop.first_path).removeprefix("/console")
        assert "欢迎" in somebody.get(path)
        somebody.post(path)
        assert "今日" in somebody.get("/")
