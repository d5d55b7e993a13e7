"""A server on the loopback that speaks S3 (moto), the environment that opens it, and a gate before it."""

import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

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


class Gate(BaseHTTPRequestHandler):
    """Hands requests on to the storage until the token has expired; then answers as Amazon's does."""

    behind, expired = "", False
    SAYS = b"<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, said, headers = 400, self.SAYS, {"Content-Type": "application/xml"}
        if not Gate.expired:
            behind = HTTPConnection(Gate.behind.removeprefix("http://"), timeout=30)
            behind.request(self.command, self.path, body, dict(self.headers))
            found = behind.getresponse()
            status, said, headers = found.status, found.read(), dict(found.getheaders())
            behind.close()
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "connection", "transfer-encoding", "date", "server"):
                self.send_header(name, value)
        size = headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(said))
        self.send_header("Content-Length", size)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(said)

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = answer

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def gate(behind: str) -> Iterator[str]:
    Gate.behind, Gate.expired = behind, False
    server = ThreadingHTTPServer(("127.0.0.1", 0), Gate)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
