"""`promolift demo --serve` serves what the demo planned, and names a customer to ask for."""

from pathlib import Path
from typing import Any

import pytest
from serve_helpers import planned, settings

from promolift.cli.application import main
from promolift.foundation.progress import StepSummary


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
