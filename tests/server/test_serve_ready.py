"""`promolift serve` says where it listens once it does, in words or as JSON, and when a full disk keeps nothing."""

import http.client
import json
import signal
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

pytest.importorskip("fastapi")
from serve_helpers import free_port, serving


@pytest.mark.parametrize("as_json", [True, False])
def test_the_key_is_told_at_once_and_the_address_when_it_answers(tmp_path: Path, as_json: bool) -> None:
    url = f"http://127.0.0.1:{(port := free_port())}"
    command = [
        sys.executable,
        "-m",
        "promolift.cli.application",
        "serve",
        "--port",
        str(port),
        "--work",
        str(tmp_path / "work"),
    ]
    more, quiet = ["--json"] if as_json else [], subprocess.DEVNULL
    with subprocess.Popen([*command, *more], stdout=subprocess.PIPE, stderr=quiet, text=True, cwd=tmp_path) as process:
        try:
            assert process.stdout is not None
            key, link, ready = (process.stdout.readline() for _ in range(3))
            with urlopen(f"{url}/health/ready", timeout=10) as reply:  # it answers as soon as it says so
                assert reply.status == 200
        finally:
            process.terminate()
    if as_json:
        assert json.loads(key)["admin_key"].startswith("pl_admin_")
        assert json.loads(link)["console"].startswith(f"{url}/console/")
        assert json.loads(ready) == {"ready": True, "url": url}
    else:
        assert key.startswith("admin key, shown once: pl_admin_")
        assert link.startswith(f"console, opens once: {url}/console/")
        assert ready == f"ready: {url}\n"


def ready(url: str) -> tuple[int, dict[str, Any]]:
    """What /health/ready answers."""
    try:
        with urlopen(f"{url}/health/ready", timeout=30) as reply:
            return reply.status, json.load(reply)
    except HTTPError as error:
        return error.code, json.load(error)


def ready_soon(url: str, status: int) -> dict[str, Any]:
    """What /health/ready answers once it has this status: the ledger is asked every second."""
    until = monotonic() + 20
    while (found := ready(url))[0] != status and monotonic() < until:
        sleep(0.1)
    assert found[0] == status
    return found[1]


def test_a_full_disk_is_told_and_when_there_is_room_again_it_goes_on(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    if not hasattr(resource, "prlimit"):
        pytest.skip("bounds the files of another process, which Linux alone can")
    url = f"http://127.0.0.1:{(port := free_port())}"
    command = [
        sys.executable,
        "-m",
        "promolift.cli.application",
        "serve",
        "--port",
        str(port),
        "--work",
        str(tmp_path / "work"),
    ]
    command, quiet = [*command, "--no-console"], subprocess.DEVNULL
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=quiet, text=True, cwd=tmp_path) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline(), process.stdout.readline()
            assert ready(url)[0] == 200
            before = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (4096, before[1]))  # no file grows any more
            assert ready_soon(url, 503) == {"status": "not ready", "why": ["the ledger takes no changes"]}
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, before)
            assert ready_soon(url, 200)["status"] == "ready"
        finally:
            process.terminate()


@pytest.mark.parametrize("impatient", [False, True])
def test_a_server_that_is_to_end_says_so_first_and_answers_until_then(tmp_path: Path, impatient: bool) -> None:
    (tmp_path / "serve.toml").write_text(f"drain_s = {60 if impatient else 1.5}", encoding="ascii")
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "promolift.cli.application",
        "serve",
        "--port",
        str(port),
        "--work",
        str(tmp_path / "work"),
    ]
    command, quiet = [*command, "--settings", str(tmp_path / "serve.toml"), "--no-console"], subprocess.DEVNULL
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=quiet, cwd=tmp_path) as process:
        assert process.stdout is not None
        process.stdout.readline(), process.stdout.readline()
        kept = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        kept.request("GET", "/health/live")
        answer = kept.getresponse()
        assert (answer.status, answer.getheader("connection")) == (200, None)
        answer.read()
        process.send_signal(signal.SIGTERM)
        sleep(0.3)
        assert ready(f"http://127.0.0.1:{port}") == (
            503,
            {"status": "not ready", "why": ["the server is about to end"]},
        )
        kept.request("GET", "/health/live")  # on the connection that was kept: answered, and told to come no more
        answer = kept.getresponse()
        assert (answer.status, answer.getheader("connection")) == (200, "close")
        assert process.poll() is None
        if impatient:
            process.send_signal(signal.SIGTERM)
        assert process.wait(20) in (0, -signal.SIGTERM)


def test_a_ledger_whose_writer_ended_is_not_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(tmp_path) as api:
        assert api("GET", "/health/ready")["status"] == "ready"
        monkeypatch.setattr(api.server.ledger, "_commit", lambda _: 1 / 0)
        until = monotonic() + 20
        while (found := api("GET", "/health/ready", status=None))["status"] == "ready" and monotonic() < until:
            sleep(0.1)
        assert found["why"] == ["the ledger takes no changes"]


SCRIPT = """
from starlette.testclient import TestClient
from promolift.server.api.app import create
from promolift.server.settings import ServeSettings
with TestClient(create(ServeSettings(work="work"))) as client:
    key = client.app.server.first_key
    print(client.get("/v1/exports/events.csv", headers={"authorization": f"Bearer {key}"}).json()["code"])
"""


@pytest.mark.slow
def test_a_script_without_its_guard_is_told_what_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")
    ran = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert ran.stdout.split() == ["reader_ended"]
    assert "ConfigError: serve: " in ran.stderr
    assert 'if __name__ == "__main__":' in ran.stderr
