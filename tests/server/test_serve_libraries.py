"""Clients as their makers publish them, and the examples as they are printed: all work."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from serve_helpers import CLIENTS, PEOPLE, Api, needs, released
from sqlalchemy import func, select

from promolift.server.ledger.schema import EVENTS

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "serve"
PYTHON_CLIENT = """
import sys
import {package}.analytics as analytics
errors = []
analytics.write_key, analytics.{host}, analytics.gzip = sys.argv[2], sys.argv[1], sys.argv[3] == "gzip"
analytics.on_error = lambda error, items: errors.append(error)
for number in range(250):
    analytics.track(f"u{{number % 9}}", "Product Viewed", {{"n": number}}, anonymous_id="a")
analytics.identify("u01", {{"consent": True}})
analytics.page("u01", "home")
analytics.flush(); analytics.shutdown()
sys.exit(len(errors))
"""
SEGMENT_PYTHON = PYTHON_CLIENT.format(package="segment", host="host")
RUDDER_PYTHON = PYTHON_CLIENT.format(package="rudderstack", host="dataPlaneUrl")
SEGMENT_NODE = """
const { Analytics } = require("@segment/analytics-node");
const client = new Analytics({ writeKey: process.argv[3], host: process.argv[2], path: "/v1/batch" });
let errors = 0;
client.on("error", () => errors++);
for (let n = 0; n < 250; n++) client.track({ userId: "u" + (n % 9), event: "Product Viewed", properties: { n } });
client.identify({ userId: "u01", traits: { consent: true } });
client.page({ userId: "u01", name: "home" });
client.closeAndFlush().then(() => process.exit(errors));
"""
RUDDER_NODE = """
const Analytics = require("@rudderstack/rudder-sdk-node");
const gzip = process.argv[4] === "gzip";
const client = new Analytics(process.argv[3], { dataPlaneUrl: process.argv[2], gzip, flushInterval: 100 });
for (let n = 0; n < 250; n++) client.track({ userId: "u" + (n % 9), event: "Product Viewed", properties: { n } });
client.identify({ userId: "u01", traits: { consent: true } });
client.page({ userId: "u01", name: "home" });
client.flush((error) => error && process.exit(1));
setTimeout(() => client.flush(() => process.exit(0)), 2000);
"""


def stored(api: Api) -> int:
    with api.server.ledger.read() as db:
        return int(db.execute(select(func.count()).select_from(EVENTS)).scalar_one())


@pytest.mark.slow
@pytest.mark.parametrize("packing", ["gzip", "plain"])
@pytest.mark.parametrize(
    ("package", "program", "text"),
    [
        ("segment-analytics-python", sys.executable, SEGMENT_PYTHON),
        ("rudder-sdk-python", sys.executable, RUDDER_PYTHON),
        ("@segment/analytics-node", "node", SEGMENT_NODE),
        ("@rudderstack/rudder-sdk-node", "node", RUDDER_NODE),
    ],
)
def test_an_unmodified_client_delivers(
    address: tuple[str, Api], tmp_path: Path, package: str, program: str, text: str, packing: str
) -> None:
    needs(program)
    at = f"node_modules/{package}" if program == "node" else f"{package.replace('-', '_')}-*.dist-info"
    if not list(CLIENTS.glob(at)):
        pytest.skip(f"needs {package} in {CLIENTS}; .ci/run installs it, PROMOLIFT_TEST_CLIENTS names another folder")
    url, api = address
    key = api("POST", "/v1/keys", {"scope": "write", "name": "page"}, 201)["key"]
    (tmp_path / "client.js").write_text(text, encoding="utf-8")
    command = ["node", str(tmp_path / "client.js")] if program == "node" else [program, "-c", text]
    found = os.environ | {"NODE_PATH": str(CLIENTS / "node_modules"), "PYTHONPATH": str(CLIENTS)}
    subprocess.run([*command, url, key, packing], check=True, timeout=60, env=found)
    assert stored(api) == 252
    assert api("GET", "/v1/exports/rejects.csv").text.count("\n") == 1  # its header alone


@pytest.mark.parametrize(
    ("program", "script"), [(sys.executable, "shop.py"), ("node", "shop.mjs"), ("sh", "shop.sh")]
)  # fmt: skip
def test_the_examples_run_as_they_are_printed(
    shop: tuple[Path, Any], address: tuple[str, Api], program: str, script: str
) -> None:
    if not shutil.which(program) or (script == "shop.sh" and not shutil.which("curl")):
        pytest.skip(f"needs {program}")
    url, api = address
    api.server.config = shop[1]
    released(api)
    key = api("POST", "/v1/keys", {"scope": "decide", "name": "till"}, 201)["key"]
    made = next(found for found in map(api.decide, PEOPLE) if found["offer_id"] != "none")
    command = [program, str(EXAMPLES / script), url, made["customer_id"], f"p-{made['offer']['covers']}"]
    done = subprocess.run(
        command, check=True, timeout=60, capture_output=True, text=True, env=os.environ | {"PROMOLIFT_KEY": key}
    )
    assert "off" in done.stdout
    assert (
        "total_cents" in done.stdout
        or f"1000 before, {1000 - 10 * made['offer']['benefit']['percent']} after" in done.stdout
    )
    (kept,) = api("GET", "/v1/redemptions")["data"]
    assert (kept["status"], kept["final_cents"]) == ("confirmed", kept["reserved_cents"] // 2)  # one of two came back


def test_every_endpoint_that_a_page_names_is_there(api: Api) -> None:
    paths = api("GET", "/openapi.json")["paths"]
    for page in (ROOT / "docs").rglob("*.md"):
        for method, path in re.findall(
            r"`(GET|POST|PUT|PATCH|DELETE)\s(/v1/[^`?\s]*)[^`]*`", page.read_text(encoding="utf-8")
        ):
            written = re.sub(r"\{\w+\}", "x", path)
            known = [each for each in paths if re.fullmatch(re.sub(r"\\{\w+\\}", r"[^/:]+", re.escape(each)), written)]
            assert any(method.lower() in paths[each] for each in known), f"{page.name}: {method} {path}"
