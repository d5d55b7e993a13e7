"""`promolift serve` says where it listens once it does, in words or as lines of JSON."""

import json
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest

pytest.importorskip("fastapi")
from promolift.serve.app import free_port


@pytest.mark.parametrize("as_json", [True, False])
def test_the_key_is_told_at_once_and_the_address_when_it_answers(tmp_path: Path, as_json: bool) -> None:
    url = f"http://127.0.0.1:{(port := free_port())}"
    command = [sys.executable, "-m", "promolift.cli", "serve", "--port", str(port), "--work", str(tmp_path / "work")]
    more = ["--config", str(tmp_path / "promolift.toml"), *(["--json"] if as_json else [])]
    with subprocess.Popen([*command, *more], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            key, ready = process.stdout.readline(), process.stdout.readline()
            with urlopen(f"{url}/health/ready", timeout=10) as reply:  # it answers as soon as it says so
                assert reply.status == 200
        finally:
            process.terminate()
    if as_json:
        assert json.loads(key)["admin_key"].startswith("pl_admin_")
        assert json.loads(ready) == {"ready": True, "url": url}
    else:
        assert key.startswith("admin key, shown once: pl_admin_")
        assert ready == f"ready: {url}\n"
