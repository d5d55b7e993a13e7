"""The process that reads the ledger and the work folder for a server: exports, searches, results of large tests."""

import os
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, parent_process

READINGS_PER_PROCESS = 100


def new_readers() -> ProcessPoolExecutor:
    """Started at the first reading; anew after some, which gives their memory back."""
    return ProcessPoolExecutor(
        1, get_context("spawn"), initializer=_begin_reading, max_tasks_per_child=READINGS_PER_PROCESS
    )


def _begin_reading() -> None:
    """Run after everybody else (Windows cannot), and end with the server: also where that is killed."""
    getattr(os, "nice", abs)(10)
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()


def _end_with_parent() -> None:
    if (server := parent_process()) is not None:
        server.join()
        os._exit(1)
