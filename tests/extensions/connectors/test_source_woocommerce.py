"""Orders of a WooCommerce shop, pulled by its own client for Python from a server that replays a shop's answers."""

import csv
import json
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from error_checks import raises_code

from promolift.cli.application import main
from promolift.extensions.connectors.woocommerce import pull_orders

CLIENTS = Path(os.environ.get("PROMOLIFT_TEST_CLIENTS", Path(__file__).parents[3] / ".clients"))


@pytest.fixture(autouse=True)
def client(monkeypatch: pytest.MonkeyPatch) -> None:
    if not (CLIENTS / "woocommerce").exists():
        pytest.skip(f"needs woocommerce in {CLIENTS}; .ci/run installs it")
    monkeypatch.setattr(sys, "path", [*sys.path, str(CLIENTS)])
    monkeypatch.setenv("PROMOLIFT_WOO_KEY", "ck_1")
    monkeypatch.setenv("PROMOLIFT_WOO_SECRET", "cs_2")


def order(number: int) -> dict[str, Any]:
    """As `GET /wp-json/wc/v3/orders` answers one, shortened to what shops need."""
    line = {"id": number, "name": "Tea", "product_id": 7, "variation_id": 0, "quantity": 2, "subtotal": "10.00",
            "total": "9.00", "price": 4.5, "sku": "tea" if number % 2 else ""}  # fmt: skip
    return {
        "id": number, "number": str(700 + number), "status": "completed", "currency": "EUR", "customer_id": number % 5,
        "date_created": "2026-01-05T11:00:00", "date_created_gmt": f"2026-01-{1 + number % 28:02d}T10:00:00",
        "billing": {"email": f"kim{number % 20}@example.org"}, "coupon_lines": [{"code": "spring"}],
        "line_items": [line, line | {"id": 1000 + number, "sku": "cup", "name": "Cup", "total": "10.00"}],
    }  # fmt: skip


@contextmanager
def shop(orders: list[dict[str, Any]], answers: list[int] | None = None) -> Iterator[Any]:
    """A server that answers as the shop did; `answers` are statuses that it gives first. It keeps what it was asked."""
    asked: list[dict[str, list[str]]] = []

    class Replay(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None: ...

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            asked.append(parse_qs(parts.query) | {"path": [parts.path]})
            status = answers.pop(0) if answers else 200
            size, page = int(asked[-1]["per_page"][0]), int(asked[-1]["page"][0])
            body = json.dumps(orders[(page - 1) * size : page * size] if status == 200 else {"code": "no"}).encode()
            self.send_response(status)
            self.send_header("X-WP-TotalPages", str(-(-len(orders) // size)))
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with ThreadingHTTPServer(("127.0.0.1", 0), Replay) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()


def test_all_pages_come_once_and_init_understands_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    to = tmp_path / "orders.csv"
    orders = [order(number) for number in range(1, 251)]
    orders.insert(100, orders[99])  # what changes between two pages moves the rest
    with shop(orders, [503]) as (url, asked):
        waited: list[float] = []
        made = pull_orders(url, to, wait=waited.append)
        assert (*made, waited) == (250, 500, [2.0])
        assert [each["page"][0] for each in asked] == ["1", "1", "2", "3"]
        assert {each["path"][0] for each in asked} == {"/wp-json/wc/v3/orders"}
        assert all(each["oauth_consumer_key"] == ["ck_1"] for each in asked)
    rows = list(csv.DictReader(to.read_text("utf-8").splitlines()))
    assert rows[0] == {
        "order_id": "701", "customer_id": "kim1@example.org", "time": "2026-01-02T10:00:00Z", "status": "completed",
        "product_id": "tea", "product_name": "Tea", "quantity": "2", "amount": "9.00", "list_amount": "10.00",
        "coupon": "spring", "currency": "EUR",
    }  # fmt: skip
    assert rows[2]["product_id"] == "7"
    with pytest.raises(SystemExit) as stop:
        main(["init", "--events", str(to), "--config", str(tmp_path / "promolift.toml"), "--json"])
    assert stop.value.code in (0, None)
    (events, *_) = json.loads(capsys.readouterr().out)["tables"]
    for role in ("customer_id", "order_id", "time", "status", "product_id", "quantity", "amount"):
        assert events["columns"][role] == [role], events


def test_a_day_and_ids_are_passed_on(tmp_path: Path) -> None:
    with shop([order(3)]) as (url, asked):
        with pytest.raises(SystemExit):
            main(["woocommerce", url, "--out", str(tmp_path / "o.csv"), "--since", "2026-01-03", "--customer", "id"])
        assert asked[0]["modified_after"][0] == "2026-01-03T00:00:00"
    assert (tmp_path / "o.csv").read_text("utf-8").splitlines()[1].startswith("703,3,")


@pytest.mark.parametrize("answers", [[401], [503] * 4])
def test_a_shop_that_refuses_leaves_the_old_file_and_says_no_secret(tmp_path: Path, answers: list[int]) -> None:
    (tmp_path / "o.csv").write_text("old", "utf-8")
    with (
        shop([order(1)], answers) as (url, _),
        raises_code("remote_refused", "page 1", f"status {answers[0]}") as refused,
    ):
        pull_orders(url, tmp_path / "o.csv", wait=lambda _: None)
    assert "cs_2" not in str(refused.value)
    assert [path.name for path in tmp_path.iterdir()] == ["o.csv"]
    assert (tmp_path / "o.csv").read_text("utf-8") == "old"


def test_nobody_there_and_no_key_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with raises_code("connection_failed", "ConnectionError"):
        pull_orders("http://127.0.0.1:9", tmp_path / "o.csv", wait=lambda _: None)
    monkeypatch.delenv("PROMOLIFT_WOO_SECRET")
    with raises_code("variable_missing", "PROMOLIFT_WOO_SECRET"):
        pull_orders("http://127.0.0.1:9", tmp_path / "o.csv")
