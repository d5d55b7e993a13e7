"""A notebook opens a shop whether or not the libraries of its widgets are installed."""

import subprocess
import sys
from pathlib import Path

import pytest

KERNEL = """
import builtins, sys, types
if not {widgets}:
    sys.modules["ipywidgets"] = None  # as where it is not installed
shell = type("Shell", (), {{"config": {{"IPKernelApp": {{}}}}}})
sys.modules["IPython"] = types.ModuleType("IPython")
sys.modules["IPython"].get_ipython = builtins.get_ipython = shell
if {widgets}:
    sys.modules["ipywidgets"] = widgets = types.ModuleType("ipywidgets")
    widgets.FloatProgress = widgets.Layout = widgets.HTML = widgets.HBox = lambda *_, **__: None
import promolift
from promolift.foundation.storage.local_store import Store
with Store("work") as store:
    print(store.connection.execute("select current_setting('enable_progress_bar')").fetchall())
    print(store.connection.execute("select count(*) from range(10_000_000) a where a.range % 3 = 1").fetchall())
"""


@pytest.mark.parametrize("widgets", [False, True])
def test_a_store_opens_in_a_notebook_with_and_without_widgets(tmp_path: Path, widgets: bool) -> None:
    command = [sys.executable, "-c", KERNEL.format(widgets=widgets)]  # a kernel has no __main__.__file__ either
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split("\n")[:2] == ["[(False,)]", "[(3333333,)]"]
