"""Every screen in a real browser: both languages, both widths, light and dark; flows counted in clicks.

Chromium is the system's own (PROMOLIFT_TEST_CHROMIUM names another). Where it or Playwright cannot be had the tests
say so and are left out.
"""

import json
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest
from console_helpers import CONFIG, PASSWORD, Shop, opened
from judged_shop import case, judged
from oidc_provider import CLIENT, SECRET, oidc_provider
from serve_helpers import derived, free_port
from test_serve_outbox import receiving

from promolift.core.messages.text_pool import TextPool
from promolift.foundation.storage.local_store import Store
from promolift.server.api.app import HttpServer, uvicorn_config
from promolift.server.console.state.users import start_session
from promolift.server.translations import translate_group
from promolift.shop.feedback.policy_earnings import earned_numbers
from promolift.shop.feedback.policy_verdict import numbers_of
from promolift.shop.pipeline.pool_file import load_pool
from promolift.shop.results.plan import Plan

CHROMIUM = os.environ.get("PROMOLIFT_TEST_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
try:
    from playwright.sync_api import Browser, Page, expect, sync_playwright

    WHY = "" if CHROMIUM else "NO BROWSER: install Chromium, or name it in PROMOLIFT_TEST_CHROMIUM"
except ImportError:
    WHY = "NO BROWSER: pip install playwright (it is in the extra dev)"
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(WHY), reason=WHY)]
AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text(encoding="utf-8")
RUN = """axe.run().then(found => JSON.stringify(found.violations
  .filter(v => ['moderate', 'serious', 'critical'].includes(v.impact))
  .map(v => [v.id, ...v.nodes.map(n => n.target.join(' '))])))"""
VIOLATED = "addEventListener('securitypolicyviolation', e => console.error('policy: ' + e.violatedDirective))"
SCREENS = [
    *translate_group("nav"), "/words/review", "/account", "/customers/one?id=u001", "/tests/new",
    "/offers/edit?line=save-5",
]  # fmt: skip


BROWSER: list[Any] = []  # the one of this module's tests


class Site:
    """The server at its address, and a browser."""

    def __init__(self, shop: Shop, url: str, browser: "Browser", folder: Path) -> None:
        self.shop, self.url, self.browser, self.folder = shop, url, browser, folder
        self.faults: list[str] = []

    def page(self, name: str = "admin", width: int = 1280, dark: bool = False) -> "Page":
        """A page of somebody who is signed in; what it complains of, or asks elsewhere, is a fault."""
        page = self.unknown(width, dark)

        def session(db: Any, some: list[None]) -> list[str]:
            return [start_session(db, self.shop.server.clock.now_ms(), name, "test").cookie for _ in some]

        cookie = self.shop.server.ledger.write(session)
        page.context.add_cookies([{"name": "promolift_console", "value": cookie, "url": f"{self.url}/console"}])
        return page

    def unknown(self, width: int = 1280, dark: bool = False) -> "Page":
        """A page of somebody who is not signed in."""
        view = {"width": width, "height": 900}
        context = self.browser.new_context(viewport=view, color_scheme="dark" if dark else "light", base_url=self.url)
        context.add_init_script(VIOLATED)
        page = context.new_page()
        page.on("console", lambda said: self.faults.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("request", lambda ask: None if ask.url.startswith(self.url) else self.faults.append(ask.url))
        return page


@pytest.fixture(scope="module", autouse=True)
def browser() -> Iterator[None]:
    """Chromium, started once: each site has contexts of its own, so that tests share no cookie and no page."""
    with sync_playwright() as driver:
        BROWSER.append(driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"]))
        yield
        BROWSER.pop().close()


@pytest.fixture
def site(folder: Path) -> Iterator[Site]:
    """The demo's way: the plan decides."""
    yield from running(folder, demo=True)


@pytest.fixture
def fresh(folder: Path) -> Iterator[Site]:
    """A plan that no release was made of yet."""
    yield from running(folder, demo=False)


@pytest.fixture(scope="module")
def played(told: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder with weeks that were played and learned from, so that every screen has something to show."""
    folder = tmp_path_factory.mktemp("played") / "work"
    shutil.copytree(told, folder)
    with opened(folder, demo=True, play=lambda *_: None):
        pass
    found = judged(case())
    learned = folder / "serve" / "learn" / CONFIG.plan.campaign / "learn.json"
    learned.parent.mkdir(parents=True, exist_ok=True)
    learned.write_text(json.dumps(numbers_of(found) | earned_numbers(found, "UTC")), encoding="utf-8")
    return folder


@pytest.fixture
def full(played: Path, tmp_path: Path) -> Iterator[Site]:
    """The demo's way over a copy of it."""
    shutil.copytree(played, tmp_path / "work")
    yield from running(tmp_path / "work", demo=True)


def running(folder: Path, demo: bool, file: Path | None = None, play: Any = None, **more: Any) -> Iterator[Site]:
    """A server at an address, and a browser; with a `file` that is not there yet and no folder, a shop of nothing."""
    with opened(folder, CONFIG if folder.exists() else None, demo, file, play, **more) as shop:
        config = uvicorn_config(shop.app, "127.0.0.1", free_port())
        config.lifespan = "off"  # the test client keeps it
        listener = HttpServer(config)
        thread = threading.Thread(target=listener.run, daemon=True)
        thread.start()
        while not listener.started:
            sleep(0.01)
        yield Site(shop, f"http://127.0.0.1:{config.port}", BROWSER[0], folder)
        for context in BROWSER[0].contexts:
            context.close()
        listener.should_exit = True
        thread.join()


def serious(page: "Page") -> list[Any]:
    """What axe finds, in a world of its own: the page's policy runs no script of others."""
    tools = page.context.new_cdp_session(page)
    frame = tools.send("Page.getFrameTree")["frameTree"]["frame"]["id"]
    world = tools.send("Page.createIsolatedWorld", {"frameId": frame})["executionContextId"]
    tools.send("Runtime.evaluate", {"expression": AXE, "contextId": world})
    asked = {"expression": RUN, "contextId": world, "awaitPromise": True, "returnByValue": True}
    return list(json.loads(tools.send("Runtime.evaluate", asked)["result"]["value"]))


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, False), (1280, True), (390, True)])
def test_every_screen_reads_well(full: Site, language: str, width: int, dark: bool) -> None:
    page = full.page("admin", width, dark)
    page.goto("/console/account")
    if (button := page.locator(f".top button[value={language}]")).count():
        button.click()
    for path in SCREENS:
        page.goto(f"/console{path}")
        page.wait_for_timeout(200)
        assert serious(page) == [], path
        assert page.locator("html").get_attribute("lang") == ("zh-Hans" if language == "zh" else "en")
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, path
        assert page.locator(".top nav a[aria-current]").count() == (path != "/account"), path
        bars = page.locator(".top nav a[aria-current=page], .within a[aria-current=page]")
        assert bars.count() == (path != "/account"), path
    assert full.faults == []


@pytest.mark.parametrize(("language", "width"), [("en", 1280), ("zh", 390)])
def test_an_alert_is_added_tried_and_removed_on_the_account_page(folder: Path, language: str, width: int) -> None:
    labels = {
        "en": ["Add an alert", "Slack", "Drift", "Add it", "Send a test", "Remove", "answered with status 404"],
        "zh": ["添加提醒", "Slack", "出现漂移", "添加", "发送测试", "删除", "该地址返回状态码404"],
    }
    add, channel, kind, keep, attempt, remove, why = labels[language]
    with receiving([404] * 9) as receiver:
        for site in running(folder, demo=True, private_webhooks=True):
            page = site.page("viewer", width)
            page.goto("/console/account")
            if language == "zh":
                page.locator(".top button[value=zh]").click()
            page.locator("summary", has_text=add).click()
            page.get_by_label(kind).uncheck()
            page.get_by_label(channel).check()
            page.locator("input[name=address]").fill("ftp://shop.example/hook")
            page.get_by_role("button", name=keep, exact=True).click()
            assert page.locator("#refused").is_visible()
            assert page.locator("input[name=address]").input_value() == "ftp://shop.example/hook"
            assert not page.get_by_label(kind).is_checked()
            page.locator("input[name=address]").fill(receiver.url)
            page.get_by_role("button", name=keep, exact=True).click()
            expect(page.locator(".hook")).to_have_count(1)
            page.get_by_role("button", name=attempt).click()
            while why not in page.locator(".hook").inner_text():
                page.wait_for_timeout(200)
                page.goto("/console/account")
            assert serious(page) == []
            page.get_by_role("button", name=remove, exact=True).click()
            expect(page.locator(".hook")).to_have_count(0)
            assert [each for each in site.faults if "422" not in each] == []


def test_from_the_link_of_the_demo_to_today_in_two_clicks(site: Site) -> None:
    page = site.unknown()
    page.goto(str(site.shop.first_path))  # the first click is on the link
    page.get_by_role("button", name="Open the console").click()
    assert page.locator("h1").inner_text() == "Today"
    assert site.faults == []


def test_the_slider_draws_and_a_draft_decides_in_six_clicks(fresh: Site) -> None:
    page = fresh.page("admin")
    page.goto("/console/plan")
    said = page.locator("#what-if dd").first
    before = said.inner_text()
    page.evaluate("""() => { const slider = document.getElementById('budget'); slider.value = slider.max / 2;
      slider.dispatchEvent(new Event('input', {bubbles: true})); }""")
    expect(said).not_to_have_text(before)
    assert page.locator("#figure-frontier .chart svg").count() == 1
    page.goto("/console/")
    clicks = [
        page.get_by_role("link", name="Campaign", exact=True),
        page.get_by_role("button", name="Save as a draft"),
        page.get_by_role("button", name="Ask for approval"),
        page.get_by_role("button", name="Approve"),
        page.locator("summary", has_text="Activate"),
        page.get_by_role("button", name="Yes, decide from it"),
    ]
    for click in clicks:
        click.click()
    expect(page.locator(".state.live")).to_have_text("decides now")
    assert fresh.shop.api("GET", f"/v1/campaigns/{CONFIG.plan.campaign}")["release"]
    assert fresh.faults == []


def test_why_did_this_customer_get_this_in_three_clicks(site: Site) -> None:
    with Store(site.folder) as store:
        who = Plan.load(store).chosen["customer_id"][0]
    page = site.page("viewer")
    page.goto("/console/")
    page.get_by_role("link", name="Customers", exact=True).click()
    page.get_by_role("searchbox").fill(who)
    expect(page.locator("#found tbody tr")).to_have_count(1)
    page.get_by_role("link", name=who).click()
    page.get_by_text("What was weighed").click()
    assert page.locator("tr.marked").is_visible()
    assert site.faults == []


def test_a_rejected_release_is_rolled_back_in_two_clicks_and_decisions_change(site: Site) -> None:
    api, campaign = site.shop.api, CONFIG.plan.campaign
    live = api("GET", f"/v1/campaigns/{campaign}")["release"]
    made = site.shop.server.decider.ensure(live)
    other = derived(site.shop.server.settings.work, live, made.terms.model_copy(update={"price": 1e6}))
    api("POST", f"/v1/releases/{other}:activate")
    with Store(site.folder) as store:
        who, offer = Plan.load(store).chosen.select("customer_id", "offer_id").row(0)
    asked = {"customer_id": who, "campaign_id": campaign}
    assert api("POST", "/v1/decisions", asked)["offer_id"] == "none"
    page = site.page("approver")
    page.goto("/console/")
    page.get_by_text("Something wrong?").click()
    page.get_by_role("button", name="Roll back now").click()
    assert "Rolled back" in page.locator(".said").inner_text()
    assert api("POST", "/v1/decisions", asked)["offer_id"] == offer
    assert site.faults == []


def test_a_text_is_checked_while_it_is_typed(site: Site) -> None:
    page = site.page("editor")
    page.goto("/console/words?language=en")
    page.locator(".texts a").first.click()
    page.locator("textarea[name=hook]").fill("Guaranteed the best {nonsense}")
    page.locator("[id^=check-] .findings li").first.wait_for()
    assert site.faults == []


@pytest.fixture
def wordy(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """The demo's way in a folder of its own: the texts of the package wait, and decisions are written beside it."""
    monkeypatch.chdir(tmp_path)
    yield from running(folder, demo=True)


def settled(page: "Page") -> list[str]:
    """What the person of the page decided, once nothing is being sent any more."""
    expect(page.locator(".text-card.done .decide")).to_have_count(0)
    pool = load_pool(Path("words.jsonl")) if Path("words.jsonl").exists() else TextPool()
    return [text.state for text in pool.texts if text.by == "approver"]


def test_fifty_texts_are_read_by_keys_in_five_minutes(wordy: Site, record_property: Any) -> None:
    page = wordy.page("approver")
    page.goto("/console/words")
    started, pressed = monotonic(), 1
    page.get_by_role("link", name="that wait").click()
    for number in range(50):
        card = page.locator(".text-card.current:not(.done)")
        before = card.get_attribute("data-text")
        for key in ("r", "3") if number % 10 == 9 else ("a",):
            page.keyboard.press(key)
            pressed += 1
        expect(card).not_to_have_attribute("data-text", str(before), timeout=60_000)
    states, seconds = settled(page), monotonic() - started
    record_property("keys", pressed)
    record_property("seconds", round(seconds, 1))
    print(f"50 texts: {pressed} clicks and keys, {seconds:.1f} s")
    assert (states.count("approved"), states.count("rejected")) == (45, 5)
    assert "50 of " in page.locator("#progress").inner_text()
    assert seconds < 300
    page.locator(".text-card.current").press("u")
    page.wait_for_load_state()
    assert "49 of " in page.locator("#progress").inner_text()
    assert wordy.faults == []


@pytest.mark.parametrize("language", ["en", "zh"])
def test_on_a_phone_one_card_is_shown_and_a_touch_goes_on(wordy: Site, language: str) -> None:
    page = wordy.page("approver", 390)
    page.goto("/console/account")
    if (button := page.locator(f".top button[value={language}]")).count():
        button.click()
    page.goto("/console/words/review")
    for _ in range(3):
        expect(page.locator(".text-card:visible")).to_have_count(1)
        box = page.locator(".text-card.current [data-key=a]").bounding_box()
        assert box
        assert box["height"] >= 48
        page.locator(".text-card.current [data-key=a]").click()
    page.locator(".text-card.current [data-key=r]").click()
    page.locator(".text-card.current [name=reason]").nth(1).click()
    page.locator("[data-move='1']").click()
    assert sorted(settled(page)) == ["approved"] * 3 + ["rejected"]
    shown = page.locator("#seen").inner_text()  # what was on the screen and waits, of the twelve on the page
    assert 1 <= int(shown) <= 3
    assert serious(page) == []
    page.locator("#together button").click()
    page.wait_for_load_state()
    assert settled(page).count("approved") == 3 + int(shown)
    assert wordy.faults == []


def test_words_are_changed_in_the_card_and_a_faulty_change_stays_in_the_form(wordy: Site) -> None:
    page = wordy.page("approver")
    page.goto("/console/words/review?language=en")
    page.keyboard.press("e")
    hook = page.locator(".text-card.current textarea[name=hook]")
    hook.fill("Guaranteed the best {nonsense}")
    page.locator(".text-card.current .editor .findings li").first.wait_for()
    page.locator(".text-card.current .edit button").click()
    expect(page.locator(".text-card.current .said")).to_be_visible()
    assert hook.input_value() == "Guaranteed the best {nonsense}"
    assert serious(page) == []
    hook.fill("Thanks for staying with us")
    page.locator(".text-card.current .edit button").click()
    expect(page.locator(".text-card.current [data-state]")).to_have_text("written by a person")
    page.keyboard.press("a")
    assert settled(page) == ["approved"]
    assert [fault for fault in wordy.faults if "422" not in fault] == []  # the refused change


def test_texts_are_decided_on_without_a_script(wordy: Site) -> None:
    with_script = wordy.page("approver")
    context = wordy.browser.new_context(java_script_enabled=False, base_url=wordy.url)
    context.add_cookies(with_script.context.cookies())
    page = context.new_page()
    page.goto("/console/words/review")
    page.locator(".text-card [data-key=a]").first.click()
    page.locator(".text-card .reject summary").first.click()
    page.locator(".text-card .reject [name=reason]").first.click()
    assert "2 of " in page.locator("#progress").inner_text()
    page.get_by_role("button", name="Undo").click()
    assert "1 of " in page.locator("#progress").inner_text()
    page.locator(".text-card [data-key=e]").first.click()
    page.locator("textarea[name=hook]").fill("only 3 left")
    page.get_by_role("button", name="Keep as a new text").click()
    assert page.locator("textarea[name=hook]").input_value() == "only 3 left"


def test_a_password_lets_in_and_a_wrong_one_does_not(site: Site) -> None:
    page = site.unknown()
    page.goto("/console/")
    page.get_by_label("Name").fill("viewer")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    assert page.locator("h1").inner_text() == "Today"
    assert {cookie["httpOnly"] for cookie in page.context.cookies()} == {True}  # of the session, and of the browser
    assert page.evaluate("document.cookie") == ""


def test_a_shop_is_set_up_corrected_and_run_in_eight_clicks(tmp_path: Path, own_files: Path) -> None:
    for fresh in running(tmp_path / "work", False, tmp_path / "promolift.toml"):
        page = fresh.page("admin")
        page.goto("/console/data")
        page.get_by_role("link", name="Set up your shop").click()
        page.locator("input[type=file]").set_input_files(own_files / "events.csv")
        page.get_by_role("button", name="Send").click()
        orders = page.locator(".examples li")
        expect(orders).to_have_count(5, timeout=60_000)  # it is read and guessed at
        before = orders.first.inner_text()
        amount = page.locator("select[name='columns.events.amount']")
        amount.select_option("discount")
        page.get_by_role("button", name="Show again").click()
        expect(orders.first).not_to_have_text(before, timeout=60_000)
        amount.select_option("sales_value")
        page.get_by_role("button", name="Show again").click()
        expect(orders.first).to_have_text(before, timeout=60_000)
        assert not (tmp_path / "promolift.toml").exists()
        page.get_by_role("group", name="May everybody here be sent them").get_by_text("no", exact=True).click()
        page.get_by_role("button", name="Use this").click()
        page.get_by_role("button", name="Run", exact=True).click()
        page.locator(".job progress").wait_for(timeout=60_000)
        page.reload()
        page.locator(".job progress").wait_for(timeout=60_000)  # a reload loses nothing
        page.get_by_role("button", name="Stop").click()
        page.goto("/console/data/events")
        said = page.locator("#tried")
        before = said.inner_text()
        page.locator("select[name='role.amount']").select_option("event_type")
        expect(said).to_contain_text("unreadable amount", timeout=30_000)
        page.locator("select[name='role.amount']").select_option("sales_value")
        expect(said).to_have_text(before, timeout=30_000)
        page.get_by_role("button", name="Keep this").click()
        assert "Kept" in page.locator(".said.good").inner_text()
        assert fresh.faults == []


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("width", [1280, 390])
def test_every_state_of_the_set_up_reads_well(tmp_path: Path, own_files: Path, language: str, width: int) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text("a,b\n1,2\n")
    for fresh in running(tmp_path / "work", False, tmp_path / "promolift.toml"):
        page = fresh.page("admin", width)
        page.set_default_timeout(90_000)  # files are read
        page.goto("/console/account")
        if (button := page.locator(f".top button[value={language}]")).count():
            button.click()

        def reads_well(state: str, page: "Page" = page) -> None:
            if folder := os.environ.get("PROMOLIFT_TEST_PICTURES"):
                page.screenshot(path=f"{folder}/setup-{state}-{language}-{width}.png", full_page=True)
            assert serious(page) == [], state
            wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            assert page.evaluate(wide) <= 0, state

        page.goto("/console/data/setup")
        reads_well("empty")
        for state, file in (("bad", bad), ("read", own_files / "events.csv")):
            if page.locator("input[type=file]").is_hidden():
                page.locator("summary").first.click()
            page.locator("input[type=file]").set_input_files(file)
            page.locator("form[data-upload] button").click()
            page.locator(".examples, [role=alert]").first.wait_for(timeout=60_000)
            page.wait_for_load_state("load")
            reads_well(state)
            if state == "bad":
                page.locator(".log button").first.click()
        page.locator("button[formaction]").click()
        page.locator("[role=alert]").wait_for(timeout=60_000)
        reads_well("unanswered")
        fresh.faults.clear()  # of the answer 422
        page.locator("input[name=consent][value=no]").check()
        page.locator("button[formaction]").click()
        page.locator("form[action$='/data/run']").wait_for(timeout=60_000)
        reads_well("done")
        assert fresh.faults == []


def test_an_offer_is_previewed_as_it_is_typed_and_put_on_the_menu(folder: Path, tmp_path: Path) -> None:
    for site in running(folder, True, tmp_path / "promolift.toml"):
        page = site.page("approver")
        page.goto("/console/offers")
        page.get_by_role("link", name="Add an offer").click()
        page.get_by_role("link", name="an amount off").click()
        page.locator("input[name=amount_cents]").fill("5")
        expect(page.locator("#preview")).to_contain_text("above the amount")
        page.locator("input[name=min_spend_cents]").fill("45")
        expect(page.locator("#preview")).to_contain_text("$5 off from $45 up")
        page.get_by_role("button", name="Keep as a draft").click()
        page.get_by_role("button", name="Approve").click()
        assert page.locator(".offer-cards h3", has_text="$5 off from $45 up").count() == 1
        assert site.faults == []


def test_a_request_is_built_as_it_is_typed(site: Site) -> None:
    page = site.page("viewer")
    page.goto("/console/developer")
    page.locator("textarea[name=body]").fill('{"customer_id": "c-77"}')
    expect(page.locator("#snippets pre").first).to_contain_text("c-77")
    assert site.faults == []


def test_a_test_is_drafted_started_and_stopped(site: Site) -> None:
    page = site.page("approver")
    page.goto("/console/")
    page.get_by_role("link", name="Campaign", exact=True).click()
    page.get_by_role("link", name="Tests", exact=True).click()
    page.get_by_role("link", name="New test").click()
    page.get_by_label("What should the test answer?").fill("Do offers pay?")
    before = page.locator("#power").inner_text()
    page.get_by_label("share of customers who buy").check()  # the table of what would show follows
    expect(page.locator("#power")).not_to_have_text(before)
    page.get_by_role("button", name="Save as a draft").click()
    page.locator("summary", has_text="Start").click()
    page.get_by_role("button", name="Yes, start").click()
    expect(page.locator(".state.live")).to_have_text("running")
    campaign = CONFIG.plan.campaign
    assert site.shop.api("POST", "/v1/decisions", {"customer_id": "u007"})["variant"] in ("a", "holdout")
    page.get_by_text("Stop the test").click()
    page.get_by_role("button", name="Stop now").click()
    assert site.shop.api("GET", f"/v1/campaigns/{campaign}")["experiment"] is None
    page.get_by_role("link", name="Do offers pay?").click()
    assert page.locator("h1").inner_text() == "A past test"
    assert site.faults == []


def test_days_are_left_out_and_every_page_says_so(site: Site) -> None:
    page = site.page("approver")
    page.goto("/console/results")
    page.get_by_label("First day").fill("2026-03-03")
    page.get_by_label("What happened").fill("Site down")
    page.get_by_label("Leave these days out").check()
    page.get_by_role("button", name="Note it").click()
    page.get_by_role("link", name="Today").click()
    assert "2026-03-03: Site down" in page.locator("main").inner_text()
    assert site.faults == []


def test_a_trial_is_sent_and_its_columns_are_looked_at(site: Site, tmp_path: Path) -> None:
    rows = [f"m{n},{'letter' if n % 2 else 'none'},{n % 7},{10 + n % 5}" for n in range(40)]
    (tmp_path / "spring.csv").write_text("\n".join(["member,arm,age,spend", *rows]), encoding="utf-8")
    page = site.page("editor")
    page.goto("/console/trials")
    page.locator("input[type=file]").set_input_files(tmp_path / "spring.csv")
    page.get_by_role("button", name="Send").click()
    page.wait_for_url("**/trials/spring/columns")
    assert page.get_by_label("arm", exact=True).input_value() == "treatment"
    assert page.get_by_label("member").input_value() == "ignore"
    assert serious(page) == []
    page.get_by_role("button", name="Read the trial").click()  # no outcome was named: it says so, here
    assert "no outcome" in page.locator(".said.bad").inner_text()
    assert page.get_by_label("member").input_value() == "ignore"  # the form is as it was sent
    assert serious(page) == []
    assert [fault for fault in site.faults if "422" not in fault] == []  # the refused mapping


def test_who_the_customers_are_is_drawn_below_the_list(site: Site) -> None:
    page = site.page("viewer")
    page.goto("/console/customers")
    page.locator("#figure-cadence .chart svg").wait_for()
    assert serious(page) == []
    assert site.faults == []


@pytest.mark.parametrize(("width", "language"), [(1280, "en"), (390, "zh")])
def test_a_person_enters_by_their_companys_provider(
    folder: Path, width: int, language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The browser comes back from another site, to which it brings no SameSite=Strict cookie; then it does."""
    pytest.importorskip("authlib")
    monkeypatch.setenv("PROMOLIFT_OIDC_SECRET", SECRET)
    with oidc_provider() as provider:
        provider.url = provider.url.replace("127.0.0.1", "localhost")  # another site than the console's
        named = {"issuer": provider.url, "client_id": CLIENT, "name": "Okta"}
        for site in running(folder, demo=True, console={"oidc": named}):
            admin = site.page("admin", width)
            admin.goto("/console/people")
            if (button := admin.locator(f".top button[value={language}]")).count():
                button.click()
            admin.goto("/console/people")
            admin.locator("form[action$='/invite'] input[name=email]").fill("ann@example.com")
            admin.locator("form[action$='/invite'] button").click()
            assert not serious(admin)
            assert admin.evaluate("document.documentElement.scrollWidth") <= width
            picture(admin, f"people-{width}-{language}")
            page = site.unknown(width)
            page.set_extra_http_headers({"accept-language": language})
            page.goto("/console/offers")
            assert not serious(page)
            picture(page, f"sign-in-{width}-{language}")
            page.locator("a[href*='/sign-in/with/oidc']").click()
            page.wait_for_url("**/console/offers")
            expect(page.locator(".who")).to_contain_text("ann")
            page.reload()
            expect(page.locator(".who")).to_contain_text("ann")
            assert not [fault for fault in site.faults if not fault.startswith(provider.url)]


def picture(page: "Page", name: str) -> None:
    """Keep a picture to be looked at where PROMOLIFT_TEST_PICTURES names a folder."""
    if kept := os.environ.get("PROMOLIFT_TEST_PICTURES"):
        page.screenshot(path=Path(kept) / f"{name}.png", full_page=True)
