"""A settings file of an earlier version: refused with the remedy, rewritten by one verb, nothing else touched."""

from pathlib import Path

import pytest
from error_checks import raises_code

from promolift.shop.configuration.configuration import load_config
from promolift.shop.configuration.migration import migrate

OLD = """\
# our shop
[data]
source = "complete-journey"   # the demo's

[plan]
budget_cents = 5000
weakest_evidence = "adjusted"     # not by guess
[rules]
weakest = 1
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "promolift.toml"
    path.write_text(OLD.replace("[rules]\nweakest = 1\n", ""), encoding="utf-8")
    return path


def test_an_old_key_is_refused_by_its_new_name_and_the_verb_that_rewrites_it(file: Path) -> None:
    with raises_code("setting_renamed", "'weakest_evidence'", "'min_evidence'", "`promolift migrate`"):
        load_config(file)


def test_migrate_renames_the_key_and_leaves_all_else_as_it_was(file: Path) -> None:
    before = file.read_text(encoding="utf-8")
    found = migrate(file)
    assert found.figures["renamed"] == {"plan.weakest_evidence": "min_evidence"}
    assert load_config(file).plan.min_evidence == "adjusted"
    assert file.read_text(encoding="utf-8") == before.replace("weakest_evidence", "min_evidence")
    assert file.with_name("promolift.toml.old").read_text(encoding="utf-8") == before
    assert "nothing to rename" in migrate(file).text


def test_a_dotted_key_is_renamed_and_one_in_braces_is_named(file: Path) -> None:
    file.write_text('plan.weakest_evidence = "auto"\n[data]\nsource = "complete-journey"\n', encoding="utf-8")
    migrate(file)
    assert 'plan.min_evidence = "auto"' in file.read_text(encoding="utf-8")
    text = 'plan = { weakest_evidence = "auto" }\n[data]\nsource = "complete-journey"\n'
    file.write_text(text, encoding="utf-8")
    with raises_code("setting_renamed", "plan.weakest_evidence", "'min_evidence'"):
        migrate(file)
    assert file.read_text(encoding="utf-8") == text


def test_what_no_version_understands_is_not_rewritten(file: Path) -> None:
    file.write_text(OLD, encoding="utf-8")
    with raises_code("setting_unknown", "'weakest'"):
        migrate(file)
    assert file.read_text(encoding="utf-8") == OLD
    with raises_code("file_not_found", "none.toml"):
        migrate(file.with_name("none.toml"))
