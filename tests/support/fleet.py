"""Servers as processes of their own on one PostgreSQL, with a folder each and releases in one they share; and a client
that goes to the next one where one does not answer.
"""

import http.client
import json
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from serve_helpers import free_port

from promolift.foundation.storage.local_store import Store

HERE = Path(__file__).parent
PATIENCE_S = 60.0  # how long no server may answer: they start slowly on a busy machine
LEFT_S = 6.0  # how long one that is about to end is left alone; it drains for less


class Fleet:
    """Servers by name; all that were started end with it."""

    def __init__(self, tmp_path: Path, planned: Path, url: str, drain_s: float) -> None:
        self.root, self.planned, self.drain_s = tmp_path, planned, drain_s
        self.ports: dict[str, int] = {}
        self.running: dict[str, subprocess.Popen[str]] = {}
        self.key = ""
        with Store(planned) as store:
            self.secret = store.secret()
        settings = {"ledger": url, "releases": str(tmp_path / "shared"), "drain_s": drain_s, "deadline_ms": 20_000}
        settings |= {"rate_per_second": 1e6, "burst": 10**6}
        lines = (f"{name} = {json.dumps(value)}\n" for name, value in settings.items())
        (tmp_path / "serve.toml").write_text("".join(lines), encoding="utf-8")

    def start(self, name: str, newer: bool = False, port: int = 0) -> None:
        """Start a server and wait until it is ready; the first has the plan, each other an empty folder."""
        work = self.root / name
        if not work.exists() and not self.ports:
            shutil.copytree(self.planned, work)
        work.mkdir(exist_ok=True)
        (work / "secret.key").write_text(self.secret, encoding="ascii")
        port = self.ports[name] = port or free_port()
        script = [str(HERE / "newer_server.py")] if newer else ["-m", "promolift.cli"]
        command = [sys.executable, *script, "serve", "--json", "--no-console", "--port", str(port), "--work", str(work)]
        command += ["--config", str(self.root / "promolift.toml"), "--settings", str(self.root / "serve.toml")]
        with (self.root / f"{name}.log").open("a", encoding="utf-8") as log:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        self.running[name] = process
        assert process.stdout
        for line in process.stdout:
            said = json.loads(line)
            self.key = said.get("admin_key", self.key)
            if "ready" in said:
                break
        self.wait()

    def wait(self) -> None:
        """Until all are ready: what one has activated the others have loaded."""
        while any(self.ready(name) != 200 for name in self.running):
            assert all(process.poll() is None for process in self.running.values())
            sleep(0.05)

    def ready(self, name: str) -> int:
        """What /health/ready answers."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.ports[name], timeout=30)) as asked:
            asked.request("GET", "/health/ready")
            with asked.getresponse() as answer:
                return answer.status

    def kill(self, name: str) -> None:
        """As if its machine were gone."""
        self.running[name].kill()
        self._over(name)

    def drain(self, name: str) -> None:
        """End it as it should be ended; returns when it is."""
        self.running[name].send_signal(signal.SIGTERM)
        self._over(name)

    def _over(self, name: str) -> None:
        process = self.running.pop(name)
        process.wait(60)
        assert process.stdout
        process.stdout.close()

    def close(self) -> None:
        for name in list(self.running):
            self.kill(name)


@contextmanager
def fleet(tmp_path: Path, planned: Path, url: str, drain_s: float = 1.0) -> Iterator[Fleet]:
    """A fleet without servers yet."""
    made = Fleet(tmp_path, planned, url, drain_s)
    try:
        yield made
    finally:
        made.close()


class Client:
    """Asks one of several addresses after the other until one answers; with a key nothing is done twice."""

    def __init__(self, ports: Sequence[int], key: str, broken: Counter[str]) -> None:
        self.ports, self.key, self.broken = ports, key, broken
        self._at = count()
        self._kept: dict[int, http.client.HTTPConnection] = {}
        self._left: dict[int, float] = {}  # until when a server is not asked that ends its connections

    def _next(self) -> int:
        """As a proxy does: nobody is sent to a server that is about to end, if there is another."""
        for _ in self.ports:
            port = self.ports[next(self._at) % len(self.ports)]
            if self._left.get(port, 0.0) < monotonic():
                break
        return port

    def __call__(self, path: str, body: Any, once: str, method: str = "POST") -> Any:
        headers = {"authorization": f"Bearer {self.key}", "content-type": "application/json"}
        headers |= {"idempotency-key": once} if once else {}
        until = monotonic() + PATIENCE_S
        while monotonic() < until:
            port = self._next()
            call = self._kept.pop(port, None) or http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            try:
                call.request(method, path, json.dumps(body), headers)
                reply = call.getresponse()
                text = reply.read()
            except (OSError, http.client.HTTPException) as error:
                call.close()
                if isinstance(error, ConnectionRefusedError):
                    sleep(0.005)  # nothing was sent: nobody is there
                else:
                    self.broken[f"{port} {type(error).__name__}"] += 1
                continue
            if reply.will_close:
                call.close()
                self._left[port] = monotonic() + LEFT_S
            else:
                self._kept[port] = call
            if reply.status < 500 and (said := json.loads(text)).get("code") != "running":
                return said
            self.broken[f"{port} {reply.status}"] += 1
            sleep(0.02)
        raise AssertionError("no server answers")

    def close(self) -> None:
        for call in self._kept.values():
            call.close()


def run_all(threads: Sequence[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
