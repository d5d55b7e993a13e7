"""A settings file of an earlier version: refused with the remedy, rewritten by one verb, nothing else touched."""

from pathlib import Path

import pytest
from error_checks import raises_code
from pydantic import ValidationError

from promolift.core.offers.menu import DEFAULT_MENU
from promolift.extensions.finance.results import LendingSettings
from promolift.foundation.settings import Settings
from promolift.server.ledger.records import MenuDraft
from promolift.shop.configuration.configuration import load_config
from promolift.shop.configuration.migration import migrate
from promolift.shop.results.learned_policy import EarningsDrivers
from promolift.shop.results.line_tests import LineTestNote
from promolift.shop.results.plan_note import RuleCost
from promolift.trials.analysis.results import TrialFit

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


GROUPS = """\
[data]
source = "complete-journey"

[plan]
budget_cents = 5000
groups = [  # many
    "a]", "b",
]
# stays
holdout_share = 0.2
"""


def test_a_setting_that_is_no_more_is_named_and_taken_out_with_its_whole_value(file: Path) -> None:
    file.write_text(GROUPS, encoding="utf-8")
    with raises_code("setting_removed", "'groups'", "`promolift migrate`"):
        load_config(file)
    assert list(migrate(file).figures["removed"]) == ["plan.groups"]  # type: ignore[call-overload]
    assert file.read_text(encoding="utf-8") == GROUPS.replace('groups = [  # many\n    "a]", "b",\n]\n', "")
    assert load_config(file).plan.holdout_share == 0.2
    file.write_text('plan = { groups = ["a"] }\n[data]\nsource = "complete-journey"\n', encoding="utf-8")
    with raises_code("setting_removed", "plan.groups"):
        migrate(file)


@pytest.mark.parametrize(("old", "new"), [("true", 0.1), ("'auto'", 0.1), ("false", 0.0)])
def test_the_switch_of_draws_became_their_share_of_the_budget(file: Path, old: str, new: float) -> None:
    text = f'[data]\nsource = "complete-journey"\n[plan]\n trial = {old}  # says true, auto or false\nseed = 3\n'
    file.write_text(text, encoding="utf-8")
    with raises_code("setting_renamed", "'trial'", "'test_share'"):
        load_config(file)
    migrate(file)
    assert file.read_text(encoding="utf-8") == text.replace(f"trial = {old}", f"test_share = {new}")
    assert (load_config(file).plan.test_share, load_config(file).plan.seed) == (new, 3)


def test_what_no_version_understands_is_not_rewritten(file: Path) -> None:
    file.write_text(OLD, encoding="utf-8")
    with raises_code("setting_unknown", "'weakest'"):
        migrate(file)
    assert file.read_text(encoding="utf-8") == OLD
    with raises_code("file_not_found", "none.toml"):
        migrate(file.with_name("none.toml"))


@pytest.mark.parametrize("kind", [LineTestNote, RuleCost, TrialFit])
def test_a_stored_result_is_read_under_the_key_that_an_earlier_version_wrote(kind: type[Settings]) -> None:
    def missing(values: dict[str, int]) -> set[str]:
        with pytest.raises(ValidationError) as caught:
            kind.model_validate(values)
        return {str(each["loc"][0]) for each in caught.value.errors()}

    ((old, new),) = kind.ALIASES.items()
    assert missing({}) - missing({old: 3}) == {new} == missing({}) - missing({new: 3})


def test_keys_of_earlier_versions_are_read_and_today_s_are_written() -> None:
    lending = {"path": "a.csv", "taken": "y", "terms": [{"id": "one"}]}
    settings = LendingSettings.parse(lending | {"asked": "new.csv"}, "finance.toml")
    assert settings == LendingSettings.parse(lending | {"applicants": "new.csv"}, "finance.toml")
    assert "asked" not in settings.model_dump()
    with raises_code("setting_unknown", "'asked'"):
        LendingSettings.parse(lending | {"asked": "new.csv", "applicants": "new.csv"}, "finance.toml")
    draft = MenuDraft.model_validate({"line": DEFAULT_MENU[0], "status": "approved", "by": "a", "said_by": "b"})
    assert draft.decided_by == "b"
    assert "said_by" not in draft.to_json()
    drivers = EarningsDrivers(customers=9, reached=5, used=2, total=1.0)
    assert EarningsDrivers.of({"customers": 9, "given": 5, "used": 2, "total": 1.0}) == drivers


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_language_of_an_earlier_version_becomes_the_only_one(language: str, tmp_path: Path) -> None:
    file = tmp_path / "promolift.toml"
    old = (
        f'[shop]\nlanguage = "{language}"  # ours\n[data]\nsource = "complete-journey"\n[message]\nlanguages = ["en"]\n'
    )
    file.write_text(old, encoding="utf-8")
    migrate(file)
    assert load_config(file).shop.languages == (language,)
    assert "# ours" in file.read_text(encoding="utf-8")
