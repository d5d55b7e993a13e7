"""Clients as their makers publish them, the examples as they are printed and the guide word for word: all work."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from serve_helpers import CAMPAIGN, CLIENTS, PEOPLE, Api, needs, released
from sqlalchemy import func, select

from promolift.store.ledger_schema import EVENTS

ROOT = Path(__file__).parents[2]
EXAMPLES, GUIDE = ROOT / "examples" / "serve", ROOT / "docs" / "serve.md"
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


def commands(text: str) -> list[str]:
    """The `call` commands of the guide's shell blocks; one may run over many lines."""
    found: list[str] = []
    for block in re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        for line in block.splitlines():
            if line.startswith("call "):
                found.append(line)
            elif found and (found[-1].endswith("\\") or found[-1].count("'") % 2):
                found[-1] += f"\n{line}"
    return found


def test_the_guide_works_word_for_word_with_real_ids(shop: tuple[Path, Any], address: tuple[str, Api]) -> None:
    """Its commands in their order, as bash runs them; ids and keys that it writes as dots are those answered before."""
    needs("bash", "curl")
    url, api = address
    api.server.config = shop[1]
    text = GUIDE.read_text(encoding="utf-8")
    told = guide_told(text, url, api.key, released_to=lambda: next(
        made["customer_id"] for made in map(api.decide, PEOPLE) if made["offer_id"] != "none"
    ))  # fmt: skip
    assert len(told) >= 9
    for command, answer in told:
        assert "detail" not in answer, (command, answer)
    statuses = [answer["status"] for _, answer in told if "redemption_id" in answer]
    assert statuses == ["reserved", "confirmed", "rolled_back"]
    documented = re.findall(r"`(GET|POST|PUT|PATCH|DELETE) (/v1/[^`?]*)[^`]*`", text)
    paths = api("GET", "/openapi.json")["paths"]
    assert len(documented) > 9
    for method, path in documented:
        written = re.sub(r"\{\w+\}", "x", path)
        named = [each for each in paths if re.fullmatch(re.sub(r"\\{\w+\\}", r"[^/:]+", re.escape(each)), written)]
        assert any(method.lower() in paths[each] for each in named), f"{method} {path}"


def guide_told(text: str, url: str, key: str, released_to: Any) -> list[tuple[str, Any]]:
    """Each command of the guide and its answer; `released_to`: a customer who is given an offer, once one can be."""
    (function,) = re.findall(r"^call\(\) .*$", text, re.MULTILINE)
    known = {"localhost:8080": url.removeprefix("http://"), "cmp_1": CAMPAIGN}
    told: list[tuple[str, Any]] = []
    for command in commands(text):
        if "customer-7" in command and "customer-7" not in known:
            known["customer-7"] = released_to()
        for written, real in known.items():
            command = command.replace(written, str(real))
        ran = subprocess.run(
            ["bash", "-c", f"{function}\n{command}"],
            env=os.environ | {"KEY": key},
            capture_output=True,
            timeout=60,
            check=True,
        )
        answer = json.loads(ran.stdout)
        told.append((command, answer))
        for name, written in (("release_id", "rel_..."), ("decision_id", "dec_..."), ("redemption_id", "rdm_..."),
                              ("code", "K7QM-W3XP-9D2H")):  # fmt: skip
            if answer.get(name):
                known[written] = answer[name]
    return told
