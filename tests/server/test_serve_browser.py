"""A page in Chromium sends its events by our own script, and by Jitsu's client as it is published."""

import json
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest
from serve_helpers import CLIENTS, Api, client_found, node
from sqlalchemy import select

from promolift.server.api.app import load_snippet
from promolift.server.ledger.schema import EVENTS

CHROMIUM = os.environ.get("PROMOLIFT_TEST_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
KEPT = "promolift"
EMPTY = f"JSON.parse(localStorage['{KEPT}']).queue.length === 0"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None: ...


@contextmanager
def pages(folder: Path) -> Iterator[str]:
    """A shop's own pages, at an origin of their own."""
    handler = partial(Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as site:
        thread = threading.Thread(target=site.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{site.server_port}"
        site.shutdown()
        thread.join()


@pytest.fixture
def paged(address: tuple[str, Api], tmp_path: Path) -> Iterator[Any]:
    """A function that opens a page with our script, and its server's API. `page.tag` is what a shop writes."""
    if not CHROMIUM:
        pytest.skip("NO BROWSER: install Chromium, or name it in PROMOLIFT_TEST_CHROMIUM")
    sync = pytest.importorskip("playwright.sync_api")
    url, api = address
    key = api("POST", "/v1/keys", {"scope": "write", "name": "page"}, 201)["key"]
    site_folder = tmp_path / "site"
    site_folder.mkdir()
    with pages(site_folder) as origin, sync.sync_playwright() as driver:
        settings = api.server.settings
        api.server.settings = settings.model_copy(update={"origins": (origin,)})
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context(locale="de-DE", timezone_id="Europe/Berlin")

        def opened(more: str = "", before: str = "") -> Any:
            tag = f'<script>{before}</script><script src="{url}/promolift.js" data-key="{key}" {more}></script>'
            (site_folder / "index.html").write_text(f"<title>Tea</title><link rel=icon href=data:,>{tag}", "utf-8")
            page = context.new_page()
            page.goto(f"{origin}/index.html")
            return page

        yield opened, api
        browser.close()


def stored(api: Api, count: int, page: Any = None) -> list[dict[str, Any]]:
    """All events, once there are so many; the wait ends after a while with those that there are. A `page` goes on."""
    end = monotonic() + 15 * bool(count)
    while True:
        with api.server.ledger.read() as db:
            rows = [dict(row) for row in db.execute(select(EVENTS).order_by(EVENTS.c.seq)).mappings()]
        if len(rows) >= count or monotonic() > end:
            return [row | {"said": json.loads(row["body"])} for row in rows]
        page.wait_for_timeout(50) if page else sleep(0.05)


def kept(page: Any) -> Any:
    return json.loads(page.evaluate(f"localStorage['{KEPT}'] ?? 'null'"))


def test_the_script_is_below_3_kb_and_needs_no_key(api: Api) -> None:
    reply = api.client.get("/promolift.js")
    assert reply.text == load_snippet()
    assert len(reply.content) < 3000
    assert reply.headers["content-type"].startswith("text/javascript")
    assert reply.headers["cache-control"] == "public, max-age=3600"


def test_a_key_beside_the_headers_may_only_send_events(api: Api) -> None:
    def status(scope: str, path: str = "/v1/track", by: str = "url") -> int:
        key = api("POST", "/v1/keys", {"scope": scope, "name": scope}, 201)["key"]
        body = {"userId": "u01", "event": "Product Viewed"}
        place = f"{path}?key={key}" if by == "url" else path
        return int(
            api.client.post(place, json=body, headers={"x-write-key": key} if by == "header" else {}).status_code
        )

    assert [status("write"), status("write", "/api/s/track", "header")] == [202, 202]
    assert [status("decide"), status("admin", by="header"), status("write", "/v1/decisions")] == [401, 401, 401]
    assert api.client.post("/v1/track?key=", json={}).status_code == 401


@pytest.mark.slow
def test_a_page_sends_its_events_in_batches_and_they_become_the_customers(paged: Any) -> None:
    opened, api = paged
    page = opened(before="window.promolift = [['page', 'Home'], ['track', 'Product Viewed', {product_id: 'p1'}]]")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    page.evaluate("for (let n = 0; n < 30; n++) promolift.track('Product Viewed', { n })")
    page.evaluate("promolift.identify('u01', { language: 'en' })")
    page.wait_for_function(EMPTY)
    rows = stored(api, 33)
    assert len(rows) == 33
    assert 2 <= len(sent) <= 3
    assert {row["customer_id"] for row in rows} == {"u01"}  # what the visitor did before is theirs, too
    first = rows[0]["said"]
    assert (first["type"], first["name"], first["context"]["timezone"]) == ("page", "Home", "Europe/Berlin")
    assert first["context"]["page"]["path"] == "/index.html"
    assert kept(page)["queue"] == []


@pytest.mark.slow
def test_a_leaving_page_sends_what_is_left_by_a_beacon(paged: Any) -> None:
    opened, api = paged
    page = opened()
    page.evaluate("promolift.track('Product Added', { product_id: 'p1' }); location.href = 'about:blank'")
    (row,) = stored(api, 1)
    assert row["name"] == "Product Added"


@pytest.mark.slow
def test_what_could_not_be_sent_is_tried_again_and_counts_once(paged: Any) -> None:
    opened, api = paged
    page = opened()
    answers = ["lost", 503, 429]

    def answer(route: Any) -> None:
        if not answers:
            route.continue_()
        elif (first := answers.pop(0)) == "lost":
            route.fetch()  # it arrives, and its answer does not
            route.abort()
        else:
            route.fulfill(status=first, headers={"access-control-allow-origin": "*"})

    page.route("**/v1/batch", answer)
    page.evaluate("promolift.track('Product Viewed', { product_id: 'p1' })")
    assert len(stored(api, 1, page)) == 1
    assert len(kept(page)["queue"]) == 1
    page.close()
    answers.clear()
    again = opened()  # the next page has what the last one could not send
    again.wait_for_function(EMPTY)
    assert len(stored(api, 1)) == 1


@pytest.mark.slow
def test_before_consent_nothing_is_kept_or_sent_and_a_no_forgets_everything(paged: Any) -> None:
    opened, api = paged
    page = opened('data-consent="ask"')
    page.evaluate("promolift.track('Product Viewed', { product_id: 'p1' })")
    page.wait_for_timeout(1500)
    assert (stored(api, 0), kept(page)) == ([], None)
    page.evaluate("promolift.consent(true)")
    (row,) = stored(api, 1)
    visitor = kept(page)["visitor"]
    assert row["customer_id"] == visitor
    page.evaluate("promolift.track('Product Added'); promolift.consent(false); promolift.track('Product Viewed')")
    page.wait_for_timeout(1500)
    assert (len(stored(api, 0)), kept(page)) == (1, None)
    page.evaluate("promolift.consent(true); promolift.track('Product Viewed')")
    assert stored(api, 2)[1]["customer_id"] != visitor


JITSU_NODE = """
const { jitsuAnalytics } = require("@jitsu/js");
const [host, writeKey] = process.argv.slice(1);
(async () => {
  const jitsu = jitsuAnalytics({ host, writeKey, s2s: true });
  for (let n = 0; n < 20; n++) await jitsu.track("Product Viewed", { n, product_id: "p1" });
  await jitsu.identify("u01", { consent: true });
  await jitsu.page({ name: "home" });
  console.log("{}");
})();
"""


@pytest.mark.slow
def test_jitsus_client_for_node_delivers(address: tuple[str, Api]) -> None:
    client_found("node_modules/@jitsu/js")
    url, api = address
    key = api("POST", "/v1/keys", {"scope": "write", "name": "page"}, 201)["key"]
    node(JITSU_NODE, url, f"shop:{key}")
    rows = stored(api, 22)
    assert [row["said"].get("type") for row in rows] == ["track"] * 20 + ["identify", "page"]
    assert rows[0]["name"] == "Product Viewed"


@pytest.mark.slow
def test_jitsus_client_in_a_page_delivers(paged: Any) -> None:
    client_found("node_modules/@jitsu/js")
    opened, api = paged
    page = opened('data-consent="ask"')
    url = page.locator("script[data-key]").get_attribute("src").removesuffix("/promolift.js")
    key = page.locator("script[data-key]").get_attribute("data-key")
    path = CLIENTS / "node_modules/@jitsu/js/dist/web/p.js.txt"  # it sends to where it came from
    page.route("**/p.js", lambda route: route.fulfill(path=path, content_type="text/javascript"))
    page.evaluate(f"window.jitsuConfig = {json.dumps({'writeKey': f'shop:{key}', 'initOnly': True})}")
    page.add_script_tag(url=f"{url}/p.js")
    page.wait_for_function("!!window.jitsu?.track")
    page.evaluate("jitsu.track('Product Viewed', { product_id: 'p1' })")
    page.evaluate("jitsu.identify('u01', { language: 'en' })")
    rows = stored(api, 2, page)
    assert [row["name"] for row in rows if row["said"]["type"] == "track"] == ["Product Viewed"]
    assert {row["customer_id"] for row in rows} == {"u01"}
