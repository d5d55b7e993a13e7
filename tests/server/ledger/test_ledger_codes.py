"""What a person types is matched with the code that is meant, and never with one that could be another."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from ledger_helpers import CODES, KINDS, NOW, add, check_books, claim, do, issued, open_ledger
from sqlalchemy import text

from promolift.server.ledger.ledger import Ledger
from promolift.server.ledger.limits import RedemptionTransaction, add_stock, reserve, resolve_code


@pytest.fixture(params=KINDS)
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    with open_ledger(tmp_path, request.param) as opened:
        yield opened
        check_books(opened)


def found(ledger: Ledger, typed: str, printed: str | None = None, offer: str = "o1") -> object:
    return do(ledger, lambda db: resolve_code(RedemptionTransaction(db, NOW), "c1", offer, typed, printed))


@pytest.mark.parametrize("typed", ["Spring 24-Ab", "spring24-ab", " SPRING 24-AB ", "ｓｐｒｉｎｇ　２４－ａｂ"])
def test_a_code_of_the_shop_is_found_in_any_case_and_spacing(ledger: Ledger, typed: str) -> None:
    do(ledger, add_stock, "c1", "o1", ["Spring 24-Ab"])
    assert found(ledger, typed) == "Spring 24-Ab"
    assert found(ledger, typed, offer="o2") == typed  # of another offer: not this one


def test_codes_that_differ_in_case_alone_are_told_apart_and_nothing_is_guessed(ledger: Ledger) -> None:
    do(ledger, add_stock, "c1", "o1", ["abc", "ABC", "a bC", "only"])
    for exact in ("abc", "ABC", "a bC"):
        assert found(ledger, exact) == exact
    assert found(ledger, "Abc") == "Abc"
    assert found(ledger, "ONLY") == "only"


def test_a_made_code_is_found_by_its_printed_form_and_a_stock_code_beside_it_makes_it_unclear(ledger: Ledger) -> None:
    add(ledger, CODES, issued("AB-CD"))
    assert found(ledger, "ab cd", "AB-CD") == "AB-CD"
    assert found(ledger, "ab cd", "XX-XX") == "ab cd"
    do(ledger, add_stock, "c1", "o1", ["ABCD"])
    assert found(ledger, "ab cd", "AB-CD") == "ab cd"


def test_another_campaigns_code_does_not_hide_the_one_that_is_meant(ledger: Ledger) -> None:
    do(ledger, add_stock, "c2", "o1", ["abc"])
    do(ledger, add_stock, "c1", "o1", ["ABC"])
    assert found(ledger, "abc") == "ABC"


def test_what_is_held_is_the_code_as_it_is_kept(ledger: Ledger) -> None:
    add(ledger, CODES, issued("Abc", stocked=1))
    held = do(ledger, reserve, claim(1, code=str(found(ledger, "aBC"))))
    assert held["code"] == "Abc"  # type: ignore[index]


def test_a_ledger_made_before_gets_the_index_that_the_look_up_needs(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as old:
        do(old, lambda db: db.execute(text("drop index codes_folded")) and None)
    with open_ledger(tmp_path) as ledger, ledger.read() as db:
        query = "select code from codes where campaign_id = 'c1' and offer_id = 'o1' and stocked = 1"
        folded = "and upper(replace(code, ' ', '')) in ('A', 'B')"
        plan = db.execute(text(f"explain query plan {query} {folded}")).all()
        assert "codes_folded" in str(plan)
