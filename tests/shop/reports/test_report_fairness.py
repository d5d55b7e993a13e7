"""The page's chapter on fairness: limits with their price, gaps, swaps and proxies, in both languages."""

import re
from collections.abc import Callable

import polars as pl
import pytest
from small_story import small_story

from promolift.core.allocation import Limit
from promolift.core.experiments.group_gaps import GroupGap, Proxy
from promolift.foundation.i18n.formatting import use_locale
from promolift.foundation.localized_text import Language
from promolift.shop.pipeline.fairness_audit import message_angle_columns
from promolift.shop.reports.chapters.fairness import build_chapter
from promolift.shop.reports.chapters.summary import render
from promolift.shop.results.fairness import FairnessNote, Swap
from promolift.shop.results.messages import Messages
from promolift.shop.results.plan import Plan
from promolift.shop.results.plan_note import FairPlan, FairUse
from promolift.shop.results.work_folder.run_context import Job

LIMIT = Limit(name="fair", measure="count_share", at_least=0.3, at_most=0.5, slack=1.0, where={"groups": ("sex=F",)})
PLANNED = FairPlan(
    uses=(FairUse(limit=LIMIT, group="sex=F", people=0.4, used=0.302, price=120.0),), excluded=("minors",),
    cost_cents=4500.0,
)  # fmt: skip
FOUND = FairnessNote(
    campaign="c", currency="USD", customers=900, columns=("sex", "loyalty"),
    gaps=(
        GroupGap(measure="price", group="loyalty=loyal", n=700, others=200, mean=1.02, others_mean=1.0, gap=0.021,
                 low=0.01, high=0.032, p=0.001),
        GroupGap(measure="value", group="sex=F", n=400, others=500, mean=30.0, others_mean=31.0, gap=-1.0, low=-9.0,
                 high=7.0, p=0.9),
        GroupGap(measure="angle:favourite", group="sex=F", n=400, others=500, mean=0.5, others_mean=0.3, gap=0.2,
                 low=0.1, high=0.3, p=0.002),
    ),
    swaps=(Swap(column="sex", customers=120, changed=0, low=0.0, high=0.031),),
    proxies=(
        Proxy(group="sex=F", feature=None, auc=0.9, low=0.88, high=0.92),
        Proxy(group="sex=F", feature="top_store", auc=0.85, low=0.8, high=0.9, measure="value", gap=-1.0, left=-0.2,
              through=True),
    ),
)  # fmt: skip
SAID = {
    "en": [
        "loyal customers (700) is worse off: price paid, the shop&#39;s usual one being 100 % +2.1",
        "Another sex alone",
        "sex: F (400) is written to otherwise: messages with the reason",
        "A gap runs through top_store", "They cost $45.00", "sex: F",
    ],
    "zh": [
        "老客（700位）吃亏：同等购物篮下，成交价", "只改性别，决定不变（试了120位客户；至多3.1%）",
        "差距经由top_store产生", "性别：F（400位）收到的理由不同",
        "为此少赚$45.00", "性别：F", "不发个性化优惠的客群：minors",
    ],
}  # fmt: skip


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_says_who_is_treated_otherwise_and_what_limits_cost(language: Language) -> None:
    page = render(small_story(note={"fairness": PLANNED}, fairness=FOUND, language=language))
    text = page.replace("\N{NO-BREAK SPACE}", " ")
    for said in SAID[language]:
        assert said in text
    if language == "zh":
        (chapter,) = re.findall(r"各群体是否得到同等对待(.*?)</section>", page, re.S)
        words = set(re.findall(r"[A-Za-z_]{3,}", re.sub(r"<[^>]+>", " ", chapter)))
        assert words <= {"AUC", "top_store", "minors", "nbsp", "USD"}


def test_reasons_of_messages_are_compared_among_those_who_read_one(job_of: Callable[[str], Job]) -> None:
    job = job_of("dollars")
    found, told = message_angle_columns(job, Plan.load(job.store)), Messages.load(job.store).rows
    names = found.columns[1:]
    assert 0 < len(names) <= 3
    assert all(name.startswith("angle:") and name != "angle:generic" for name in names)
    assert set(found["customer_id"]) <= set(told["customer_id"])
    for name in names:
        mine = found.filter(pl.col(name) == 1.0)["customer_id"].sort().to_list()
        those = told.filter(pl.col("angle") == name.removeprefix("angle:"))["customer_id"].sort().to_list()
        assert mine == [each for each in those if each in set(found["customer_id"])]


def test_no_chapter_where_nothing_was_compared() -> None:
    with use_locale("en"):
        assert build_chapter(small_story()) is None


@pytest.mark.parametrize("language", ["en", "zh"])
def test_where_nothing_was_compared_no_group_is_called_alike(language: Language) -> None:
    nobody = FOUND.model_copy(update={"gaps": (), "columns": ()})
    wide = GroupGap(measure="offers", group="sex=F", n=40, others=50, mean=0.4, others_mean=0.3, gap=0.1, low=-0.2,
                    high=0.4, p=0.6)  # fmt: skip
    narrow = wide.model_copy(update={"low": 0.05 - 0.1, "high": 0.05 + 0.1})
    with use_locale(language):
        (none,), (alike,) = nobody.findings, FOUND.model_copy(update={"gaps": (wide, narrow)}).findings
    assert "fairness.least_customers" in none
    assert alike not in none
    assert "30" in alike  # the half width of the coarsest comparison, and of the finest
    assert "10" in alike
