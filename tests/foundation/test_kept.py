"""What is kept in a work folder has a verb that makes it, and an error that misses it names that verb."""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_verbs import VERBS
from error_checks import raises_code

import promolift
from promolift.foundation.storage.artifacts import PRODUCED_BY
from promolift.foundation.storage.local_store import Store, made_by
from promolift.foundation.storage.stored_model import Note
from promolift.shop.pipeline.pipeline import STEPS

SOURCE = Path(promolift.__file__).parent
MODULES = sorted(path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py"))
for _module in MODULES:  # a note class is known once its module is imported
    if "(Note):" in (SOURCE / _module).read_text("utf-8"):
        importlib.import_module("promolift." + _module[:-3].replace("/", "."))
WRITERS = {"save", "save_json", "sharded", "save_model", "save_files"}
# Where a loop or an argument hands a name on: what it may be.
HANDED_ON = {
    ("extensions/connectors/warehouse_import.py", "kept"): {"pulled_"},
    ("shop/results/work_folder/customer_erasure.py", "name"): {"health"},  # any note that names a customer
    ("shop/pipeline/steps/ingest.py", "name"): {
        "customers", "products", "exposures", "redemptions", "coupons", "shelf", "words",
    },
    ("trials/analysis/results.py", "name"): {"trial_effects", "trial_pairs", "trial_balance", "trial_placebos",
                                   "trial_qini",
                                   "trial_curves", "trial_deciles", "trial_policies", "trial_plan", "trial_frontier",
                                   "trial_dose"},
}  # fmt: skip
UNKNOWN = made_by("nobody makes this")


def tree(module: str) -> ast.Module:
    return ast.parse((SOURCE / module).read_text(encoding="utf-8"))


def writes(module: str) -> Iterator[ast.expr]:
    """The name given to each call of one of the store's writers; `np.save` and the like have no store."""
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in WRITERS:
            name = node.args[0] if node.args else None
            if name is not None and ast.unparse(node.func.value).split(".")[-1] in ("store", "self"):
                yield name


def names(module: str, written: ast.expr) -> set[str]:
    """What a written name may be; of an f-string, how it begins."""
    match written:
        case ast.Constant(str(text)):
            return {text}
        case ast.JoinedStr([ast.Constant(str(start)), *_]):
            return {start}
        case ast.Attribute(ast.Name("self"), "NAME"):
            return {note.NAME for note in notes(Note)}
        case ast.Name(name) if name.isupper():
            return {getattr(importlib.import_module("promolift." + module[:-3].replace("/", ".")), name)}
        case ast.Name(name) if (module, name) in HANDED_ON:
            return HANDED_ON[module, name]
    raise AssertionError(f"{module}:{written.lineno}: say in HANDED_ON what {ast.unparse(written)} may be")


def notes(base: type[Note]) -> Iterator[type[Note]]:
    """Every class of notes, of all modules."""
    for module in MODULES:
        if module.startswith("results/"):
            importlib.import_module("promolift." + module[:-3].replace("/", "."))
    for each in base.__subclasses__():
        yield from (each, *notes(each))


def kept() -> dict[str, str]:
    """Every name that is written, and where."""
    found = {name: module for module in MODULES if module != "foundation/storage/local_store.py"
             for written in writes(module) for name in names(module, written)}  # fmt: skip
    assert len(found) > 40, "the search for writers finds too little"
    return found


def test_whatever_is_written_has_a_verb_that_makes_it() -> None:
    missing = {name: where for name, where in kept().items() if name not in PRODUCED_BY
               and made_by(name) == UNKNOWN}  # fmt: skip
    assert not missing


def test_what_a_step_writes_itself_is_made_by_its_verb() -> None:
    steps = {f"steps/{step}.py": step for step in STEPS}
    wrong = {name: PRODUCED_BY[name] for name, where in kept().items() if where in steps and name in PRODUCED_BY
             and PRODUCED_BY[name] != steps[where]}  # fmt: skip
    assert not wrong


def test_no_verb_is_said_to_make_what_nobody_writes() -> None:
    assert not set(PRODUCED_BY) - set(kept())


@pytest.mark.parametrize("name", [*PRODUCED_BY, "effect_visited"])
def test_an_empty_work_folder_says_which_verb_makes_what_is_missing(name: str, tmp_path: Path) -> None:
    verb = PRODUCED_BY.get(name, "effect fit")
    assert verb in VERBS
    with Store(tmp_path) as store:
        for ask in (store.table, store.frame, store.shards, store.load_json, store.load_model):
            with raises_code("step_missing", f"`promolift {verb}`", repr(name)):
                ask(name)


@pytest.mark.parametrize("note", [*notes(Note)], ids=lambda note: note.NAME)
def test_a_note_that_is_missing_or_of_another_version_names_its_verb(note: type[Note], tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        with raises_code("step_missing", f"`promolift {PRODUCED_BY[note.NAME]}`"):
            note.load(store)
        store.save_json(note.NAME, {"what no version wrote": 1})
        with raises_code("result_outdated", f"`promolift {PRODUCED_BY[note.NAME]}`"):
            note.load(store)


def test_a_command_that_a_text_names_is_a_command() -> None:
    groups = {name for name in VERBS if any(other.startswith(f"{name} ") for other in VERBS)}
    seen = 0
    for module in MODULES:
        for node in ast.walk(tree(module)):
            text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
            for verb in re.findall(r"`promolift ([a-z]+(?: [a-z]+)?)", text):
                first, _, second = verb.partition(" ")
                seen += 1
                assert first in VERBS or verb in VERBS, f"{module}:{node.lineno}: promolift {verb}"
                if first in groups and second:
                    assert verb in VERBS, f"{module}:{node.lineno}: promolift {verb}"
    assert seen > 20
