"""No number is made on the page: what its chapters print is held by a typed result or an offer's own terms."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import polars.selectors as cs
import pytest
from held_numbers import Held, bare, charts, clean, drawn, parts, strays, visible
from page_figures import add
from told_shop import SHOPS, menu, told_shop

from promolift.core.customers.disclosure_control import small_cells
from promolift.core.messages import describe_offer
from promolift.foundation.i18n.formatting import date, money
from promolift.foundation.storage.local_store import Store
from promolift.shop.reports.chapters.summary import page_of, render
from promolift.shop.reports.next_step import shop_status
from promolift.shop.reports.offer_reasons import reason_text
from promolift.shop.reports.story import Story
from promolift.shop.reports.story_builder import build_story
from promolift.shop.results.customers import Person, PlannedOffer
from promolift.shop.results.effects import DEPTH, MissingModels
from promolift.shop.results.evaluation import Evaluation
from promolift.shop.results.fairness import group_label
from promolift.shop.results.ingest import Health, UnknownAttributes
from promolift.shop.results.line_tests import describe_line
from promolift.shop.results.messages import Messages, Offers, PoolWords
from promolift.shop.results.plan import Plan, assumption_text
from promolift.shop.results.work_folder.run_context import Job, moments

AMOUNTS = ("low", "high", "lead_low", "lead_high")  # of policies: minor units without the word in their name
NEXT_WEEKS = ["8 weeks", "NDCG@10"]  # what the forecast is about: said in words, not figures


def gathered(job: Job) -> dict[str, Held]:
    """The typed results behind each part of the page, the offers as they are told, and the small print."""
    story = build_story(job)
    results = about_the_plan(job, story) | about_the_data(story) | about_the_response(story) | about_the_forecast(story)
    return {name: Held(job.config.shop.currency, some) for name, some in results.items()}


PRINTED = ("customer_id", "title_zh", "title_en", "message_zh", "message_en")  # of a message


def about_the_plan(job: Job, story: Story) -> dict[str, list[Any]]:
    """First screen, budget, policies, people, messages, and what is not known."""
    store, config = job.store, job.config
    plan, found, said = Plan.load(store), Evaluation.load(store), Messages.load(store)
    note, wording = plan.note, PoolWords.load(store)
    by_person = sum(text.state == "approved" for text in wording.texts)
    who = [each.planned.customer_id for each in story.cards]
    profiles = store.frame("profiles").join(store.frame("outlook"), on="customer_id", how="left")
    people = profiles.filter(pl.col("customer_id").is_in(who))
    ages = store.frame("customers")["age"].drop_nulls().to_list()
    offers = [describe_offer(offer, "en") for offer in Offers.load(store).offers]
    costs = [{"value_cents": each.value, "flips_at_cents": each.flips_at} for each in plan.summary.assumptions
             if each.unit == "money"]  # fmt: skip
    top = [
        note.model_copy(update={"menu": ()}), plan.summary, costs, story.worth,
        config.plan.window_days,
    ]  # fmt: skip
    print_ = [
        config.shop.name, date(moments(job).asof, config.shop.zone), config.plan.window_days,
        [*page_of(story).facts.values()],
    ]  # fmt: skip
    budget = [
        *top,
        found.luck,
        plan.frontier,
        plan.curve.at(note.budget_cents / 2),
        plan.curve.at(2.0 * note.budget_cents),
    ]
    assert found.judged is not None
    policies = [
        *top,
        story.like_everybody,
        found.judged.rename({name: f"{name}_cents" for name in AMOUNTS}),
        found.lead,
    ]
    few = small_cells([each.customers for each in said.motives], story.least)
    rest = sum(each.customers for each, small in zip(said.motives, few, strict=True) if small)
    mix = [*top, offers, story.offers, plan.offers.height, said.motives, rest, story.plan.able - story.plan.treated]
    cards = [
        ages, [Person.of(row) for row in people.to_dicts()],
        [PlannedOffer.of(row) for row in said.rows.to_dicts() if row["customer_id"] in who],
        [reason_text(row["reason_facts"]) for row in said.rows.to_dicts() if row["customer_id"] in who],
    ]  # fmt: skip
    gaps = [
        found.unchecked,
        MissingModels.load(store),
        UnknownAttributes.load(store),
        [line.id for line in config.menu],
    ]
    return {
        "first screen": [
            *top, found.lead, Health.load(store), print_, plan.offers.head(3), offers, story.predictions.missed,
            shop_status(config, store).what,
        ],
        "budget": budget, "choice": budget, "figure motives": mix, "figure frontier": budget, "policies": policies,
        "figure policies": policies,
        "people": [*mix, *cards], "figure mix": mix,
        "messages": [
            offers, list(said.written), said.silent, said.typical(12).select(cs.by_name(PRINTED, require_all=False)),
            [reason_text(each) for each in said.typical(12)["reason_facts"]], list(said.angles.items()),
            [fact.text for card in story.typical for fact in card.read],
            len(wording.texts), wording.pool.funnel(), len(wording.pool.usable(wording.approve).texts), by_person,
        ],
        "fairness": fair(story),
        "unknowns": [
            offers, [describe_line(line, config.shop.currency) for line in plan.note.menu],
            {"margin_share": config.value.margin_rate}, gaps, {"holdout_share": config.plan.holdout_share},
        ],
    }  # fmt: skip


def fair(story: Story) -> list[Any]:
    """What groups are given and paid, with amounts and shares as such."""
    found, limited = story.fairness, story.plan.fairness
    gaps = list(found.gaps) if found else []
    shares = [
        {f"{name}_{'cents' if gap.measure == 'value' else 'share'}": getattr(gap, name)
         for name in ("mean", "others_mean", "gap", "low", "high")}
        for gap in gaps
    ]  # fmt: skip
    names = [group_label(each.group) for each in (*gaps, *(found.proxies if found else ()))]
    return [found, limited, shares, names, *((len(found.gaps), len(found.shown)) if found else ())]


def about_the_data(story: Story) -> dict[str, list[Any]]:
    """Data health and customers."""
    health, people, tastes = story.health, story.customers, story.tastes
    assert health
    assert people
    assert tastes
    return {
        "health": [health, len(health.tables)],
        "customers": [people.customers, people.middle],
        "figure cadence": [{"cadence_days": people.cadence_days}],
        "figure discount-share": [{"discount_share": people.discount_share, "heavy_share": people.heavy_share}],
        "figure categories": [tastes],
    }  # fmt: skip


def about_the_response(story: Story) -> dict[str, list[Any]]:
    """Discounts and predictions."""
    read, found = story.response, story.predictions
    assert read
    assert found
    groups = {name: getattr(read, name) for name in ("curve", "placebos", "categories")}
    assert all(groups.values())
    depth = {"share": DEPTH}
    lifts = [{"share": [each.lift, each.lift_low, each.lift_high]} for each in read.categories]
    bare_read = read.model_copy(update=dict.fromkeys(groups, ()))
    return {
        "discount": [
            {"share": [each.model_copy(update={"customers": 0}) for each in story.uplift]},
            [each.customers for each in story.uplift],
            [f"{each.ratio:.1f}" for each in story.uplift],
        ],
        "response": [bare_read],
        "figure curve": [{"share": [group.points for group in read.curve]}, [group.cells for group in read.curve]],
        "figure placebos": [read.placebos, read.tests_made, read.tests_passed],
        "figure elasticities": [
            depth,
            lifts,
            [each.cells for each in read.categories],
            read.categories_read,
            read.categories_sure,
        ],
        "models": [found.scores, story.attributes, story.members, {"share": [0.75]}],
        "forecasts": [found.scores, 1, 0.05],
        **{f"figure calibration-{i}": [{"share": each}] for i, each in enumerate(found.reliability, start=1)},
    }


def about_the_forecast(story: Story) -> dict[str, list[Any]]:
    """What comes next."""
    ahead = story.forecast
    assert ahead
    epochs = [*NEXT_WEEKS, ahead.epochs]
    return {
        "forecast": [*NEXT_WEEKS, ahead.scores, {"share": ahead.stays_away}],
        "figure learning-ndcg": epochs, "figure learning-loss": epochs,
        "figure forecast-calibration": [{"share": ahead.reliability}],
    }  # fmt: skip


@pytest.fixture(params=SHOPS, scope="module")
def told(request: pytest.FixtureRequest, job_of: Callable[[str], Job]) -> tuple[Job, dict[str, Held]]:
    job = job_of(request.param)
    return job, gathered(job)


def test_every_number_on_the_page_is_held_by_a_typed_result(told: tuple[Job, dict[str, Held]]) -> None:
    job, held = told
    assert strays(render(build_story(job)), held) == {}


PLANTED = [
    ("money", "first screen, budget, figure frontier, figure policies, people, figure mix, customers"),
    ("count", "first screen, figure frontier, figure policies, people, figure mix, messages, health, figure cadence, "
     "figure categories, response, figure curve, figure placebos, models, "
     "figure elasticities, figure calibration-2, figure forecast-calibration"),
    ("percent", "first screen, figure elasticities, health, customers, "
     "figure discount-share, figure categories, forecast, "
     "response, figure curve, "
     "figure placebos, figure calibration-1, figure forecast-calibration"),
    ("number", "figure frontier, figure learning-ndcg, figure learning-loss, figure placebos, "
     "models"),
    ("days", "customers, figure cadence"),
]  # fmt: skip


@pytest.mark.parametrize(("form", "where"), PLANTED, ids=[form for form, _ in PLANTED])
def test_a_chapter_that_adds_to_a_number_is_found(
    told: tuple[Job, dict[str, Held]], monkeypatch: pytest.MonkeyPatch, form: str, where: str
) -> None:
    job, held = told
    story = build_story(job)
    add(monkeypatch, form)
    assert {*where.split(", ")} <= {*strays(render(story), held)}


def test_another_number_in_the_place_of_one_is_mostly_found(told: tuple[Job, dict[str, Held]]) -> None:
    """What is held is not so much that anything passes: of every part, most numbers could not be others."""
    job, held = told
    page = render(build_story(job))
    for name, text in parts(page).items():
        tokens = held[name].tokens(text)
        other = [token.translate(str.maketrans("0123456789", "1234567890")) for token in tokens]
        assert sum(bare(token) in held[name].printed for token in other) <= len(other) / 2, name
    for name, data in charts(page).items():
        wrong = [float(f"{1.013 * x + 0.017:.6g}") for x in drawn(data)[1]]
        assert not held[name].raw & {*wrong}, name


def test_another_share_held_out_than_was_set_is_found(told: tuple[Job, dict[str, Held]]) -> None:
    job, held = told
    other = job.config.model_copy(update={"plan": job.config.plan.model_copy(update={"holdout_share": 0.21})})
    found = strays(render(build_story(Job(other, job.store, job.tell))), held)
    assert found["unknowns"] == ["21 %"]


def test_the_headline_is_the_one_number_on_the_whole_page(told: tuple[Job, dict[str, Held]]) -> None:
    """The same figure on the first screen, in the budget's chapter and beside the other policies."""
    job, _ = told
    found = Evaluation.load(job.store)
    assert found.luck is not None
    figure = money(Plan.load(job.store).summary.value_cents, job.config.shop.currency)
    page = render(build_story(job))
    assert f'<p class="huge">+{figure}</p>' in page
    assert f"the plan is expected to add {figure}" in page
    assert f"This plan is expected to earn {figure}" in page


def test_the_first_screen_says_at_which_supplier_share_the_plan_would_flip(told: tuple[Job, dict[str, Held]]) -> None:
    job, _ = told
    believed = Plan.load(job.store).summary.assumptions
    page = render(build_story(job))
    screen = visible(page[: page.index('class="contents"')])
    places = [screen.index(clean(assumption_text(each, job.config.shop.currency))) for each in believed]
    assert places == sorted(places)
    assert "supplier_share" in [each.name for each in believed]


def test_a_shop_where_nothing_is_open_is_told_too(tmp_path: Path) -> None:
    """The comparison of policies used to break on an empty table of open offers."""
    with Store(tmp_path) as store:
        job = told_shop(store, 1, rules={"min_buy_prob": 1.0}, menu=menu(0.5)[:4])
        page = visible(render(build_story(job)))
        assert "policies" in Evaluation.load(store).unchecked
    assert "Nobody would get an offer." in page
    assert "no offer is open to anybody" in page
