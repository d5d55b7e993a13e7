"""How good the forecasts are: in short for everybody; and in the appendix every figure and calibration."""

from collections.abc import Sequence

from promolift.pages.blocks import Block, Chapter, Figure, gap, table
from promolift.pages.figures import (
    calibration_figure,
    score_block,
    verdict,
)
from promolift.pages.story import Story
from promolift.results.chinese import kept
from promolift.results.predictions import Scored
from promolift.results.shop import PurchaseMembers
from promolift.terms import Words
from promolift.words import (
    bracket,
    clip,
    count,
    ends,
    interval_name,
    number,
    pick,
    share,
    spoken,
)

MOST_MODELS = 4
PLAIN = {
    "buying a category in the window": Words(en="who buys a category in the window", zh="谁会在活动期买某个品类"),
    "redeeming a campaign's coupon": Words(en="who uses a coupon", zh="谁会用券"),
}


def name_of(model: str) -> str:
    """What a model forecasts, in plain words."""
    return PLAIN[model].in_(spoken()) if model in PLAIN else clip(kept(model), 60)


def tell(story: Story) -> Chapter:
    """The forecasts in short: did it come true, and is it better than a simple rule."""
    lead = pick(
        "Made as of some weeks ago and compared with what customers then did, beside a rule anybody could use.",
        "站在几周之前做出预测，与客户后来的实际行为比较，并与谁都会用的简单做法相比。",
    )
    scores, why = story.predictions.scores, story.missing.get("predictions")
    blocks: list[Figure | Block] = (
        [_short(scores)] if scores else [gap(pick("how good the forecasts are", "预测有多准"), why)]
    )
    return Chapter("forecasts", pick("Forecasts", "预测"), pick("Are the forecasts right?", "预测准吗？"), lead, blocks)


def _short(scores: Sequence[Scored]) -> Block:
    """A row per forecast."""
    rows = []
    for model in dict.fromkeys(each.model for each in scores):
        mine = [each for each in scores if each.model == model]
        large = next((each for each in mine if each.in_the_large), None)
        verdicts = [verdict(each).tone for each in mine if not each.in_the_large]
        better, worse = verdicts.count("good"), verdicts.count("bad")
        against = pick("no better than the rule", "不比简单做法好")
        if better and not worse:
            against = pick("better than a simple rule", "比简单做法好")
        elif worse:
            against = pick("worse than a simple rule", "不如简单做法")
        found = ends(large.low, large.high, number) if large else ""
        value = number(large.value) + bracket(found) if large else ""
        off = pick("missed", "有偏差") if large and large.missed else pick("right", "准确") if large else ""
        rows.append([name_of(model), value, off, against, count(mine[0].n)])
    heads = [
        pick("forecast", "预测内容"),
        pick("forecast for each 1 that came", "预测值÷实际值"),
        pick("on the whole", "总体"),
        pick("beside a simple rule", "与简单做法相比"),
        pick("cases", "样本数"),
    ]
    text = pick(
        f"1 would be right; in brackets the {interval_name()}. Up to 0.05 off counts as right.",
        f"1为完全准确；括号内为{interval_name()}。偏差0.05以内算准确。",
    )
    return table(pick("Did it come true?", "预测实现了吗？"), heads, rows, text, words=(2, 3))


def tell_figures(story: Story) -> Chapter:
    """Every figure of every model."""
    lead = pick(
        "Figures on cases that the models had not seen when they were fitted, beside the simple rule they must beat.",
        "在模型拟合时没有见过的样本上的指标，以及它们必须胜过的简单规则。",
    )
    found, why = story.predictions, story.missing.get("predictions")
    title = pick("Figures against simple rules", "与简单规则比较的指标")
    blocks: list[Figure | Block] = [
        score_block(found.scores, title)
        if found.scores
        else gap(pick("how good the predictions are", "预测有多准"), why)
    ]
    blocks += [
        calibration_figure(each, f"calibration-{i}") for i, each in enumerate(found.reliability[:MOST_MODELS], start=1)
    ] or [gap(pick("whether predicted probabilities come true", "预测的概率是否实现"), why)]
    if story.members is not None:
        blocks.append(_members(story.members))
    if story.attributes:
        rows = [[each.what, clip(each.why, 200)] for each in story.attributes]
        heads = [pick("attribute", "属性"), pick("because", "原因")]
        blocks.append(table(pick("Known of nobody", "所有客户都未知的属性"), heads, rows, words=(1,)))
    name, part = pick("Models", "模型"), pick("Technical appendix", "技术附录")
    return Chapter("models", name, pick("How good are the models?", "模型有多好？"), lead, blocks, part)


def _members(members: PurchaseMembers) -> Block:
    """Which members forecast purchases, and why."""
    rows = []
    for when, each in (
        (pick("the plan", "计划"), members.at_plan),
        (pick("the check", "检验"), members.at_check),
    ):
        gain = number(each.lead) + bracket(ends(each.lead_low, each.lead_high, number))
        rows.append([when, share(each.weight), number(each.alone), gain, kept(each.why)])
    heads = [
        pick("as of", "时点"), pick("weight of the trees", "树模型的权重"),
        pick("log loss of counts", "计数模型的对数损失"), pick("with trees, less by", "加入树模型后减少"),
        pick("because", "原因"),
    ]  # fmt: skip
    text = pick(
        "Counts of each customer's habits, and boosted trees over them; judged on the last window before the moment, "
        "each half of the customers at the weight that the other half chose.",
        "每位客户自身习惯的计数，以及在其之上的提升树；用该时点之前最后一个窗口评判，每一半客户用另一半选定的权重。",
    )
    return table(pick("Who forecasts purchases", "由什么模型预测购买"), heads, rows, text, words=(4,))
