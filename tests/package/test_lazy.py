"""A room's names are the same things whatever was imported before, and only what it lists."""

import importlib
import pkgutil
import subprocess
import sys

import pytest

import promolift
from promolift.foundation.lazy_imports import Room

ROOMS = [name for _, name, package in pkgutil.iter_modules(promolift.__path__, "promolift.") if package]
LAZY = [name for name in ROOMS if isinstance(importlib.import_module(name), Room)]


def test_every_room_of_the_story_is_lazy() -> None:
    story = {"data", "profile", "offer", "effect", "allocate", "message", "deliver", "learn"}
    assert {f"promolift.{name}" for name in story} <= set(LAZY)


@pytest.mark.parametrize("name", LAZY)
def test_all_that_a_room_promises_is_there_and_nothing_else(name: str) -> None:
    room = importlib.import_module(name)
    assert sorted(room.__all__) == sorted(room.homes_)
    for each in room.__all__:
        assert getattr(room, each) is not None
    assert set(room.__all__) <= set(dir(room))
    with pytest.raises(AttributeError) as caught:
        _ = room.nobody
    assert "'nobody'" in str(caught.value)


def test_a_submodule_never_hides_the_function_of_its_name() -> None:
    code = (
        "import promolift.core.experiments.policy_comparison\n"
        "from promolift.core.experiments import compare, metrics\n"
        "print(callable(compare), metrics.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True promolift.core.experiments.prediction_metrics"
