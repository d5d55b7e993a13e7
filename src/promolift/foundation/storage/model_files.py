"""A frozen model to arrays and a manifest that is plain JSON, and back: nothing is pickled, no class is named by data.

Dataclasses, tuples, numbers, texts and arrays are what models are made of; equal texts and arrays are kept once.
"""

from dataclasses import fields, is_dataclass
from typing import Any, NamedTuple

import numpy as np

from promolift.foundation.errors import InputError
from promolift.foundation.i18n.lazy_message import gettext_lazy

Arrays = dict[str, "np.ndarray[Any, Any]"]


class ModelParts(NamedTuple):
    """A model in the form it is saved in: arrays by name, and a manifest of plain JSON that says where each belongs."""

    arrays: Arrays
    manifest: dict[str, Any]


def to_parts(model: object) -> ModelParts:
    """The model as arrays and a manifest."""
    arrays: Arrays = {}
    return ModelParts(arrays, {"format": 1, "model": _pack(model, arrays, {})})


def from_parts(arrays: Arrays, manifest: dict[str, Any], known: tuple[type, ...]) -> Any:
    """The model again. Raises InputError where the manifest asks for a class that is not `known`, or a lost array."""
    if manifest.get("format") != 1:
        raise InputError(
            "file_version_unsupported",
            gettext_lazy("model manifest: format {get}; this version reads format 1", get=repr(manifest.get("format"))),
        )
    return _unpack(manifest["model"], arrays, {kind.__name__: kind for kind in known}, {})


def _pack(value: Any, arrays: Arrays, seen: dict[int, Any]) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return {"text": value}
    if id(value) in seen:  # the response model is shared by several learners
        return {"again": seen[id(value)]}
    if isinstance(value, np.ndarray):
        name = f"a{len(arrays)}"
        arrays[name] = value
        return {"array": name}
    if isinstance(value, tuple):
        return [_pack(each, arrays, seen) for each in value]
    if not is_dataclass(value):
        raise TypeError(f"{type(value).__name__} cannot be part of a model")
    seen[id(value)] = len(seen)
    number = seen[id(value)]
    packed = {f.name: _pack(getattr(value, f.name), arrays, seen) for f in fields(value)}
    return {"class": type(value).__name__, "number": number, "fields": packed}


def _unpack(value: Any, arrays: Arrays, known: dict[str, type], seen: dict[int, Any]) -> Any:
    if isinstance(value, list):
        return tuple(_unpack(each, arrays, known, seen) for each in value)
    if not isinstance(value, dict):
        return value
    if "text" in value:
        return value["text"]
    if "again" in value:
        return seen[value["again"]]
    if "array" in value:
        if value["array"] not in arrays:
            raise InputError(
                "model_incomplete",
                gettext_lazy(
                    "model manifest: array {array} is missing; the model's files are incomplete",
                    array=repr(value["array"]),
                ),
            )
        return arrays[value["array"]]
    if value.get("class") not in known:
        raise InputError(
            "model_invalid",
            gettext_lazy(
                "model manifest: unknown class {get}; written by another version?", get=repr(value.get("class"))
            ),
        )
    built = {name: _unpack(each, arrays, known, seen) for name, each in value["fields"].items()}
    seen[value["number"]] = known[value["class"]](**built)
    return seen[value["number"]]
