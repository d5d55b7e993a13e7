"""What a client reads out of the OpenAPI document is what the server does: all checks of schemathesis, on every route.

Needs the program `schemathesis` 4, which is no dependency, as it brings many of its own; PROMOLIFT_TEST_SCHEMATHESIS
names it where it is not on the path.
"""

import os
import shutil
import subprocess
import threading
from pathlib import Path
from time import sleep

import pytest
from drawn import MANY
from serve_helpers import PEOPLE, claim, coded, free_port, released, serving

from promolift.server.api.app import HttpServer, uvicorn_config
from promolift.shop.configuration.configuration import Config

PROGRAM = os.environ.get("PROMOLIFT_TEST_SCHEMATHESIS") or shutil.which("schemathesis")
# A request that the document allows may be refused by what the ledger holds. Of 404 and 409 the checks know that; of
# other statuses they do not. What breaks the document itself is `invalid`, every other code speaks of what is there.
BY_RULE = (
    "/design",
    "/policy/pacing",
    "/decision_id",
    "/to",
    "/unsubscribe_url",
    "/postal_address",
    "/benefit",
    "/cart",
    "/cart/totals",
    "cursor",
    "",
)  # fields together: no JSON schema says them
HOOKS = f"""
import schemathesis
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

@schemathesis.check
def accepted_or_refused_by_what_is_there(ctx, response, case):
    told = response.json() if response.status_code in (412, 422, 428) else {{"code": "", "errors": []}}
    by_rule = told["errors"] and all(each["pointer"] in {BY_RULE!r} for each in told["errors"])
    return None if told["code"] not in ("", "invalid") or by_rule else positive_data_acceptance(ctx, response, case)

@schemathesis.check
def refused_or_of_another_version(ctx, response, case):  # in a merge patch null removes, whatever stands there
    return None if response.status_code == 412 else negative_data_rejection(ctx, response, case)
"""


@pytest.mark.slow
@pytest.mark.skipif(PROGRAM is None, reason="needs schemathesis: pip install schemathesis")
def test_no_request_finds_the_server_doing_what_its_document_does_not_say(
    shop: tuple[Path, Config], folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "hooks.py").write_text(HOOKS, encoding="utf-8")
    with serving(folder, shop[1], rate_per_second=1e9, burst=10**9) as api:
        released(api)
        coded(api)
        api("POST", "/v1/redemptions:reserve", claim(1))
        api.decide(PEOPLE[1])
        config = uvicorn_config(api.client.app, "127.0.0.1", free_port())
        config.lifespan = "off"
        server = HttpServer(config)
        thread = threading.Thread(target=server.run)
        thread.start()
        while not server.started:
            sleep(0.02)
        url = f"http://127.0.0.1:{config.port}/openapi.json"
        command = [str(PROGRAM), "run", url, "-H", f"Authorization: Bearer {api.key}", "--seed", "1", "--no-color"]
        command += ["--max-examples", "30" if MANY else "10", "--request-timeout", "600"]
        command += ["--exclude-checks", "positive_data_acceptance,negative_data_rejection"]  # the hooks call them
        env = os.environ | {"SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(tmp_path)}
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        server.should_exit = True
        thread.join()
    print(done.stdout[-700:])
    assert done.returncode == 0, done.stdout[:20_000]
