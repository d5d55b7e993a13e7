"""What pages tell of customers who are few in their cell is found; pages that hide them give nothing."""

from promolift.extensions.privacy.mechanisms.reconstruction import parse_page, reconstruct_pages
from promolift.foundation.pages.blocks import Chapter, Figure, Page, TextTable
from promolift.foundation.pages.blocks import KeyFigure as Head
from promolift.foundation.pages.rendering import render_page


def page(rows: list[list[str]], n: str = "", heads: tuple[str, ...] = ("age", "customers", "spent")) -> str:
    figure = Figure("ages", "Ages", "", {"kind": "bars", "rows": []}, TextTable(heads, rows), n=n)
    return render_page(Page("shop", "", {}, Head("", "", ""), [Chapter("a", "a", "a", "", [figure])]))


def ways(*pages: str) -> list[tuple[str, int, str]]:
    return [(each.where, each.customers, each.way) for each in reconstruct_pages(pages, 10)]


def test_a_customer_alone_in_their_cell_is_read_off() -> None:
    planted = page([["18-24", "1,200", "$9,000"], ["90+", "1", "$77.20"]])
    (found,) = reconstruct_pages([planted], 10)
    assert (found.where, found.customers, found.way) == ("Ages: 90+", 1, "printed")
    assert found.figures == {"spent": "$77.20"}


def test_what_others_leave_over_of_a_printed_whole_is_worked_out() -> None:
    rows = [["18-24", "1,200", "$9,000"], ["25-64", "797", "$8,000"]]
    assert ways(page(rows, n="2,000 customers")) == [("Ages: not printed", 3, "left over")]
    assert ways(page([["25-64", "1,992", "$8,000"]], n="2,000 customers"))[0][1] == 8
    assert ways(page(rows, n="2,020 customers")) == []
    assert ways(page(rows, n="1,997 customers")) == []
    assert ways(page(rows, n="12,000 visits")) == []


def test_the_difference_of_two_pages_is_whoever_came_or_went() -> None:
    before = page([["18-24", "1,200", "$9,000.00"], ["65+", "12", "$900.00"]])
    after = page([["18-24", "1,240", "$9,400.00"], ["65+", "11", "$822.80"]])
    (found,) = reconstruct_pages([before, after], 10)
    assert (found.where, found.customers, found.way) == ("Ages: 65+", 1, "difference")
    assert found.figures == {"spent": "$900.00 / $822.80"}
    assert ways(before, before) == []


def test_numbers_that_count_nobody_are_no_cells() -> None:
    heads = ("offer", "observations", "share of customers", "customers")
    read = parse_page(page([["a", "3", "4 %", "—"], ["b", "5", "2 %", "40"]], heads=heads))
    assert [(cell.row, cell.customers) for cell in read.cells] == [("b", 40)]
