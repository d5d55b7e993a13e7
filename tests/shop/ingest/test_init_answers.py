"""What `init` shows of its guesses, asks, and takes for an answer."""

import re
from pathlib import Path
from random import Random

import pytest
from error_checks import raises_code

from promolift.shop.configuration.configuration import load_config
from promolift.shop.ingest.setup.initialisation import SetupAnswers, init


def strange(path: Path, names: str = "z1,z2,z3,z4,z5") -> Path:
    """A log whose columns say nothing by their names: till, who, when, what, how much."""
    draw, rows = Random(5), [names]
    for order in range(150):
        who, day, clock = draw.randrange(20), 1 + draw.randrange(28), 600 + draw.randrange(600)
        for _ in range(draw.choice([1, 2, 3])):
            item = draw.randrange(30)
            when = f"2024-0{1 + order % 6}-{day:02d} {clock // 60:02d}:{clock % 60:02d}:00"
            rows.append(f"T{order % 2},{who + 4000},{when},A{item:03d},{item * 137 / 100 + 1:.2f}")
    path.write_text("\n".join(rows) + "\n")
    return path


def test_who_and_what_are_found_by_values_and_said_to_be_unsure(tmp_path: Path) -> None:
    names = "till,who_it_was,moment,thing,price"
    found = init({"events": strange(tmp_path / "e.csv", names)}, tmp_path / "p.toml", False)
    columns = load_config(tmp_path / "p.toml").data.events.mapping.columns
    assert (columns["customer_id"], columns["product_id"], columns["time"]) == ("who_it_was", "thing", "moment")
    text = (tmp_path / "p.toml").read_text()
    assert 'columns.customer_id = "who_it_was"  # NOT SURE' in text
    line = next(line for line in found.text.splitlines() if "customer_id" in line)
    assert "NOT SURE" in line
    assert line.count(", ") >= 2  # three of its values
    guesses = found.figures["tables"][0]["guesses"]
    assert 0 < guesses["customer_id"]["sure"] < guesses["time"]["sure"] <= 1
    assert len(guesses["customer_id"]["samples"]) == 3


def test_an_answer_goes_before_any_guess(tmp_path: Path) -> None:
    strange(tmp_path / "e.csv", "Email,Phone,moment,thing,price")
    answers = SetupAnswers.of(["customer_id=Phone", "product_id=thing"])
    init({"events": tmp_path / "e.csv"}, tmp_path / "p.toml", False, answers=answers)
    columns = load_config(tmp_path / "p.toml").data.events.mapping.columns
    assert (columns["customer_id"], columns["product_id"]) == ("Phone", "thing")
    answers = SetupAnswers.of(["events.customer_id=thing"])
    init({"events": tmp_path / "e.csv"}, tmp_path / "p.toml", True, answers=answers)
    assert load_config(tmp_path / "p.toml").data.events.mapping.columns["customer_id"] == "thing"


def test_a_terminal_is_asked_what_is_not_sure_and_for_consent(tmp_path: Path) -> None:
    asked = []

    def answer(question: str, default: str) -> str:
        asked.append(question)
        said = {"events.customer_id": "thing", "No": "yes"}
        return next((said[start] for start in said if question.startswith(start)), default)

    strange(tmp_path / "e.csv", "till,who_it_was,moment,thing,price")
    init({"events": tmp_path / "e.csv"}, tmp_path / "p.toml", False, answers=SetupAnswers(ask=answer))
    config = load_config(tmp_path / "p.toml")
    assert config.data.events.mapping.columns["customer_id"] == "thing"
    assert config.consent.default is True
    assert [question.split(" ")[0] for question in asked][:1] == ["events.customer_id:"]


@pytest.mark.parametrize(("said", "default"), [(None, False), ("no", False), ("yes", True)])
def test_consent_is_no_unless_a_person_answers_for_it(tmp_path: Path, said: str | None, default: bool) -> None:
    strange(tmp_path / "e.csv", "till,customer,moment,sku,price")
    found = init({"events": tmp_path / "e.csv"}, tmp_path / "p.toml", False, answers=SetupAnswers.of([], None, said))
    assert load_config(tmp_path / "p.toml").consent.default is default
    assert ("--consent yes" in found.text) is (said is None)


def test_an_empty_column_is_never_taken_and_a_fuller_one_goes_before(tmp_path: Path) -> None:
    rows = [f",kim{n % 4}@x.org,2024-01-{1 + n:02d},{n}.50" for n in range(20)]
    (tmp_path / "e.csv").write_text("Phone,Email,Created at,Total\n" + "\n".join(rows) + "\n")
    init({"events": tmp_path / "e.csv"}, tmp_path / "p.toml", False)
    assert load_config(tmp_path / "p.toml").data.events.mapping.columns["customer_id"] == "Email"


def test_two_currencies_are_refused_and_one_of_them_may_be_chosen(tmp_path: Path) -> None:
    rows = [f"u{n % 4},2024-01-{1 + n:02d},{n}.50,{('RMB', 'USD')[n % 2]}" for n in range(20)]
    (tmp_path / "e.csv").write_text("user,date,total,currency\n" + "\n".join(rows) + "\n")
    with raises_code("currency_mixed", "'currency'", "CNY (50%)", "USD (50%)", "--currency CNY"):
        init({"events": tmp_path / "e.csv"}, tmp_path / "p.toml", False)
    init({"events": tmp_path / "e.csv"}, tmp_path / "p.toml", False, answers=SetupAnswers.of([], "USD"))
    assert load_config(tmp_path / "p.toml").data.events.mapping.currency == "USD"


ENGLISH, CHINESE = "customer,time,sku,product_name,qty,amount", "会员号,下单时间,商品编码,商品名称,数量,实付金额"
MUGS, TEAS = ("Mug", "Pot", "Plate"), ("乌龙茶", "绿茶", "红茶杯")


@pytest.mark.parametrize(
    ("header", "names", "currency", "stated", "languages"),
    [
        (ENGLISH, MUGS, "GBP", None, ("en",)),
        (ENGLISH, MUGS, None, None, ("en",)),
        (CHINESE, TEAS, None, None, ("zh",)),
        (CHINESE, MUGS, None, None, ("zh",)),  # brands have Latin names
        (ENGLISH, TEAS, "CNY", None, ("zh",)),
        (ENGLISH, TEAS, "HKD", None, ("zh",)),
        (ENGLISH, TEAS, None, None, ("zh",)),  # English names of columns say nothing of customers
        (ENGLISH, TEAS, "GBP", None, ("en", "zh")),
        (ENGLISH, TEAS, "GBP", ["en"], ("en",)),
        (CHINESE, TEAS, None, ["en", "zh"], ("en", "zh")),
    ],
)
def test_init_proposes_the_languages_of_the_shop_and_a_person_may_say_others(
    header: str, names: tuple[str, ...], currency: str | None, stated: list[str] | None, languages: tuple[str, ...],
    tmp_path: Path,
) -> None:  # fmt: skip
    rows = [f"c{n % 7},2026-01-{n % 28 + 1:02d} 10:00,p{n % 3},{names[n % 3]},1,{n + 1}.50" for n in range(60)]
    (tmp_path / "e.csv").write_text("\n".join([header, *rows]), encoding="utf-8")
    answers = SetupAnswers.of([], currency, "yes", stated)
    found = init({"events": tmp_path / "e.csv"}, tmp_path / "p.toml", False, answers=answers)
    assert load_config(tmp_path / "p.toml").shop.languages == languages
    assert bool(re.search("[\u4e00-\u9fff]", found.text.replace(names[0], ""))) >= (languages[0] == "zh")
    toml = (tmp_path / "p.toml").read_text(encoding="utf-8")
    assert "name_zh" not in toml or "zh" in languages


def test_a_language_that_no_catalogue_has_is_refused() -> None:
    with raises_code("setting_invalid"):
        SetupAnswers.of([], None, None, ["fr"])
    with raises_code("setting_invalid"):
        SetupAnswers.of([], None, None, ["en", "en"])
