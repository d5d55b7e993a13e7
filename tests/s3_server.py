"""A server on the loopback that speaks S3 (moto), and the environment that opens it."""

import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

# PROMOLIFT_TEST_S3 names the program moto_server of the package moto[server]; .ci/run installs it
SERVER = os.environ.get("PROMOLIFT_TEST_S3") or shutil.which("moto_server")


@pytest.fixture(scope="module")
def s3_server() -> Iterator[str]:
    """The address of a server of this module's own."""
    pytest.importorskip("obstore")
    if not SERVER:
        pytest.skip("no S3 server; set PROMOLIFT_TEST_S3 to the program moto_server (.ci/run does)")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [SERVER, "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            with socket.socket() as tried:
                if not tried.connect_ex(("127.0.0.1", port)):
                    break
            time.sleep(0.1)
        asked = urllib.request.Request(f"http://127.0.0.1:{port}/shops", method="PUT")
        urllib.request.urlopen(asked, timeout=30).close()
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def s3_url(s3_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A place of the test's own, and the environment that opens it."""
    values = {"ACCESS_KEY_ID": "clerk", "SECRET_ACCESS_KEY": "geheim", "REGION": "us-east-1", "ENDPOINT_URL": s3_server}
    for name, value in values.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("PROMOLIFT_CACHE", str(tmp_path / "cache"))
    return f"s3://shops/{tmp_path.name}"
