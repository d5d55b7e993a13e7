"""Slow requests have a bounded pool of their own: beside any number of them, health and all other routes answer."""

import asyncio
import operator
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from time import monotonic, sleep
from typing import Any

import httpx
import pytest
from error_checks import raises_code
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serve_helpers import Api

from promolift.foundation.executors.bounded_pool import BoundedPool, PoolFullError
from promolift.server.api import reader_process
from promolift.server.api import server as server_module
from promolift.server.api.problems import ApiError
from promolift.server.api.server import Server

SLOW = [
    ("GET", "/v1/exports/events.csv"),
    ("GET", "/v1/exports/decisions.parquet"),
    ("GET", "/v1/exports/codes.jsonl"),
    ("POST", "/v1/privacy/u01:export"),
    ("POST", "/v1/privacy/u01:erase"),
    ("POST", "/v1/privacy/u01:anonymise"),
]
QUICK = [
    ("GET", "/health/live"),
    ("GET", "/health/ready"),
    ("GET", "/v1/campaigns"),
    ("GET", "/v1/keys"),
    ("GET", "/promolift.js"),
]


@contextmanager
def held(server: Server) -> Iterator[threading.Event]:
    """Whatever a slow request reads or changes waits for this event; then a reading ends without its process."""
    go, change, read = threading.Event(), server.change, server.run_in_reader

    def reading(*_: Any) -> None:
        go.wait(30)
        raise ApiError(503, "reader_ended", "as if it was killed")

    def changing(*given: Any) -> Any:
        go.wait(30)
        return change(*given)

    server.run_in_reader, server.change = reading, changing  # type: ignore[method-assign, assignment]
    try:
        yield go
    finally:
        go.set()
        server.run_in_reader, server.change = read, change  # type: ignore[method-assign]


def client(url: str, api: Api) -> httpx.Client:
    limits = httpx.Limits(max_connections=None)
    return httpx.Client(base_url=url, headers={"authorization": f"Bearer {api.key}"}, timeout=40, limits=limits)


def test_fifty_exports_stop_nothing_else(address: tuple[str, Api]) -> None:
    url, api = address
    places = api.server.slow.places
    with client(url, api) as http, ThreadPoolExecutor(60) as threads, held(api.server) as go:
        ask = http.request
        slow = [threads.submit(ask, *SLOW[n % len(SLOW)]) for n in range(50)]
        until = monotonic() + 20
        while sum(each.done() for each in slow) < 50 - places and monotonic() < until:
            sleep(0.01)
        for method, path in QUICK:
            began = monotonic()
            reply = ask(method, path)
            assert reply.status_code == 200, (path, reply.text)
            assert monotonic() - began < 2, path
        go.set()
        replies = [each.result() for each in slow]
    refused = [reply for reply in replies if reply.status_code == 503 and reply.json()["code"] == "server_busy"]
    assert len(refused) == 50 - places
    assert all(int(reply.headers["retry-after"]) > 0 for reply in refused)
    assert api.server.slow._taken == 0


def test_readings_that_wait_outlive_the_process_that_reads(
    address: tuple[str, Api], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A burst of readings, more than a process does, then single ones: each is answered."""
    _, api = address
    monkeypatch.setattr(reader_process, "READINGS_PER_PROCESS", 4)
    before, api.server._readers = api.server._readers, reader_process.new_readers()
    before.shutdown(wait=False)
    said: list[bool] = []
    try:
        for burst in (6, 1, 1, 1, 1):
            more = [threading.Thread(target=lambda: said.append(api.server.run_in_reader(operator.is_not)), daemon=True)
                    for _ in range(burst)]  # fmt: skip
            for each in more:
                each.start()
            for each in more:
                each.join(30)
        assert len(said) == 10
    finally:
        api.server._readers.shutdown(wait=False, cancel_futures=True)
        api.server._readers = reader_process.new_readers()


@settings(deadline=None, max_examples=5, suppress_health_check=list(HealthCheck))
@given(asked=st.lists(st.sampled_from(SLOW), min_size=1, max_size=60))
def test_health_needs_no_thread_and_no_commit(address: tuple[str, Api], asked: list[tuple[str, str]]) -> None:
    """Law: whichever slow requests run, though all threads are taken and no commit comes through, health answers."""
    url, api = address
    commit = api.server.ledger._commit
    with client(url, api) as http, ThreadPoolExecutor(110) as threads, held(api.server) as go:
        slow = [threads.submit(http.request, *each) for each in [*asked, *[("DELETE", "/v1/keys/none")] * 45]]
        locked = threading.Event()
        api.server.ledger._commit = lambda *some: (locked.wait(30), commit(*some))[1]
        try:
            for path in ("/health/live", "/health/ready") * 2:
                assert http.get(path, timeout=2).status_code == 200, path
        finally:
            api.server.ledger._commit = commit
            locked.set()
            go.set()
        assert {each.result().status_code for each in slow} <= {200, 404, 503}


@pytest.mark.parametrize("threads", [1, 3])
def test_a_place_is_free_again_however_a_call_ends(threads: int) -> None:
    async def use() -> None:
        pool = BoundedPool("test", threads, 2)
        for number in range(30):
            go = threading.Event()
            ends: list[Callable[[], object]] = [lambda go=go: go.wait(20), lambda go=go: go.wait(20) / 0]  # type: ignore[misc]
            calls = [asyncio.create_task(pool.run(ends[(number + n) % 2])) for n in range(pool.places)]
            await asyncio.sleep(0)
            with raises_code("server_busy", kind=PoolFullError):
                await pool.run(lambda: 0)
            if number % 3:
                calls[-1].cancel()
            go.set()
            await asyncio.gather(*calls, return_exceptions=True)
            while pool._taken:  # of a cancelled call, whose thread goes on
                await asyncio.sleep(0.001)
        pool.close()

    asyncio.run(asyncio.wait_for(use(), 20))


def test_a_ledger_that_keeps_nothing_is_noticed_without_being_asked(
    address: tuple[str, Api], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, api = address
    monkeypatch.setattr(server_module, "PROBE_TIMEOUT_S", 0.1)
    go, commit = threading.Event(), api.server.ledger._commit

    def ready(status: int) -> None:
        until = monotonic() + 8
        while (reply := httpx.get(f"{url}/health/ready", timeout=2)).status_code != status and monotonic() < until:
            sleep(0.05)
        assert reply.status_code == status, reply.text

    api.server.ledger._commit = lambda *some: (go.wait(30), commit(*some))[1]
    try:
        ready(503)
    finally:
        api.server.ledger._commit = commit
        go.set()
    ready(200)
