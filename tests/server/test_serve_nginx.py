"""The nginx that examples/serve shows, in front of two real servers: a rolling restart loses no request, and a kill
none that can be done but once.
"""

import os
import re
import shutil
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from time import sleep

import pytest
from fleet import Client, Fleet, fleet
from ledger_helpers import POSTGRES, own_schema
from serve_helpers import CAMPAIGN, PEOPLE, free_port

from promolift.server.startup import read_settings
from promolift.shop.configuration.configuration import Config

EXAMPLES = Path(__file__).parents[2] / "examples" / "serve"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
CHECKER = os.environ.get("PROMOLIFT_TEST_COMPOSE")  # the program check-jsonschema; .ci/run installs it
needs_nginx = pytest.mark.skipif(not NGINX, reason="no nginx; .ci/run installs it")


def written(folder: Path, ports: list[int], port: int) -> list[str]:
    """The example for servers on these ports; how nginx is started with it."""
    text = (EXAMPLES / "nginx.conf").read_text(encoding="utf-8")
    for address, each in zip(re.findall(r"server (172[\d.]+:8080)", text), ports, strict=True):
        text = text.replace(address, f"127.0.0.1:{each}")
    parts = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    own = "access_log off; " + "".join(f"{part}_temp_path {folder}/{part};" for part in parts)
    text = text.replace("http {", f"http {{ {own}", 1).replace("listen 8080", f"listen 127.0.0.1:{port}")
    (folder / "nginx.conf").write_text(text, encoding="utf-8")
    words = f"daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;"
    return [str(NGINX), "-p", str(folder), "-c", str(folder / "nginx.conf"), "-g", words]


@contextmanager
def in_front(folder: Path, servers: Fleet) -> Iterator[int]:
    """nginx before the servers; its port."""
    folder.mkdir()
    port = free_port()
    command = written(folder, [servers.ports[name] for name in sorted(servers.ports)], port)
    tried = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
    assert "test is successful" in tried.stderr, tried.stderr
    with subprocess.Popen(command) as process:
        try:
            sleep(0.5)
            yield port
        finally:
            process.terminate()


class Visitors:
    """Clients of nginx that ask one thing after the other; every answer is counted."""

    def __init__(self, port: int, key: str, keyed: bool) -> None:
        self.answers, self.broken, self.stop = Counter[str](), Counter[str](), threading.Event()
        self.port, self.key, self.keyed = port, key, keyed
        self.threads = [threading.Thread(target=self._ask, args=(me,)) for me in range(8)]

    def _ask(self, me: int) -> None:
        with closing(Client([self.port], self.key, self.broken)) as call:
            for number in range(10**6):
                if self.stop.is_set():
                    return
                body = {"customer_id": PEOPLE[(me * 7 + number) % len(PEOPLE)], "campaign_id": CAMPAIGN}
                said = call("/v1/decisions", body, f"{id(self)} {me} {number}" if self.keyed else "")
                self.answers[str(said["reason"]).partition(":")[0]] += 1
                sleep(0.005)

    def __enter__(self) -> "Visitors":
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join()


@pytest.mark.slow
@needs_nginx
@pytest.mark.skipif(
    not os.environ.get("PROMOLIFT_TEST_RESTART"),
    reason="a restart in seconds: set PROMOLIFT_TEST_RESTART where nothing else is busy",
)
@pytest.mark.skipif(not POSTGRES, reason="PostgreSQL: set PROMOLIFT_TEST_POSTGRES (.ci/run does)")
def test_a_rolling_restart_loses_no_request_and_a_kill_none_with_a_key(
    shop: tuple[Path, Config], tmp_path: Path
) -> None:
    with fleet(tmp_path, shop[0], own_schema("test_nginx", anew=True), drain_s=6) as servers:
        servers.start("a"), servers.start("b")
        with closing(Client([servers.ports["a"]], servers.key, Counter())) as call:
            name = call("/v1/releases", None, "make")["release_id"]
            call(f"/v1/releases/{name}:activate", None, "activate")
        servers.wait()
        with in_front(tmp_path / "nginx", servers) as port:
            with Visitors(port, servers.key, keyed=False) as seen:
                for each in "ab":
                    sleep(0.5)
                    servers.drain(each)
                    servers.start(each, port=servers.ports[each])
                    servers.wait()
                    sleep(2)  # nginx leaves one that did not answer alone for a second
            assert (seen.broken, {"failure", "timeout", "release"} & set(seen.answers)) == (Counter(), set())
            assert seen.answers.total() > 200
            with Visitors(port, servers.key, keyed=True) as seen:
                sleep(0.5)
                servers.kill("a")
                sleep(1)
            assert (seen.broken, {"failure", "timeout", "release"} & set(seen.answers)) == (Counter(), set())
            assert seen.answers.total() > 50


@needs_nginx
def test_the_configuration_is_one(tmp_path: Path) -> None:
    tried = subprocess.run([*written(tmp_path, [9, 10], 9), "-t"], capture_output=True, text=True, check=False)
    assert "test is successful" in tried.stderr, tried.stderr


@pytest.mark.parametrize("file", [EXAMPLES / "compose.yaml", EXAMPLES.parents[1] / "compose.yaml"])
def test_compose_files_are_as_their_schema_says(file: Path) -> None:
    if not CHECKER:
        pytest.skip("set PROMOLIFT_TEST_COMPOSE to the program check-jsonschema (.ci/run does)")
    told = [CHECKER, "--builtin-schema", "vendor.compose-spec", str(file)]
    assert subprocess.run(told, check=False).returncode == 0


def test_the_parts_of_the_example_fit_each_other() -> None:
    compose, nginx = (EXAMPLES.joinpath(name).read_text(encoding="utf-8") for name in ("compose.yaml", "nginx.conf"))
    assert set(re.findall(r"ipv4_address: ([\d.]+)", compose)) == set(re.findall(r"server (172[\d.]+):8080", nginx))
    mounted = re.findall(r"- \./([\w.-]+\.\w+):", compose)
    assert {"nginx.conf", "servers.toml", "with-secrets.sh"} == set(mounted)
    assert all((EXAMPLES / name).is_file() for name in mounted)
    settings = read_settings(EXAMPLES / "servers.toml", Path("work"))
    grace = re.search(r"stop_grace_period: (\d+)s", compose)
    assert grace
    assert settings.drained_s + 10 < int(grace[1])
    named = set(re.findall(r"/run/secrets/([\w-]+)", compose + (EXAMPLES / "with-secrets.sh").read_text("utf-8")))
    assert named == set(re.findall(r"file: \./secrets/([\w-]+)", compose))
