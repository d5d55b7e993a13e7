"""Flows of the console in headless Chromium: clicks, seconds and what axe finds on each page, out.

    python benchmarks/server/console_flows.py [--quick] [--only NAME,...] [--keep FOLDER]

The shop is that of the tests (tests/support/told_shop.py). Each flow runs in English and Chinese, 1,280 and 390 pixels
wide, on a server and a copy of the work folder of its own; `--quick`: in English at 1,280 pixels alone. Locators are the
addresses of forms and links, so that a flow is the same in both languages. Typing and choosing is not counted as a click.
Prints JSON lines: figure, value, se, unit, peer, peer_value, n, data. Seconds are from the first click to the last page, without
the time that axe and screenshots take. `--keep` stores a screenshot of each page. Ends with 1 where axe finds
something serious or moderate, a page is wider than the window, or the browser reports an error.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import Locator, Page, expect, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))

AXE = (ROOT / "tests/server/console/vendor/axe.min.js").read_text(encoding="utf-8")
FIND = """axe.run().then(found => JSON.stringify(found.violations
  .filter(v => ['moderate', 'serious', 'critical'].includes(v.impact)).map(v => `${v.impact} ${v.id} ${v.nodes[0].target}`)))"""
CASES = [(language, width) for language in ("en", "zh") for width in (1280, 390)]
CHROMIUM = os.environ.get("PROMOLIFT_TEST_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


class Walk:
    """A person on their way through the console: what was clicked, how long it took, what was found."""

    def __init__(self, site: "Site", page: Page, name: str, width: int) -> None:
        self.site, self.page, self.name, self.width = site, page, name, width
        self.clicks, self.seconds, self.faults, self.pages = 0, 0.0, list[str](), 0
        page.on("pageerror", lambda error: self.faults.append(f"script: {error}"))
        page.on("response", self._answered)

    def _answered(self, reply: Any) -> None:
        if reply.status >= 400:
            self.faults.append(f"{reply.status} {reply.url.partition('/console')[2]}")

    def open(self, path: str) -> None:
        """Open a page by its address."""
        self._do(lambda: self.page.goto(f"{self.site.url}/console{path}"))
        self.look()

    def click(self, where: str | Locator, then: Callable[[], None] = lambda: None) -> None:
        """Click, wait for the page that comes and for what `then` waits for, and look at it."""
        found = self.page.locator(where) if isinstance(where, str) else where

        def both() -> None:
            found.first.click()
            self.page.wait_for_load_state()
            then()

        self.clicks += 1
        self._do(both)
        self.look()

    def _do(self, act: Callable[[], object]) -> None:
        began = time.perf_counter()
        act()
        self.seconds += time.perf_counter() - began

    def look(self) -> None:
        """Let axe read the page, and keep a picture of it."""
        self.pages += 1
        tools = self.page.context.new_cdp_session(self.page)
        frame = tools.send("Page.getFrameTree")["frameTree"]["frame"]["id"]
        world = tools.send("Page.createIsolatedWorld", {"frameId": frame})["executionContextId"]
        tools.send("Runtime.evaluate", {"expression": AXE, "contextId": world})
        asked = {"expression": FIND, "contextId": world, "awaitPromise": True, "returnByValue": True}
        found = json.loads(tools.send("Runtime.evaluate", asked)["result"]["value"])
        here = self.page.url.partition("/console")[2]
        self.faults += [f"{here}: {each}" for each in found]
        if self.page.evaluate("document.documentElement.scrollWidth") > self.width:
            self.faults.append(f"{here}: wider than the window")
        self.picture(f"{self.pages:02}")

    def picture(self, what: str) -> None:
        """Keep a picture of the page where a folder was named."""
        if self.site.keep:
            self.page.screenshot(path=self.site.keep / f"{self.name}-{what}.png", full_page=True, timeout=120_000)


class Site:
    """A server at its address."""

    def __init__(self, shop: Any, url: str, folder: Path, keep: Path | None) -> None:
        self.shop, self.url, self.folder, self.keep = shop, url, folder, keep

    def offered(self) -> str:
        """A customer who is planned an offer."""
        from promolift.foundation.storage.local_store import Store
        from promolift.shop.results.plan import Plan

        with Store(self.folder) as store:
            return str(Plan.load(store).chosen["customer_id"][0])


def link_to_today(walk: Walk) -> None:
    """From the link that `promolift demo --serve` prints."""
    walk.page.context.clear_cookies()
    walk.clicks += 1
    walk._do(lambda: walk.page.goto(f"{walk.site.url}{walk.site.shop.first_path}"))
    walk.look()
    walk.click("form .button")
    expect(walk.page.locator("h1")).to_be_visible()


def plan_to_activation(walk: Walk) -> None:
    """Budget slider, draft, approval, activation."""
    walk.open("/")
    walk.click("a[href='/console/plan']")
    said = walk.page.locator("#what-if dd").first
    before = said.inner_text()
    move = "slider => { slider.value = slider.max / 2; slider.dispatchEvent(new Event('input', {bubbles: true})); }"
    walk.page.locator("#budget").evaluate(move)
    expect(said).not_to_have_text(before)
    walk.look()
    walk.open("/plan")
    walk.click("form[action='/console/plan/draft'] .button")
    walk.click("form[action$='/ask'] button")
    walk.click("form[action$='/approve'] button")
    walk.click(walk.page.locator("details:has(form[action$='/activate']) > summary").last)
    walk.click(walk.page.locator("form[action$='/activate'] button >> visible=true"))
    expect(walk.page.locator(".state.live")).to_be_attached()


def why_this_customer(walk: Walk) -> None:
    """Search a customer; what they would get, why, and what was weighed."""
    who = walk.site.offered()
    walk.open("/")
    walk.click("a[href='/console/customers']")
    walk.page.locator("input[type=search]").fill(who)
    expect(walk.page.locator("#found tbody tr")).to_have_count(1)
    walk.click(walk.page.locator("#found a", has_text=who))
    walk.click("main summary")


def text_checked_as_typed(walk: Walk) -> None:
    """A text that breaks a rule is named while it is typed."""
    walk.open("/")
    walk.click("a[href='/console/plan']")
    walk.click("a[href='/console/words']")
    walk.click(".texts a")
    walk.page.locator("textarea[name=hook]").fill("Guaranteed the best {nonsense}")
    walk.page.locator("[id^=check-] .findings li").first.wait_for()
    walk.look()


def roll_back(walk: Walk) -> None:
    """Go back to the release before, from Today."""
    from serve_helpers import derived

    api, campaign = walk.site.shop.api, walk.site.shop.server.config.plan.campaign
    live = api("GET", f"/v1/campaigns/{campaign}")["release"]
    terms = walk.site.shop.server.decider.ensure(live).terms.model_copy(update={"price": 1e6})
    other = derived(walk.site.shop.server.settings.work, live, terms)
    api("POST", f"/v1/releases/{other}:activate")
    asked = {"customer_id": walk.site.offered(), "campaign_id": campaign}
    assert api("POST", "/v1/decisions", asked)["offer_id"] == "none"
    walk.open("/")
    walk.click("details:has(form[action='/console/roll-back']) > summary")
    walk.click("form[action='/console/roll-back'] .button")
    assert api("POST", "/v1/decisions", asked)["offer_id"] != "none"


def test_started_and_stopped(walk: Walk) -> None:
    """Draft a test, start it, stop it."""
    walk.open("/plan")
    walk.click("a[href='/console/tests']")
    walk.click("a[href='/console/tests/new']")
    walk.page.locator("[name=question]").fill("Q1?")
    walk.click("form[action='/console/tests/draft'] .button")
    walk.click("details:has(form[action$='/start']) > summary")
    walk.click("form[action$='/start'] button")
    expect(walk.page.locator(".state.live")).to_be_visible()
    walk.click("details:has(form[action='/console/tests/stop']) > summary")
    walk.click("form[action='/console/tests/stop'] button")


def erase_a_person(walk: Walk) -> None:
    """Erase a customer; they are found nowhere."""
    who = walk.site.offered()
    walk.open(f"/customers/one?id={who}")
    closed = walk.page.locator("details:not([open]):has(form[action='/console/customers/erase']) > summary")
    if closed.count():
        walk.click(closed)
    form = walk.page.locator("form[action='/console/customers/erase']")
    form.locator("input:not([type=hidden])").first.fill(who)
    walk.click(form.locator("button"))
    assert walk.site.shop.api("POST", "/v1/decisions", {"customer_id": who})["offer_id"] == "none"


def trial_sent(walk: Walk) -> None:
    """Send a trial's file and look at its columns."""
    rows = [f"m{n},{'letter' if n % 2 else 'none'},{n % 7},{10 + n % 5}" for n in range(40)]
    file = walk.site.folder.parent / "spring.csv"
    file.write_text("\n".join(["member,arm,age,spend", *rows]), encoding="utf-8")
    walk.open("/results")
    walk.click("a[href='/console/trials']")
    walk.page.locator("input[type=file]").set_input_files(file)
    walk.click("form:has(input[type=file]) button", lambda: walk.page.wait_for_url("**/trials/spring/columns"))


def limit_and_webhook(walk: Walk) -> None:
    """Another amount for a limit, and a webhook with a test message."""
    campaign = walk.site.shop.server.config.plan.campaign
    limit = {"limit_id": "month", "metric": "discount_amount", "amount": 1000}
    walk.site.shop.api("PATCH", f"/v1/campaigns/{campaign}", {"limits": [limit]})
    walk.open("/live")
    form = walk.page.locator("form[action='/console/live/limits/month']")
    closed = walk.page.locator("details:not([open]):has(form[action='/console/live/limits/month']) > summary")
    if closed.count():
        walk.click(closed)
    form.locator("input[name=amount]").fill("25")
    walk.click(form.locator("button"))
    walk.open("/developer")
    form = walk.page.locator("form[action='/console/developer/webhooks']")
    closed = walk.page.locator("details:not([open]):has(form[action='/console/developer/webhooks']) > summary")
    if closed.count():
        walk.click(closed)
    form.locator("input[type=url], input[name=url]").first.fill("http://127.0.0.1:9/hook")
    form.locator("input[name='on.alert.raised']").check()
    walk.click(form.locator("button"))
    expect(walk.page.locator("form[action^='/console/developer/webhooks/']").first).to_be_attached()


def two_pairs_of_eyes(walk: Walk) -> None:
    """Nobody approves a draft of their own; an approver does."""
    walk.open("/plan")
    walk.click("form[action='/console/plan/draft'] .button")
    walk.click("form[action$='/ask'] button")
    own = walk.page.locator("form[action$='/approve'] button")
    if own.count():
        walk.click(own)
        walk.faults = [each for each in walk.faults if not each.startswith("422")]  # refused, as it must be
        assert not walk.page.locator("form[action$='/activate']").count()
    sign_in(walk.site, walk.page, "approver")
    walk.open("/plan")
    walk.click("form[action$='/approve'] button")
    walk.click(walk.page.locator("details:has(form[action$='/activate']) > summary").last)
    walk.click(walk.page.locator("form[action$='/activate'] button >> visible=true"))
    expect(walk.page.locator(".state.live")).to_be_attached()


FLOWS: dict[str, tuple[Callable[[Walk], None], bool, dict[str, Any]]] = {  # flow, whether the plan decides, settings
    "link to Today": (link_to_today, True, {}),
    "plan to activation": (plan_to_activation, False, {}),
    "why this customer": (why_this_customer, True, {}),
    "text checked as typed": (text_checked_as_typed, True, {}),
    "roll back": (roll_back, True, {}),
    "test started and stopped": (test_started_and_stopped, True, {}),
    "erase a person": (erase_a_person, True, {}),
    "trial sent": (trial_sent, True, {}),
    "limit and webhook": (limit_and_webhook, True, {"private_webhooks": True}),
    "two pairs of eyes": (two_pairs_of_eyes, False, {"console": {"two_eyes": True}}),
}


def sign_in(site: Site, page: Page, name: str) -> None:
    """Give the browser a session of a person."""
    from promolift.server.console.state.users import start_session

    def session(db: Any, some: list[None]) -> list[str]:
        return [start_session(db, site.shop.server.clock.now_ms(), name, "benchmark").cookie for _ in some]

    cookie = site.shop.server.ledger.write(session)
    page.context.add_cookies([{"name": "promolift_console", "value": cookie, "url": f"{site.url}/console"}])


def walk_through(name: str, told: Path, browser: Any, language: str, width: int, keep: Path | None) -> Walk:
    """Run a flow on a server of its own."""
    from console_helpers import opened
    from serve_helpers import free_port

    from promolift.server.api.app import HttpServer, uvicorn_config
    from promolift.server.console.state.users import change_person

    flow, demo, more = FLOWS[name]
    with tempfile.TemporaryDirectory() as root:
        folder = Path(shutil.copytree(told, Path(root) / "work"))
        with opened(folder, demo=demo, **more) as shop:
            config = uvicorn_config(shop.app, "127.0.0.1", free_port())
            config.lifespan = "off"  # the test client keeps it
            listener = HttpServer(config)
            thread = threading.Thread(target=listener.run, daemon=True)
            thread.start()
            while not listener.started:
                time.sleep(0.01)
            site = Site(shop, f"http://127.0.0.1:{config.port}", folder, keep)

            def speak(db: Any, some: list[None]) -> list[None]:
                for person in ("admin", "approver"):
                    change_person(db, 1, "benchmark", person, language=language)
                return some

            shop.server.ledger.write(speak)
            context = browser.new_context(viewport={"width": width, "height": 900}, locale=language)
            page = context.new_page()
            sign_in(site, page, "admin")
            walk = Walk(site, page, f"{name.replace(' ', '-')}-{language}-{width}", width)
            try:
                flow(walk)
            except Exception as error:
                walk.faults.append(f"{type(error).__name__}: {str(error).splitlines()[0]}")
                with suppress(PlaywrightError):
                    walk.picture("failed")
            context.close()
            listener.should_exit = True
            thread.join()
    return walk


def show(figure: str, value: float, unit: str, n: int, data: str, **more: Any) -> None:
    """One JSON line."""
    line = {"figure": figure, "value": round(value, 2), "se": None, "unit": unit, "peer": None, "peer_value": None}
    print(json.dumps(line | {"n": n, "data": data} | more, ensure_ascii=False), flush=True)


def main() -> int:
    """Run the flows; the number of faults decides the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default=",".join(FLOWS))
    parser.add_argument("--keep", type=Path)
    asked = parser.parse_args()
    if CHROMIUM is None:
        print(json.dumps({"figure": "flows", "left_out": "no Chromium; name it in PROMOLIFT_TEST_CHROMIUM"}))
        return 0
    from told_shop import SHOPS, told_shop

    from promolift.foundation.storage.local_store import Store

    if asked.keep:
        asked.keep.mkdir(parents=True, exist_ok=True)
    faults = 0
    with tempfile.TemporaryDirectory() as root, sync_playwright() as driver:
        told = Path(root) / "told"
        with Store(told) as store:
            told_shop(store, 1, **SHOPS["dollars"])
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for name in asked.only.split(","):
            for language, width in CASES[:1] if asked.quick else CASES:
                walk = walk_through(name, told, browser, language, width, asked.keep)
                data = f"drawn shop, {language}, {width} px"
                show(f"clicks of {name}", walk.clicks, "clicks", 1, data)
                show(f"seconds of {name}", walk.seconds, "s", 1, data)
                show(f"faults of {name}", len(walk.faults), "faults", walk.pages, data, faults=walk.faults)
                faults += len(walk.faults)
        browser.close()
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main())
