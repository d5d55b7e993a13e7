"""The client for TypeScript: made from the server's own document, type-checked, and run against a server."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from serve_helpers import CLIENTS, PEOPLE, Api, client_found, needs, released

CLIENT = Path(__file__).parents[2] / "clients" / "typescript"
SHOP = """
import { Client, ServerRefused, answer } from "./index.js";
const [url = "", key = "", ...people] = process.argv.slice(2);
const shop = new Client(url, key);
const offers: (string | null)[] = [];
for (const customer_id of people) {
  const made = await shop.decide({ customer_id, language: "en" });
  offers.push(made.offer_id);
  if (made.decision_id && made.offer_id !== "none") {
    const cart = await shop.priceCart({
      customer_id, decision_ids: [made.decision_id], hold: true,
      lines: [{ line_id: "1", product_id: `p-${made.offer?.covers}`, quantity: 2, price_cents: 500 }],
    });
    for (const { redemption_id } of cart.applied) if (redemption_id) await shop.confirm({ redemption_id });
    await shop.feedback({ decision_id: made.decision_id, value_cents: cart.total_cents });
  }
}
const taken = await shop.track({ userId: "u01", event: "Product Viewed" }, { userId: "u01", event: "Cart Viewed" });
const refused = await shop.confirm({ redemption_id: "rdm_none" }).catch((error) => error);
const ready = await answer(shop.http.GET("/health/ready"));
console.log(JSON.stringify({
  offers, accepted: taken.accepted, code: refused instanceof ServerRefused && refused.code, ready,
}));
"""
WRONG = """
import { Client } from "./index.js";
const shop = new Client("", "");
await shop.decide({ customer: "u01" });
await shop.priceCart({ customer_id: "u01", lines: [{ line_id: "1", product_id: "p", price_cents: "5" }] });
const cents: string = (await shop.priceCart({ customer_id: "u01", lines: [] })).total_cents;
await shop.http.POST("/v1/decision", { body: {} });
"""


def tsc(folder: Path) -> "subprocess.CompletedProcess[str]":
    command = ["node", str(CLIENTS / "node_modules" / "typescript" / "bin" / "tsc"), "--pretty", "false"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
def test_the_typescript_client_is_made_from_the_document_and_holds_its_types(
    shop: tuple[Path, Any], address: tuple[str, Api], tmp_path: Path
) -> None:
    needs("node")
    client_found(*(f"node_modules/{name}" for name in ("typescript", "openapi-typescript", "openapi-fetch", "@types")))
    url, api = address
    api.server.config = shop[1]
    released(api)
    key = api("POST", "/v1/keys", {"scope": "decide", "name": "till"}, 201)["key"]
    folder = tmp_path / "client"
    shutil.copytree(CLIENT, folder)
    (folder / "node_modules").symlink_to(CLIENTS / "node_modules")
    generate = json.loads((CLIENT / "package.json").read_text("utf-8"))["scripts"]["generate"]
    found = {"PROMOLIFT_URL": url, "PATH": f"{folder / 'node_modules' / '.bin'}:{os.environ['PATH']}"}
    subprocess.run(
        generate, shell=True, cwd=folder, check=True, capture_output=True, timeout=120, env=os.environ | found
    )
    (folder / "shop.ts").write_text(SHOP, "utf-8")
    (printed,) = re.findall(r"```ts\n(.*?)```", (CLIENT.parents[1] / "docs/connect.md").read_text("utf-8"), re.S)
    (folder / "page.ts").write_text(printed.replace('"promolift-client"', '"./index.js"'), "utf-8")
    checked = tsc(folder)
    assert checked.returncode == 0, checked.stdout
    ran = ["node", "dist/shop.js", url, key, *PEOPLE[:12]]
    done = subprocess.run(ran, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["accepted"], said["code"], said["ready"]["status"]) == (2, "redemption_unknown", "ready")
    assert len(api("GET", "/v1/decisions")["data"]) == 12
    given = [each for each in said["offers"] if each != "none"]
    assert given
    kept = api("GET", "/v1/redemptions")["data"]
    assert [each["status"] for each in kept] == ["confirmed"] * len(given)
    (folder / "shop.ts").write_text(WRONG, "utf-8")
    wrong = [line for line in tsc(folder).stdout.splitlines() if line.startswith("shop.ts")]
    assert [int(line.split("(")[1].split(",")[0]) for line in wrong] == [4, 5, 6, 7]
