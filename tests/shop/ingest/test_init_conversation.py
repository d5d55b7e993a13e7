"""`init` shows five orders as it reads them before it asks, and asks at most three questions."""

from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promolift.shop.configuration.configuration import load_config
from promolift.shop.ingest.setup.initialisation import SetupAnswers, init

HEADER = "order_id,email,date,sku,product_name,quantity,price,discount,consent"


def shop(path: Path, header: str = HEADER, price: str = "{:.2f}") -> Path:
    """Two lines an order, the second with 1.00 off; everybody was asked whether they want offers."""
    rows = [header]
    for order in range(120):
        for line in range(2):
            item = (order + line) % 9
            cents = price.format((9.5 + item) * (100 if price == "{:.0f}" else 1))
            day = f"2026-0{1 + order // 28}-{1 + order % 28:02d}"
            who = f"anna{order % 17}@x.org,{day}"
            rows.append(f"{1000 + order},{who},P{item},Espresso {item},{1 + line},{cents},{line:.2f},yes")
    path.write_text("\n".join(rows) + "\n")
    return path


def talk(tmp_path: Path, header: str = HEADER, said: dict[str, str] | None = None, **more: str) -> list[str]:
    """What a person on a terminal sees and is asked, in its order."""
    log: list[str] = []

    def ask(question: str, default: str) -> str:
        log.append(f"? {question}")
        return next((answer for start, answer in (said or {}).items() if start in question), default)

    answers = SetupAnswers(ask=ask, show=lambda text: log.append(f"! {text}"))
    init({"events": shop(tmp_path / "log.csv", header, **more)}, tmp_path / "p.toml", True, answers=answers)
    return log


def test_five_orders_in_plain_words_stand_before_the_first_question(tmp_path: Path):
    log = talk(tmp_path)
    assert log[0].startswith("!")
    orders = [line for line in log[0].splitlines() if line.startswith("  Order ")]
    assert len(orders) == 5
    first = next(order for order in orders if order.startswith("  Order 1000,"))
    for part in ("1 January 2026", "anna0@...", "1 x Espresso 0", "2 x Espresso 1", "off", "paid $"):
        assert part in first
    assert "x.org" not in log[0]


def test_the_same_five_orders_stand_in_the_answer_for_scripts(tmp_path: Path):
    found = init({"events": shop(tmp_path / "log.csv")}, tmp_path / "p.toml", False)
    assert len(found.figures["examples"]) == 5
    assert all(order in found.text for order in found.figures["examples"])


def test_an_answer_changes_what_is_shown(tmp_path: Path):
    log = talk(tmp_path, said={"currency": "GBP"})
    shown = [each for each in log if each.startswith("!")]
    assert len(shown) == 2
    assert ["paid £" in each for each in shown] == [False, True]
    assert load_config(tmp_path / "p.toml").data.events.mapping.currency == "GBP"


@pytest.mark.parametrize(("said", "money"), [("yes", "minor"), ("no", "major")])
def test_whole_amounts_are_cents_if_a_person_says_so(tmp_path: Path, said: str, money: str):
    talk(tmp_path, said={"cents": said, "currency": "EUR"}, price="{:.0f}")
    assert load_config(tmp_path / "p.toml").data.events.mapping.money == money


def test_a_script_says_that_amounts_are_cents(tmp_path: Path):
    answers = SetupAnswers.of(["money=minor"], "EUR")
    found = init({"events": shop(tmp_path / "log.csv", price="{:.0f}")}, tmp_path / "p.toml", False, answers=answers)
    mapping = load_config(tmp_path / "p.toml").data.events.mapping
    assert mapping.money == "minor"
    assert not any("whole numbers" in note for note in mapping.notes)
    assert any("€9.50" in order for order in found.figures["examples"])


@settings(max_examples=12, deadline=None)
@given(names=st.permutations(HEADER.split(",")), hidden=st.integers(0, 9), cents=st.booleans(), seed=st.integers(0, 99))
def test_nobody_is_asked_more_than_three_questions(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], hidden: int, cents: bool, seed: int
):
    """The law: whichever columns have names that say nothing, at most three questions are asked."""
    unnamed = set(names[:hidden]) - {"date", "email"}
    header = ",".join(f"z{Random(seed + at).randrange(9)}{at}" if name in unnamed else name
                      for at, name in enumerate(HEADER.split(",")))  # fmt: skip
    log = talk(tmp_path_factory.mktemp("shop"), header, price="{:.0f}" if cents else "{:.2f}")
    assert sum(each.startswith("?") for each in log) <= 3


def test_an_order_far_above_all_others_is_among_those_shown(tmp_path: Path):
    path = shop(tmp_path / "log.csv")
    path.write_text(path.read_text() + "5000,bo@x.org,2026-05-05,P1,Espresso 1,1,704000.00,0.00,yes\n")
    found = init({"events": path}, tmp_path / "p.toml", False)
    assert any("704,000.00" in order for order in found.figures["examples"])


def test_amounts_that_cannot_be_read_are_in_doubt(tmp_path: Path):
    path = shop(tmp_path / "log.csv")
    rows = path.read_text().splitlines()
    spoilt = [row.replace(row.split(",")[6], "soon") if place % 4 == 1 else row for place, row in enumerate(rows)]
    path.write_text("\n".join(spoilt) + "\n")
    found = init({"events": path}, tmp_path / "p.toml", False)
    assert "would be set aside" in found.text
    assert "# NOT SURE" in (tmp_path / "p.toml").read_text()
