"""Bad input: one line that says where, what and what to do; exit code 2; nothing half-written."""

from pathlib import Path

import pytest

from promolift.cli import main

GOOD = "user_id,event_time,event_type,product_id,price\nu1,2024-03-01 10:00:00,purchase,p1,9.99\n"


def call(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(list(arguments))
    return int(stop.value.code or 0)


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert call(*arguments) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return said


def init(folder: Path, text: str | bytes, name: str = "e.csv") -> list[str]:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return ["init", "--events", str(path), "--config", str(folder / "promolift.toml")]


def test_a_missing_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = fails(capsys, "init", "--events", str(tmp_path / "none.csv"), "--config", str(tmp_path / "promolift.toml"))
    assert "none.csv: no such file" in said
    assert not (tmp_path / "promolift.toml").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("user_id,event_time\n", "row"),
        ("colour,size\nred,4\nblue,5\n", "customer"),
        ("user_id,price\nu1,3\nu2,4\n", "time"),
    ],
)
def test_an_unusable_file_is_named_with_its_remedy(
    text: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = fails(capsys, *init(tmp_path, text))
    assert "e.csv" in said or "events" in said
    assert words in said
    assert not (tmp_path / "promolift.toml").exists()


def test_settings_are_never_overwritten_by_accident(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(*init(tmp_path, GOOD)) == 0
    (tmp_path / "promolift.toml").write_text("# mine\n", encoding="utf-8")
    assert "already there" in fails(capsys, *init(tmp_path, GOOD))
    assert (tmp_path / "promolift.toml").read_text(encoding="utf-8") == "# mine\n"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (('currency = "USD"', 'currency = "DOLLAR"'), "currency"),
        (('zone = "UTC"', 'zone = "Mars/Olympus"'), "zone"),
        (("holdout_share = 0.10", "holdout_share = 1.5"), "plan.holdout_share"),
        (("holdout_share = 0.10", "holdout_shar = 0.1"), "did you mean 'holdout_share'"),
        (("window_days = 28", "window_days = -3"), "plan.window_days"),
        (("[plan]", "[plan"), "not valid TOML"),
        (('path = "e.csv"', 'path = "gone.csv"'), "gone.csv"),
        (('"price"', '"prise"'), "no column 'prise'"),
    ],
)
def test_absurd_settings_name_file_key_and_rule(
    change: tuple[str, str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(*init(tmp_path, GOOD)) == 0
    path = tmp_path / "promolift.toml"
    text = path.read_text(encoding="utf-8")
    assert change[0] in text
    path.write_text(text.replace(*change), encoding="utf-8")
    capsys.readouterr()
    said = fails(capsys, "health", "--config", str(path), "--work", str(tmp_path / "w"))
    assert words in said


def test_rows_that_break_every_rule_leave_nothing_to_plan_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = "".join(f"u{n},never,purchase,p1,-5\n" for n in range(20))
    assert call(*init(tmp_path, GOOD + "u9,2024-03-02 10:00:00,purchase,p1,3\n")) == 0
    (tmp_path / "e.csv").write_text(GOOD.split("\n")[0] + "\n" + rows, encoding="utf-8")
    said = fails(capsys, "health", "--config", str(tmp_path / "promolift.toml"), "--work", str(tmp_path / "w"))
    assert "none of 20 rows could be taken" in said
    assert "unreadable time" in said


def test_one_customer_with_one_purchase_is_answered_with_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(*init(tmp_path, GOOD)) == 0
    place = ["--config", str(tmp_path / "promolift.toml"), "--work", str(tmp_path / "w")]
    assert call("health", *place) == 0
    assert "profiles: 1 events of 1 customers" in capsys.readouterr().err
    assert call("run", *place, "--out", str(tmp_path / "o")) == 0
    assert "0 of 1 customers get an offer" in capsys.readouterr().err
