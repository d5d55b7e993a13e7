"""A proposal waits for a person: shown in words, approved once and for its own plan, or rejected; nothing half done."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from promolift.cli.application import main
from promolift.core.customers.settings import ConsentSettings
from promolift.core.decisions import LineEffect, ReleaseTerms
from promolift.foundation.storage.local_store import Store
from promolift.shop.configuration.configuration import ShopSettings
from promolift.shop.feedback import proposal as room
from promolift.shop.feedback.proposal import Proposal, plan_fingerprint, write_atomically
from promolift.shop.results.plan_note import PlanNote
from promolift.shop.results.work_folder.active_release import load_approved_release

CAMPAIGN = "spring"
CONFIG = f'[data]\nsource = "complete-journey"\n[plan]\ncampaign = "{CAMPAIGN}"\n[shop]\ncurrency = "USD"\n'
TERMS = ReleaseTerms(campaign_id=CAMPAIGN, policy_id="plan", policy_version="1", price=0.5, seed=1, holdout_share=0.1)
EFFECT = LineEffect(
    arm="all-10", group="all customers", net_cents=42.0, net_se_cents=16.0, window_cents=20.0, window_se_cents=9.0,
    cost_cents=8.0, pays=0.99, state="give", share=1.0, n_arm=300, n_none=300, evidence="randomised",
)  # fmt: skip
NEXT = TERMS.model_copy(
    update={
        "policy_version": "2",
        "seed": 2,
        "effects": (EFFECT,),
    }
)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A folder with promolift.toml, a planned work folder and a proposal for that plan."""
    (tmp_path / "promolift.toml").write_text(CONFIG, encoding="utf-8")
    (tmp_path / "out").mkdir()
    planned(tmp_path, TERMS)
    propose(tmp_path)
    return tmp_path


def planned(folder: Path, terms: ReleaseTerms, offer: str = "a") -> None:
    """Keep a plan."""
    numbers = dict.fromkeys(
        ("budget_cents", "gain_cents", "gain_low_cents", "gain_high_cents", "cost_cents", "added_cents",
         "subsidy_cents", "treated", "customers", "held_out", "barred", "price", "worth", "bound_cents",
         "planned_cents", "gap"), 0)  # fmt: skip
    note = PlanNote(**numbers, evidence="assumed", explain="", terms=terms, menu=(), shop=ShopSettings(),
                    consent=ConsentSettings())  # fmt: skip
    decided = pl.DataFrame({"decision_id": ["d1", "d2"], "offer_id": [offer, "none"], "propensity": [0.9, 1.0]})
    with Store(folder / "work") as store:
        note.keep(store)
        store.save("decisions", decided)


def propose(folder: Path, **changed: Any) -> Proposal:
    """Write a proposal for the plan in the work folder; nothing speaks against it."""
    with Store(folder / "work") as store:
        mark = plan_fingerprint(store)
    values = {
        "release": NEXT, "kind": "release", "changes": ("all-10 for all customers: given",),
        "within_guardrails": True, "why": "it has been shown to pay", "expected_per_customer": 42.0,
        "expected_interval": (10.0, 74.0), "plan": mark,
        "status": "waiting for a person",
    }  # fmt: skip
    return Proposal(**(values | changed)).write(folder / "out")


def call(folder: Path, verb: str, *more: str) -> int:
    """`promolift learn VERB` on the folder; its exit code."""
    at = ["--config", str(folder / "promolift.toml"), "--work", str(folder / "work"), "--out", str(folder / "out")]
    with pytest.raises(SystemExit) as end:
        main(["learn", verb, *at, *more])
    return int(end.value.code or 0)


def now(folder: Path) -> ReleaseTerms | None:
    with Store(folder / "work") as store:
        return load_approved_release(store, CAMPAIGN)


def kept(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "out/proposal.json").read_text("utf-8")))


Capture = pytest.CaptureFixture[str]


def test_show_says_what_changes_what_it_is_worth_and_what_is_approved(shop: Path, capsys: Capture) -> None:
    assert call(shop, "show") == 0
    said = capsys.readouterr().err
    for part in ("A proposal to release in", "waiting for a person", "all-10 for all customers: given", "+$0.42",
                 "$0.10", "$0.74", "nothing speaks against the draws", "it has been shown to pay",
                 "Approved now: nothing", "promolift learn approve"):  # fmt: skip
        assert part in said, part
    assert call(shop, "approve") == 0
    assert call(shop, "show", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["approved"]["policy_version"] == "2"
    assert said["proposal"]["status"] == "approved by a person"


@pytest.mark.parametrize("kind", ["test", "stop"])
def test_what_is_expected_to_lose_is_shown_as_a_test_or_a_stop_and_never_as_a_release(
    shop: Path, capsys: Capture, kind: str
) -> None:
    propose(shop, kind=kind, expected_per_customer=-5.0, expected_interval=(-9.0, -1.0))
    assert call(shop, "show") == 0
    said = capsys.readouterr().err
    assert "to release" not in said
    assert {"test": "A test, no release,", "stop": "A proposal to stop"}[kind] in said
    assert "$0.05" in said


def test_approving_keeps_the_release_marks_the_proposal_and_names_the_next_command(shop: Path, capsys: Capture) -> None:
    before = kept(shop)
    assert call(shop, "approve") == 0
    assert "promolift run" in capsys.readouterr().err
    assert now(shop) == NEXT
    after = kept(shop)
    assert after["status"] == "approved by a person"
    assert after["decided_at"].startswith("20")
    assert {name: after[name] for name in before if name != "status"} == {
        name: value for name, value in before.items() if name != "status"
    }


def test_what_was_approved_before_stays_written_in_the_proposal_that_took_its_place(shop: Path) -> None:
    assert call(shop, "approve") == 0
    later = NEXT.model_copy(update={"policy_version": "3"})
    propose(shop, release=later)
    assert call(shop, "approve") == 0
    assert now(shop) == later
    assert ReleaseTerms(**kept(shop)["replaced"]) == NEXT


@pytest.mark.parametrize("first", ["approve", "reject"])
@pytest.mark.parametrize("then", ["approve", "reject"])
def test_a_decided_proposal_is_not_decided_again(shop: Path, capsys: Capture, first: str, then: str) -> None:
    assert call(shop, first) == 0
    release, proposal = now(shop), kept(shop)
    assert call(shop, then, *(["--yes"] if then == "approve" else [])) == 2
    said = capsys.readouterr().err
    assert "[proposal_already_decided]" in said
    assert "promolift learn" in said
    assert (now(shop), kept(shop)) == (release, proposal)


def test_rejecting_leaves_the_release_in_force(shop: Path, capsys: Capture) -> None:
    assert call(shop, "approve") == 0
    propose(shop, release=NEXT.model_copy(update={"policy_version": "3"}))
    assert call(shop, "reject", "--why", "too bold for Christmas", "--json") == 0
    assert json.loads(capsys.readouterr().out)["status"] == "rejected by a person"
    assert now(shop) == NEXT
    assert (kept(shop)["status"], kept(shop)["note"]) == ("rejected by a person", "too bold for Christmas")


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"within_guardrails": False, "why": "the sample ratio is broken"}, "the sample ratio is broken"),
        ({"expected_per_customer": -5.0}, "earns less than no offers"),
        ({"plan": None}, "without the plan of this work folder"),
    ],
)
def test_what_speaks_against_it_needs_a_yes_and_is_said_loudly(
    shop: Path, capsys: Capture, changed: dict[str, Any], text: str
) -> None:
    propose(shop, **changed)
    assert call(shop, "approve") == 2
    refused = capsys.readouterr().err
    assert "[confirmation_required]" in refused
    assert "--yes" in refused
    assert now(shop) is None
    assert kept(shop)["status"] == "waiting for a person"
    assert call(shop, "approve", "--yes") == 0
    said = capsys.readouterr().err.splitlines()
    assert any(line.startswith("WARNING: ") and text in line for line in said)
    assert now(shop) == NEXT


@pytest.mark.parametrize("verb", ["approve", "reject"])
def test_a_proposal_of_another_campaign_is_refused(shop: Path, capsys: Capture, verb: str) -> None:
    propose(shop, release=NEXT.model_copy(update={"campaign_id": "autumn"}))
    assert call(shop, verb) == 2
    said = capsys.readouterr().err
    assert "[campaign_differs]" in said
    assert "'autumn'" in said
    assert "'spring'" in said
    assert now(shop) is None


def no_plan(folder: Path) -> None:
    (folder / "work/notes/plan.json").unlink()


@pytest.mark.parametrize(
    "later",
    [
        lambda folder: planned(folder, TERMS.model_copy(update={"price": 0.6})),
        lambda folder: planned(folder, TERMS, offer="b"),
        no_plan,
    ],
)
def test_a_proposal_for_another_plan_is_refused_even_with_a_yes(
    shop: Path, capsys: Capture, later: Callable[[Path], None]
) -> None:
    later(shop)
    assert call(shop, "approve", "--yes") == 2
    said = capsys.readouterr().err
    assert "[result_outdated]" in said
    assert "promolift learn" in said
    assert now(shop) is None
    planned(shop, TERMS)  # the same plan made once more is the same plan
    assert call(shop, "approve") == 0


@pytest.mark.parametrize(
    ("content", "code", "fact"),
    [
        ("{", "file_unreadable", "promolift learn"),
        ('{"changes": []}', "setting_missing", "release"),
        (None, "proposal_missing", "promolift learn"),
    ],
)
def test_a_missing_or_damaged_proposal_is_refused_with_the_remedy(
    shop: Path, capsys: Capture, content: str | None, code: str, fact: str
) -> None:
    path = shop / "out/proposal.json"
    path.unlink() if content is None else path.write_text(content, encoding="utf-8")
    for verb in ("approve", "reject"):
        assert call(shop, verb) == 2
        said = capsys.readouterr().err
        assert f"[{code}]" in said
        assert "proposal.json" in said
        assert fact in said
    assert now(shop) is None


def test_a_proposal_with_a_field_changed_by_hand_to_nonsense_is_refused(shop: Path, capsys: Capture) -> None:
    values = kept(shop)
    values["release"]["price"] = -1
    (shop / "out/proposal.json").write_text(json.dumps(values), encoding="utf-8")
    assert call(shop, "approve") == 2
    said = capsys.readouterr().err
    assert "[setting_invalid]" in said
    assert "release.price = -1" in said


def test_a_work_folder_that_is_not_there_is_not_made(shop: Path, capsys: Capture) -> None:
    at = ["--config", str(shop / "promolift.toml"), "--work", str(shop / "wrok"), "--out", str(shop / "out")]
    with pytest.raises(SystemExit):
        main(["learn", "approve", *at])
    said = capsys.readouterr().err
    assert "[folder_not_found]" in said
    assert "wrok" in said
    assert not (shop / "wrok").exists()


def test_an_interruption_leaves_the_old_file_or_the_new_one(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = shop / "out/proposal.json"
    before, plain, written = path.read_text("utf-8"), Path.write_text, []

    def seen(place: Path, text: str, encoding: str) -> None:
        written.append(place)
        plain(place, text, encoding=encoding)

    monkeypatch.setattr(Path, "write_text", seen)
    write_atomically(path, before)
    assert path not in written

    def full(draft: Path, text: str, encoding: str) -> None:
        with draft.open("w", encoding=encoding) as file:
            file.write(text[:20])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, check=lambda error: error.errno == 28):
        write_atomically(path, "new " * 100)
    assert path.read_text("utf-8") == before
    assert [each.name for each in path.parent.iterdir()] == ["proposal.json"]


def test_an_approval_cut_short_after_the_release_was_kept_can_be_made_again(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call(shop, "approve") == 0
    later = NEXT.model_copy(update={"policy_version": "3"})
    propose(shop, release=later)

    def cut(path: Path, text: str) -> None:
        if '"approved by' in text:
            raise KeyboardInterrupt
        write_atomically(path, text)

    monkeypatch.setattr(room, "write_atomically", cut)
    with pytest.raises(SystemExit):
        main(["learn", "approve", "-c", str(shop / "promolift.toml"), "--work", str(shop / "work"), "--out",
              str(shop / "out")])  # fmt: skip
    monkeypatch.undo()
    assert (now(shop), kept(shop)["status"]) == (later, "waiting for a person")
    assert call(shop, "approve") == 0
    assert kept(shop)["status"] == "approved by a person"
    assert ReleaseTerms(**kept(shop)["replaced"]) == NEXT
