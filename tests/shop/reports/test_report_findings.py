"""What the captions say follows from the data: small tables, checked by hand."""

from typing import Any

import polars as pl
import pytest
from small_story import read, small_story

from promolift.foundation.evidence import IntervalEstimate
from promolift.foundation.i18n.formatting import MoneyFormat
from promolift.foundation.pages.blocks import Block, Figure, KeyFigure, widen_lone_blocks
from promolift.foundation.pages.charts import headline, interval_drawing
from promolift.shop.reports.chapters import budget, customers, data_health, discount, predictions, recipients, summary
from promolift.shop.reports.story import Story
from promolift.shop.results.customers import Customers, Tastes
from promolift.shop.results.effects import ResponseFigures
from promolift.shop.results.evaluation import Lead, Worth, weakest
from promolift.shop.results.histograms import Histogram, bars
from promolift.shop.results.ingest import Counts, Health
from promolift.shop.results.plan import bound_text, plan_text, strategic_rule_text
from promolift.shop.results.plan_note import Assumption, AssumptionName, BudgetPoint, Luck, PlanTests, RuleCost
from promolift.shop.results.predictions import AVERAGE, COUPONS, Predictions, Reliability, ReliabilityBin, Scored


def figure(blocks: object, ident: str) -> Figure:
    found = [b for b in blocks if isinstance(b, Figure) and b.id == ident]  # type: ignore[attr-defined]
    assert len(found) == 1
    return found[0]


def kinds(blocks: object) -> list[str]:
    return [b.kind for b in blocks]  # type: ignore[attr-defined]


def test_bars_hold_every_value_once_and_begin_at_zero() -> None:
    values = pl.Series([0.0, 0.5, 1.0, 2.4, 9.0])
    found = bars(values, 5)
    assert found[0].low == 0.0
    assert sum(bar.customers for bar in found) == 5
    for bar in found:
        assert bar.customers == sum(bar.low <= v < bar.high for v in values)
    assert bars(pl.Series([0.0, 0.0]))[0].customers == 2


def test_what_is_beyond_the_cap_is_counted_and_in_no_bar() -> None:
    found = Histogram.of(pl.Series([float(n) for n in range(100)] + [None, 9e9]))
    assert found is not None
    assert (found.customers, found.above) == (101, 2)
    assert sum(bar.customers for bar in found.bars) == 99
    assert Histogram.of(pl.Series([None], dtype=pl.Float64)) is None


def healthy(*tables: Counts) -> Health:
    return Health(tables=tables, summary={}, abilities=(), warnings=(), notes=())


def test_health_counts_rows() -> None:
    found = healthy(Counts("t", 100, 90, 5, rejected={"bad": 10}), Counts("u", 100, 100))
    assert data_health.build_chapter(small_story(health=found)).lead.startswith(
        "200 rows were read from 2 tables. 190 were taken (95\u00a0%), 5 of them after a repair; 10 were"
    )


def test_a_rejected_row_is_drawn_even_if_it_is_one_in_a_million() -> None:
    found = healthy(Counts("t", 10**6, 10**6 - 1, rejected={"bad": 1}))
    row = data_health.build_chapter(small_story(health=found)).blocks[0].data["rows"][0]  # type: ignore[union-attr]
    assert row["rejected"] == 1.0
    assert row["repaired"] == 0.0
    assert row["taken"] == "> 99.9\u00a0%"


def profiles(**columns: object) -> pl.DataFrame:
    """Ten customers, each with one order more days ago than the one before."""
    base = {
        "customer_id": [str(i) for i in range(10)], "recency_days": [float(i) for i in range(10)],
        "revenue_52w_cents": [910.0] + [10.0] * 9, "orders_52w": [1] * 10, "cadence_days": [7.0] * 10,
        "basket_median_cents": [10.0] * 10, "discount_share": [0.1] * 10,
        "price_sensitivity": [0.0] * 8 + [3.0, -3.0], "price_sensitivity_se": [1.0] * 10, "expected_cents": [5.0] * 10,
    }  # fmt: skip
    return pl.DataFrame(base | columns)


def test_what_is_no_number_is_not_known() -> None:
    nan = [float("nan"), float("inf")] * 5
    found = Customers.of(profiles(cadence_days=nan, discount_share=nan, recency_days=nan), profiles(expected_cents=nan))
    assert found is not None
    assert (found.cadence_days, found.discount_share) == (None, None)
    assert found.middle.spend_next_cents is None
    assert found.middle.basket_cents == 10.0


def test_shares_of_categories_are_of_the_average_customer() -> None:
    rows = pl.DataFrame(
        {"customer_id": ["a", "a", "b"], "target": ["milk", "beer", "milk"], "spend_share": [0.4, 0.6, 1.0]}
    )
    found = figure(customers.build_chapter(small_story(tastes=Tastes.of([rows]))).blocks, "categories")
    assert [(r["name"], r["value"]) for r in found.spec["rows"]] == [("milk", 0.7), ("beer", 0.3)]


def curve(high_of_least: float) -> ResponseFigures:
    rows = [("everyone", 0.2, 0.3, 0.25, 0.35), ("least", 0.2, 0.2, 0.1, high_of_least), ("most", 0.2, 0.5, 0.4, 0.6)]
    frame = pl.DataFrame(rows, schema=["group", "depth", "lift", "low", "high"], orient="row")
    return read(curve=frame.with_columns(cells=99))


@pytest.mark.parametrize(
    ("high", "said"), [(0.3, "do not overlap"), (0.45, "overlap, so the difference is not established")]
)
def test_a_difference_is_called_one_only_if_the_intervals_part(high: float, said: str) -> None:
    found = figure(discount.build_chapter(small_story(response=curve(high))).blocks, "curve")
    assert said in found.finding
    assert (
        "At 20\u00a0% off, demand of everyone changes by +30\u00a0% (95\u00a0% interval +25\u00a0% to +35\u00a0%)"
        in found.finding
    )
    assert [line["tone"] for line in found.spec["series"]] == ["ink", "blue", "orange"]
    assert found.spec["series"][0]["points"][0][:2] == [0.0, 0.0]


def placebos(low: float, high: float) -> Story:
    rows = [("discount now", 1.0, 0.9, 1.1, "it"), ("future", 0.3, low, high, "the future causes nothing")]
    frame = pl.DataFrame(rows, schema=["name", "value", "low", "high", "meaning"], orient="row")
    return small_story(response=read(placebo=frame))


def test_a_placebo_that_finds_something_is_said_aloud() -> None:
    found = figure(discount.build_method_chapter(placebos(0.2, 0.4)).blocks, "placebos")
    assert found.tone == "warn"
    assert "0 of 1 placebo check found nothing." in found.finding
    assert "future (30\u00a0% of the effect itself)" in found.finding
    assert figure(discount.build_method_chapter(placebos(-0.4, -0.2)).blocks, "placebos").tone == "warn"
    passed = figure(discount.build_method_chapter(placebos(-0.1, 0.4)).blocks, "placebos")
    assert passed.tone == "good"
    assert "1 of 1 placebo check found nothing, as it must be." in passed.finding


def test_what_is_not_proven_is_called_not_proven() -> None:
    assert "not a proven effect" in discount.build_chapter(small_story(response=read())).lead
    assert "an assumption" in discount.build_chapter(small_story(response=read(level="assumed"))).lead


def test_how_the_response_was_read_is_told_with_its_numbers() -> None:
    def notes(response: ResponseFigures) -> str:
        block = next(
            b for b in discount.build_method_chapter(small_story(response=response)).blocks if b.kind == "sentences"
        )
        assert isinstance(block, Block)
        return " ".join(block.data["rows"])

    told = notes(read(later=-0.25, beta_z=0.4, beta_z_se=0.1, cells=1234, customers=56))
    assert "Read from 1,234 weeks of 56 customers" in told
    assert "75 % is new" in told
    assert "adds 0.40 (z = 4.0)" in told
    assert "Price sensitivity is not known" in notes(read())
    assert "demand by exp(1.00 d), +- 0.10" in notes(read(level="assumed"))


@pytest.mark.parametrize(
    ("value", "low", "high", "better", "verdict"),
    [
        (0.85, 0.83, 0.87, "higher", "better"),
        (0.85, 0.83, 0.87, "lower", "worse"),
        (0.82, 0.79, 0.85, "higher", "not told apart"),
        (0.85, None, None, "higher", "better"),
        (0.85, 0.83, 0.87, "sideways", "differs"),
        (0.82, 0.79, 0.85, None, "not told apart"),
    ],
)
def test_a_model_is_better_only_beyond_its_interval(
    value: float, low: float | None, high: float | None, better: str | None, verdict: str
) -> None:
    row = {"model": "m", "figure": "AUC", "value": value, "low": low, "high": high, "n": 9, "better": better}
    score = Scored(**(row | {"baseline": "rule", "baseline_value": 0.80}))
    block = predictions.build_figures_chapter(small_story(predictions=Predictions(scores=(score,)))).blocks[0]
    assert isinstance(block, Block)
    assert block.data["rows"][0]["verdict"] == verdict


def test_calibration_weighs_bins_by_their_cases() -> None:
    bins = (
        ReliabilityBin(predicted=0.1, observed=0.1, low=0.05, high=0.2, n=300),
        ReliabilityBin(predicted=0.5, observed=0.9, low=0.8, high=0.95, n=100),
    )
    story = small_story(predictions=Predictions(reliability=(Reliability(model="m", bins=bins),)))
    found = figure(predictions.build_figures_chapter(story).blocks, "calibration-1")
    assert "On average 20.0\u00a0% was predicted and 30.0\u00a0% happened." in found.finding
    assert "In 1 of 2 bins" in found.finding


FRONTIER = pl.DataFrame({
    "budget_cents": [0.0, 10_000.0, 30_000.0], "gain_cents": [0.0, 20_000.0, 30_000.0],
    "cost_cents": [0.0, 10_000.0, 30_000.0], "price": [2.0, 1.0, 0.5], "treated": [0, 10, 30],
})  # fmt: skip


def test_other_budgets_are_told_as_shares_of_what_the_same_estimates_promise() -> None:
    half = BudgetPoint(budget_cents=5_000, gain_cents=10_000, share=0.5)
    twice = BudgetPoint(budget_cents=20_000, gain_cents=25_000, share=1.25)
    chapter = budget.build_chapter(small_story(frontier=FRONTIER, half=half, twice=twice))
    finding = figure(chapter.blocks, "frontier").finding
    assert "half the budget would bring 50\u00a0% and twice the budget would bring 125\u00a0%" in finding
    assert "One more $1 of budget adds $0.50" in finding
    block = budget.build_method_chapter(small_story()).blocks[0]
    assert isinstance(block, Block)
    assert "can add more than $201.00: at most $1.00 (0.5\u00a0%)" in block.data["text"]
    beyond = figure(budget.build_chapter(small_story(frontier=FRONTIER, half=half)).blocks, "frontier").finding
    assert "twice" not in beyond


@pytest.mark.parametrize(
    ("note", "head"),
    [
        ({}, {}),
        ({}, {"gain_cents": 15_000.0, "promised_cents": 20_000.0}),
        ({"tests": PlanTests(customers=9, gain_cents=4_000.0, cost_cents=100.0)}, {"value_cents": 24_000.0}),
        ({"gain_cents": 22_000.0, "risk": "lower"}, {"value_cents": 22_000.0}),
    ],
)
def test_a_bound_stands_beside_the_value_that_it_is_on_and_never_alone_beside_a_larger_one(
    note: dict[str, Any], head: dict[str, Any]
) -> None:
    """The certificate and the command line name the value that is bounded, and say if the headline is another."""
    story, cash = small_story(note, head), MoneyFormat("USD")
    shown, value = cash(story.summary.value_cents), cash(story.plan.planned_cents)
    said = bound_text(story.plan, story.summary)
    assert said.index(value) < said.index(cash(story.plan.bound_cents))
    assert (f"The plan's value, {shown}, is another figure" in said) == (shown != value)
    certificate = budget.build_method_chapter(story).blocks[0]
    assert isinstance(certificate, Block)
    assert certificate.data["text"] == said
    line = plan_text(story.plan, story.summary)
    assert (cash(story.plan.bound_cents) in line) <= (value in line)


def test_a_plan_of_draws_alone_has_no_bound() -> None:
    terms = small_story().plan.terms.model_copy(update={"policy_id": "trial"})
    story = small_story({"terms": terms})
    assert bound_text(story.plan, story.summary) == ""


def test_what_each_strategic_rule_costs_is_a_row() -> None:
    rules = (
        RuleCost(name="launch", rule="pin", offers=12, able=20, cost_cents=450.0),
        RuleCost(name="wide", rule="at_least", offers=15, able=90, cost_cents=300.0, price=200_000.0),
    )
    block = budget.build_chapter(small_story({"strategic": rules}, frontier=FRONTIER)).blocks[-1]
    assert isinstance(block, Block)
    assert block.data["grid"].rows == [
        ["launch", "pin", "12", "20", "$4.50", ""],
        ["wide", "at least", "15", "90", "$3.00", "$20.00"],
    ]
    assert strategic_rule_text(rules[1], "USD").endswith("One percentage point more would cost $20.00.")


def test_the_luck_in_a_plan_is_told() -> None:
    def told(checked: float) -> str:
        luck = Luck(naive_cents=20_000.0, checked_cents=checked, low_cents=9_000.0, high_cents=21_000.0)
        chapter = budget.build_method_chapter(
            small_story(luck=luck, head={"value_cents": checked, "promised_cents": 20_000.0})
        )
        return str(next(b for b in chapter.blocks if isinstance(b, Block) and b.kind == "note").data["text"])

    assert "promise $200.00" in told(15_000.0)
    assert "they earn $150.00" in told(15_000.0)
    assert "25\u00a0% of the promise was luck" in told(15_000.0)
    assert "luck played no part" in told(20_500.0)


def test_the_headline_says_what_was_promised_and_that_the_rest_was_luck() -> None:
    def told(promised: float | None) -> KeyFigure:
        lucky = {"value_cents": 72_400.0, "low_cents": 60_000.0, "high_cents": 80_000.0, "promised_cents": promised}
        return summary.headline_figure(small_story(head=lucky))

    big = told(80_900.0)
    assert big.value == "+$724.00"
    assert "The estimates that chose the offers promise $809.00" in big.sentence
    assert "part of that was luck, which is taken off here" in big.sentence
    assert big.span is not None
    assert (big.span.low_text, big.span.high_text) == ("+$600.00", "+$800.00")
    assert "luck" not in told(72_400.0).sentence
    assert "promise" not in told(None).sentence


def test_what_the_result_stands_on_is_said_beside_it_with_the_value_that_would_turn_it() -> None:
    suppliers = Assumption(name="supplier_share", value=0.85, flips_at=0.694)
    stretch = Assumption(name="stretch_share", value=0.1, flips_at=None)
    first, second = (summary.assumption_row(each, MoneyFormat("USD")) for each in (suppliers, stretch))
    assert (first.name, first.value, first.flips_at) == ("The suppliers' part", "85\u00a0%", "69\u00a0%")
    assert (first.value_at, first.flips_place) == (85.0, 69.4)
    assert "filled up" in second.text
    assert second.flips_at is None


JUDGED = {
    "policy": ["plan", "rule"], "expected_profit_cents": [5_000.0, 3_000.0], "low": [4_000.0, 2_000.0],
    "high": [6_000.0, 3_900.0], "spend_cents": [1_000.0, 1_020.0], "treated": [9.0, 9.0],
    "evidence": ["adjusted", "assumed"],
}  # fmt: skip
LEAD = Lead(
    rival="rule", others=2, plan_cents=5_000.0, lead_cents=2_000.0, low_cents=None, high_cents=None, equal_spend=True,
    apart=True, evidence="assumed",
)  # fmt: skip


def said(**change: object) -> budget.LeadText:
    found = budget.lead_text(small_story(lead=LEAD.model_copy(update=change)))
    assert found is not None
    return found


def test_the_lead_is_the_difference_and_its_worth_is_told() -> None:
    result = said()
    assert result.lead == "+$20.00"
    assert "at equal spend. The intervals do not overlap." in result.short
    assert "expected to earn $50.00, $20.00 more than “rule”, the best of 2 other rules" in result.long
    assert result.evidence == "assumed"
    assert "the order is not established" in said(apart=False).short
    assert "No intervals were given." in said(apart=None).short
    assert budget.lead_text(small_story()) is None


def test_unequal_spend_is_never_called_equal() -> None:
    assert "equal spend" not in said(equal_spend=False).short
    unequal, equal = (
        budget.build_policies_chapter(
            small_story(policies=pl.DataFrame(JUDGED | {"spend_cents": [1_000.0, other]}))
        ).blocks
        for other in (700.0, 1_020.0)
    )
    assert (kinds(unequal).count("note"), kinds(equal).count("note")) == (1, 0)


def test_a_plan_that_loses_says_so() -> None:
    result = said(lead_cents=-2_000.0)
    assert result.lead == "−$20.00"
    assert result.short.startswith("Less than “rule”")
    assert "$20.00 less than" in result.long


def test_a_lead_stands_on_the_first_screen_only_where_it_is_shown() -> None:
    """A tile of "$298.43 added" once stood there at p = 1."""

    def tiles(**change: object) -> list[str]:
        return [big.label for big in summary.numbers(small_story(lead=LEAD.model_copy(update=change)))]

    label = "Against the best simple rule"
    assert label in tiles(apart=True)
    assert label not in tiles(apart=False)
    assert label not in tiles(apart=None)
    assert label in tiles(apart=False, low_cents=20.0, high_cents=80.0)
    assert label not in tiles(apart=True, low_cents=-20.0, high_cents=80.0)
    assert label not in tiles(apart=True, lead_cents=-2_000.0)


MISSED = Scored(
    model="buying a category in the window", figure="prediction / observed", value=0.69, low=0.6, high=0.8, n=99,
    baseline=AVERAGE, baseline_value=1.0, better="",
)  # fmt: skip


def test_a_forecast_that_missed_is_said_beside_the_headline() -> None:
    def warning(score: Scored) -> str:
        return summary.page_of(small_story(predictions=Predictions(scores=(score,)))).warning

    assert "who buys a category in the window 0.690 (0.600 to 0.800)" in warning(MISSED)
    assert warning(MISSED.model_copy(update={"value": 0.97, "low": 0.95, "high": 0.99})) == ""  # near enough
    assert warning(MISSED.model_copy(update={"low": 0.4, "high": 1.1})) == ""  # chance alone could do it
    assert warning(MISSED.model_copy(update={"model": COUPONS})) == ""  # no coupon is planned


def test_what_to_do_begins_with_what_the_plan_stands_on() -> None:
    suppliers = Assumption(name="supplier_share", value=0.85, flips_at=0.694)
    steps = summary.todo(small_story(head={"assumptions": (suppliers,)}))
    assert steps[0].what == "Check before you send: the suppliers' part, 85\u00a0%"
    assert "At 69\u00a0% nothing would be earned." in steps[0].how
    assert [step.what for step in steps[1:]] == [
        "Send one offer each to 25 customers, of 210 who may get one", "Set aside $90.00",
        "Send nothing to 24 customers, and compare",
    ]  # fmt: skip
    assert summary.todo(small_story({"treated": 0})) == []


@pytest.mark.parametrize("name", ["response", "message_effect", "coupon_reach", "stretch_share"])
def test_nobody_is_told_to_check_what_only_sending_shows(name: AssumptionName) -> None:
    """A test's first step used to be to check what its draws add, which the draws alone can tell."""
    unknown = Assumption(name=name, value=0.5, flips_at=0.49)
    assert summary.todo(small_story(head={"assumptions": (unknown,)})) == summary.todo(small_story())
    margin = Assumption(name="margin", value=0.4, flips_at=0.2)
    first = summary.todo(small_story(head={"assumptions": (unknown, margin)}))[0]
    assert first == summary.todo(small_story(head={"assumptions": (margin,)}))[0]


WORTH = Worth(
    offers=25, anyway_cents=50_000.0, more_cents=30_000.0, margin_cents=9_000.0, discount_cents=2_000.0,
    send_cents=50.0, gain_cents=6_950.0, small=7, small_below_cents=100.0,
)  # fmt: skip


def test_an_offer_to_somebody_who_would_buy_anyway_is_explained() -> None:
    told, table = budget.build_chapter(
        small_story(worth=WORTH, head={"value_cents": 6_000.0, "promised_cents": 6_950.0})
    ).blocks[:2]
    assert isinstance(told, Block)
    assert isinstance(table, Block)
    text = " ".join(told.data["rows"])
    assert "without an offer: $500.00 in 28 days" in text
    assert "7 of the 25 offers are expected to bring less than $1.00 each" in text
    amounts = [row[1] for row in table.data["grid"].rows]
    assert amounts == ["+$90.00", "−$20.00", "−$0.50", "+$69.50", "−$9.50", "+$60.00"]


def test_an_unknown_evidence_level_is_not_invented() -> None:
    assert weakest(["adjusted", "proven"]) is None
    assert weakest([]) is None
    assert weakest(["randomised", "adjusted"]) == "adjusted"


def test_the_first_screen_gives_the_interval_and_its_place_beside_zero() -> None:
    cash = MoneyFormat("USD")
    span = interval_drawing(IntervalEstimate(5_000, -5_000, 15_000), cash, "95 %")
    assert span is not None
    assert (span.low, span.zero, span.value, span.high) == (0.0, 25.0, 50.0, 100.0)
    above = interval_drawing(IntervalEstimate(5_000, 2_500, 10_000), cash, "95 %")
    assert above is not None
    assert (above.zero, above.low, above.value, above.high) == (0.0, 25.0, 50.0, 100.0)
    assert interval_drawing(IntervalEstimate(1.0, 3.0, 2.0), cash, "95 %") is None
    assert headline("Gain", None, "", None, cash).value == "Not known"


def test_the_mix_names_the_most_frequent_offer() -> None:
    offers = pl.DataFrame({
        "offer_id": ["x", "y"], "offer": [None, "5 off"], "treated": [3, 1], "share": [0.75, 0.25],
        "gain_cents": [60.0, None], "cost_cents": [1.0, 1.0],
    })  # fmt: skip
    finding = figure(recipients.build_chapter(small_story(offers=offers, different=2)).blocks, "mix").finding
    assert "2 different offers" in finding
    assert "“x”: 3 customers, 75\u00a0% of those with an offer" in finding


def test_who_gets_nothing_is_told_by_reason() -> None:
    lead = recipients.build_chapter(small_story()).lead
    assert lead.startswith("25 of 240 customers would get an offer. 185 customers get none: no offer is open to them")
    assert "24 customers picked at random get none" in lead
    assert "6 customers may not be written to" in lead
    assert recipients.build_chapter(small_story({"treated": 0})).lead == "Nobody would get an offer."


def test_a_half_block_never_stands_alone() -> None:
    half, whole = Block("list", wide=False), Block("list", wide=True)
    assert [b.wide for b in widen_lone_blocks([half, whole, half, half, half])] == [True, True, False, False, True]
    assert [b.wide for b in widen_lone_blocks([half, half, whole])] == [False, False, True]
    assert widen_lone_blocks([]) == []


def test_paired_draws_decide_where_the_two_intervals_overlap() -> None:
    paired = said(low_cents=20.0, high_cents=80.0, apart=False)
    assert "95\u00a0% interval of the difference $0.20 to $0.80." in paired.long
    assert "not established" in said(low_cents=-20.0, high_cents=80.0, apart=True).long
