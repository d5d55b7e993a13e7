"""`promolift demo --serve` serves what the demo planned, and names a customer to ask for."""

from pathlib import Path
from typing import Any

import pytest
from serve_helpers import planned, settings

from promolift.cli.application import main
from promolift.core.decisions.decision_rule import ReleaseTerms
from promolift.foundation.progress import StepSummary
from promolift.foundation.storage.local_store import Store
from promolift.shop.pipeline.pipeline import fingerprint, step_order
from promolift.shop.results.work_folder.active_release import save_approved_release


def test_the_demo_is_served_after_it_is_planned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    served: list[Any] = []
    monkeypatch.setattr("promolift.shop.pipeline.pipeline.demo_config", settings)
    monkeypatch.setattr(
        "promolift.cli.pipeline_commands.run_steps", lambda _, folder, *__: planned(folder) and StepSummary("planned")
    )
    monkeypatch.setattr("promolift.server.api.app.serve", lambda *given: served.append(given))
    main_ = ["demo", "--serve", "--work", str(tmp_path / "work"), "--out", str(tmp_path / "out")]
    with pytest.raises(SystemExit) as stop:
        main(main_)
    assert stop.value.code == 0
    ((stated, shop, host, port, as_json, console),) = served
    assert console is not None
    assert (stated.work, shop.plan.campaign, host, port, as_json) == (
        tmp_path / "work", "cmp_test", "127.0.0.1", 8080, False,
    )  # fmt: skip
    assert "customer u" in capsys.readouterr().out


def test_a_demo_that_was_planned_before_is_served_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    work, out = tmp_path / "work", tmp_path / "out"
    planned(work)
    config = settings()
    config = config.model_copy(
        update={"message": config.message.model_copy(update={"pool": str(work / "words.jsonl")})}
    )
    with Store(work) as store:
        for name in step_order():
            store.done(name, fingerprint(config, name, "", store))
    out.mkdir()
    (out / "report.html").touch()
    ran: list[Any] = []
    monkeypatch.setattr("promolift.shop.pipeline.pipeline.demo_config", settings)
    monkeypatch.setattr(
        "promolift.cli.pipeline_commands.run_steps", lambda *given: ran.append(given) or StepSummary("planned")
    )
    monkeypatch.setattr("promolift.server.api.app.serve", lambda *_: None)
    monkeypatch.setattr("promolift.shop.pipeline.pipeline.summary", lambda *_: {"text": "planned before"})

    def run(*more: str) -> int:
        with pytest.raises(SystemExit) as stop:
            main(["demo", "--serve", "--work", str(work), "--out", str(out), *more])
        assert stop.value.code == 0
        return len(ran)

    assert run() == 0
    assert "planned before" in capsys.readouterr().err
    with Store(work) as store:  # as the server does when it activates a release
        save_approved_release(
            store, ReleaseTerms(campaign_id=config.plan.campaign, policy_id="plan", policy_version="1", price=0.5)
        )
    assert run() == 0
    assert run("--again") == 1
    (out / "report.html").unlink()
    assert run() == 2
    (out / "report.html").touch()
    with Store(work) as store:
        store.undone(["plan"])
    assert run() == 3
