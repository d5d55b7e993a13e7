"""A server's background tasks end when they are told to, whatever they wait for at that moment."""

import asyncio
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from promolift.server.api.server import Server
from promolift.server.settings import ServeSettings
from promolift.server.tasks.background_tasks import BackgroundTask, BackgroundTasks


@pytest.mark.parametrize("turns", range(6))
def test_a_probe_that_ends_in_the_moment_of_the_stop_does_not_keep_the_server_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, turns: int
) -> None:
    """Law: at whatever turn of the loop the ledger answers, the stop ends."""

    async def stop(server: Server) -> None:
        future = asyncio.get_running_loop().create_future()
        monkeypatch.setattr(server.ledger, "call", lambda *_, **__: future)
        tasks = BackgroundTasks([BackgroundTask("ledger", 1000.0, server.probe_ledger)])
        tasks.start()
        for _ in range(turns):
            await asyncio.sleep(0)
        if not future.done():
            future.set_result(None)
        begun_s = asyncio.get_running_loop().time()
        async with asyncio.timeout(2):
            await tasks.stop()
        assert asyncio.get_running_loop().time() - begun_s < 1

    with closing(Server(ServeSettings.parse({"work": tmp_path}, "test"))) as server:
        call: Any = server.ledger.call
        asyncio.run(stop(server))
        monkeypatch.setattr(server.ledger, "call", call)
