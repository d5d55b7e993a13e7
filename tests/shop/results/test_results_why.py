"""A plan that gives nobody an offer says why, where it would pay, and what to do; a trial draws at random."""

import math
import re
from pathlib import Path

import polars as pl
from error_checks import raises_code

from promolift.core.effects import DiscountResponse, ValueSettings
from promolift.foundation.progress import StepSummary
from promolift.foundation.storage.local_store import Store
from promolift.shop.configuration.configuration import Config
from promolift.shop.pipeline import pipeline
from promolift.shop.reports.explain_plan import PlanRules, find_nearest_offer
from promolift.shop.results.plan_reason import NearestOffer, nearest_sentences, round_up_percent

NOBODY = DiscountResponse("assumed", "there are no discounts", 0.6, 0.4, prior_response=0.6, prior_se=0.4)


def row(who: str = "a", margin: float = 0.3, supplier: float = 0.0, **other: object) -> dict[str, object]:
    """10 % off a category of $100, which is expected to sell 6.18 % more."""
    sells = math.exp(0.06)
    paid = (1 - supplier) * 0.1 * 10_000 * sells
    added = margin * 10_000 * (sells - 1)
    base = {
        "customer_id": who, "offer_id": "o", "menu_id": "c10", "scope": "category", "kind": "category",
        "benefit": "percent_off", "depth": 0.1, "amount_cents": None, "min_spend_cents": 0, "activation": "automatic",
        "supplier_share": supplier, "send_cost_cents": 0.0, "base_cents": 10_000.0, "margin_rate": margin,
        "reach": 1.0, "coupon_prob": None, "evidence": "assumed", "eligible": True, "why_not": None,
        "added_cents": added, "subsidy_cents": paid, "cost_cents": paid, "gain_cents": added - paid,
    }  # fmt: skip
    return base | other


def test_an_offer_that_nobody_can_value_is_left_out_of_the_reasons() -> None:
    unknown = row("b", base_cents=None, added_cents=None, subsidy_cents=None, cost_cents=None, gain_cents=None)
    assert sentences(row(), unknown) == sentences(row())


def sentences(*rows: dict[str, object], costs: bool = False, value: ValueSettings | None = None) -> str:
    rules = PlanRules(value or ValueSettings(), NOBODY, costs)
    found = find_nearest_offer(pl.DataFrame(rows, infer_schema_length=None), rules, 0, 10)
    assert NearestOffer.model_validate_json(found.model_dump_json()) == found
    return " ".join(nearest_sentences(found, "USD"))


def test_the_nearest_offer_is_told_with_what_it_costs_and_brings_by_hand() -> None:
    """0.1 x $100 x 1.0618 = $10.62 paid; 0.3 x $100 x 0.0618 = $1.86 of margin."""
    text = sentences(row())
    assert "10 % off one category: per customer it would cost about $10.62 and add $1.86 of margin" in text
    assert "(evidence: assumed), a loss of $8.76" in text
    assert "a margin of 30 % (assumed, since none is given)" in text
    assert "because there are no discounts" in text


def test_the_sales_and_the_supplier_share_named_are_those_that_break_even() -> None:
    """At x times the sales 0.3 (x - 1) = 0.1 x, so x = 1.5; with share s 1.86 = (1 - s) 10.62, so s = 0.825."""
    text = sentences(row())
    assert "if it sold 50 % more (expected: 6 %)" in text
    assert "if suppliers paid 83 % of the discount (now 0 %)" in text
    named = row(supplier=0.83)
    assert named["gain_cents"] > 0 > row(supplier=0.82)["gain_cents"]  # type: ignore[operator]


def test_a_margin_is_named_only_where_one_would_do_and_then_it_does() -> None:
    assert "A higher margin alone would not do" in sentences(row())
    near = row(supplier=0.6)
    margin = float(re.findall(r"from a margin of ([\d.]+) up", sentences(near))[0])
    assert row(supplier=0.6, margin=margin)["gain_cents"] >= 0 > row(supplier=0.6, margin=margin - 0.01)["gain_cents"]  # type: ignore[operator]


def test_a_threshold_is_never_rounded_to_a_value_that_misses_it() -> None:
    assert [round_up_percent(x) for x in (0.421, 0.42, 0.4299)] == [0.43, 0.42, 0.43]


def test_what_was_stated_is_not_called_assumed() -> None:
    assert "a margin of 40 % (as stated)" in sentences(row(margin=0.4), value=ValueSettings(margin_rate=0.4))
    known = sentences(row(), costs=True)
    assert "(from the products' costs)" in known
    assert "value.margin_rate" not in known


def consenting(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select("customer_id").unique().with_columns(may_send=pl.lit(True), reason=pl.lit(None, pl.String))


def shop(folder: Path, price: str = "", **more: object) -> dict[str, object]:
    """Files of 30 customers who buy lamps, and the settings that read them; `price` is the text of a unit's price."""
    days = [f"2024-{1 + d // 28:02d}-{1 + d % 28:02d}" for d in range(0, 280, 4)]
    lines = [f"c{i},{day},8500{(i + k) % 6},o{i}-{k},{price}" for i in range(30) for k, day in enumerate(days)]
    (folder / "e.csv").write_text("who,day,sku,order,price\n" + "\n".join(lines), encoding="utf-8")
    names = "\n".join(f"8500{i},Lamp {'ABCDEF'[i]}" for i in range(6))
    (folder / "p.csv").write_text(f"sku,title\n{names}", encoding="utf-8")
    columns = {"customer_id": "who", "time": "day", "product_id": "sku", "order_id": "order"}
    columns |= {"unit_price": "price"} if price else {}
    events = {"table": "events", "columns": columns, "constants": {"kind": "purchase", "quantity": "1"}}
    products = {"table": "products", "columns": {"product_id": "sku", "name": "title"}}
    data = {
        "events": {"path": str(folder / "e.csv"), "mapping": events},
        "products": {"path": str(folder / "p.csv"), "mapping": products},
    }
    return {"data": data, "consent": {"default": True}, **more}


def planned(folder: Path, settings: dict[str, object]) -> tuple[StepSummary, str]:
    """The run's summary and the report's text."""
    with Store(folder / "work") as store:
        job = pipeline.Job(Config.parse(settings, "test"), store, lambda *_: None, folder / "out")
        summary = pipeline.run_steps(job, list(pipeline.STEPS))
    page = (folder / "out" / "report.html").read_text(encoding="utf-8")
    return summary, re.sub(r"<(script|style).*?</\1>", "", page, flags=re.S)


def test_a_shop_without_prices_is_told_that_money_is_unknown(tmp_path: Path) -> None:
    """From file to report: no offer, no trial, no figure of profit, and what to do."""
    for share in (0.0, 0.1):
        summary, page = planned(tmp_path, shop(tmp_path, plan={"budget_cents": 1000, "test_share": share}))
        assert summary.figures["treated"] == 0
        assert "the log names no prices or amounts" in summary.text
        assert "Expected to add" not in summary.text
        head = page[: page.index('class="contents"')]
        assert "Not known" in head
        assert "the log names no prices or amounts" in head
        assert "no reason was given" not in page


def test_the_budget_a_shop_without_prices_lacks_is_asked_for_with_the_reason(tmp_path: Path) -> None:
    with raises_code("revenue_missing", "columns.amount"):
        planned(tmp_path, shop(tmp_path))


def test_a_shop_without_promotions_is_told_why_and_26_customers_are_no_trial(tmp_path: Path) -> None:
    """Every name is printed, the named margin pays, and a draw that could teach nothing is not made."""
    summary, page = planned(tmp_path, shop(tmp_path, "40.00", plan={"budget_cents": 5000}))
    assert summary.figures["treated"] == 0
    assert "No offer pays. Closest is" in page[: page.index('class="contents"')]
    assert "Lamp" in page
    assert not re.search(r"[Pp]roduct 8500", page)
    assert "no reason was given" not in page
    margin = re.findall(r"from a margin of ([\d.]+) up", summary.text)
    for step, treated in ((0.0, True), (-0.01, False)):
        value = {"margin_rate": float(margin[0]) + step}
        paid, _ = planned(tmp_path, shop(tmp_path, "40.00", plan={"budget_cents": 5000}, value=value))
        assert (paid.figures["treated"] > 0) == treated  # type: ignore[operator]
    trial, _ = planned(tmp_path, shop(tmp_path, "40.00", plan={"budget_cents": 5000, "test_share": 0.1}))
    assert (trial.figures["treated"], trial.figures["cost_cents"]) == (0, 0)
    assert trial.figures["evidence"] == "assumed"
