"""Copies of raw files end with the run, however it ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from promolift.foundation.files.table_files import open_file
from promolift.foundation.storage.local_store import Store

WRITER = """
import sys
from pathlib import Path
from time import sleep
from promolift.foundation.files.table_files import open_file
from promolift.foundation.storage.local_store import Store
with Store(Path(sys.argv[1])) as store:
    open_file(store.connection, Path(sys.argv[2]), store.raw_copies)
    print("ready", flush=True)
    sleep(60)
"""


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """A file that is read by way of a copy, since it is not UTF-8."""
    path = tmp_path / "orders.csv"
    path.write_bytes("who,paid\nJürgen Müller,1.50\nÄnne Groß,2.50\n".encode("latin-1"))
    return path


def interrupted(work: Path, raw: Path) -> None:
    with Store(work) as store:
        open_file(store.connection, raw, store.raw_copies)
        assert copies(work)
        raise KeyboardInterrupt


def copies(work: Path) -> list[Path]:
    return [path for path in (work / "tmp").rglob("*") if path.is_file()]


def test_copies_end_with_the_run_however_it_ends(tmp_path: Path, raw: Path) -> None:
    work = tmp_path / "work"
    store = Store(work)
    open_file(store.connection, raw, store.raw_copies)
    assert copies(work)
    store.unlock()
    assert not copies(work)
    store.close()
    with pytest.raises(KeyboardInterrupt):
        interrupted(work, raw)
    assert not copies(work)


def test_what_a_killed_run_left_goes_with_the_next_and_what_lives_stays(tmp_path: Path, raw: Path) -> None:
    work = tmp_path / "work"
    command = [sys.executable, "-c", WRITER, str(work), str(raw)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout is not None
        assert killed.stdout.readline() == "ready\n"
        with Store(work):
            assert copies(work)  # its owner lives
        os.kill(killed.pid, signal.SIGKILL)
    assert copies(work)
    with Store(work) as store:
        assert not copies(work)
        open_file(store.connection, raw, store.raw_copies)
        with Store(work):
            assert copies(work)


def test_copies_of_an_earlier_version_go_with_the_first_write(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp" / "0a1b.csv").write_text("who\nJürgen\n")
    with Store(tmp_path) as store:
        store.save_json("x", 1)
    assert not copies(tmp_path)
