"""How well an encoder, where there is one, learned what each customer will do next."""

from collections.abc import Sequence

from promolift.pages.blocks import Block, Chapter, Figure, gap, note
from promolift.pages.figures import Axis, Line, by_x, calibration_figure, lines, score_block
from promolift.pages.story import Story
from promolift.results.forecasts import Checked, EpochFigures
from promolift.words import count, number, pick, share


def tell(story: Story) -> Chapter | None:
    """What is forecast; where an encoder was asked for and none was learned, why; no chapter where nobody asked."""
    found, why = story.forecast, story.missing.get("forecast")
    if found is None and why is None:
        return None
    lead = pick(
        "A small neural network, a transformer, read every visit and learned where each customer stands among all and "
        "what comes next. It forecasts what people do anyway, not what an offer would change.",
        "一个小型神经网络（transformer）读了每一次到店，学会每位客户在所有人中的位置，以及接下来会怎样。它预见的是客户本来会做的"
        "事，不是优惠会改变什么。",
    )
    blocks = _quality(found) if found else []
    if found is None:
        lead = pick(
            "No neural network was learned in this run. The plan needs none, and all else is told without it.",
            "这次没有训练神经网络。计划不需要它，其余内容也不依赖它。",
        )
        blocks = [gap(pick("what each customer will do next", "每位客户接下来会做什么"), why)]
    title = pick("What will each customer do next?", "每位客户接下来会做什么？")
    return Chapter("forecast", pick("What comes next", "接下来"), title, lead, blocks)


def _quality(found: Checked) -> list[Block | Figure]:
    """Figures beside habit, the training, and calibration."""
    title = pick(
        "How well the next basket is forecast, in weeks never learned from", "对下一单的预见（在没有学过的几周里）"
    )
    said, came = share(found.stays_away.predicted), share(found.stays_away.observed)
    text = pick(
        f"Of the customers, {said} were expected to stay away for those 8 weeks, and {came} did. "
        "The weeks served to stop the learning in time, which flatters the figures a little; each half of the "
        "customers was calibrated on the other half.",
        f"预计有{said}的客户那8周不来，实际是{came}。这几周也用来决定何时停止学习，所以指标略偏好；每一半客户用另一半来校准。",
    )
    basket, loss = pick("The next basket (NDCG@10)", "下一单（NDCG@10）"), pick("The loss", "损失")
    return [
        score_block(found.scores, title),
        note(text),
        _curve(found.epochs, found.kept, "ndcg", basket, pick("higher is better", "越高越好")),
        _curve(found.epochs, found.kept, "loss", loss, pick("lower is better", "越低越好")),
        *([calibration_figure(found.reliability, "forecast-calibration")] if found.reliability else ()),
    ]


def _curve(epochs: Sequence[EpochFigures], best: EpochFigures, slug: str, name: str, good: str) -> Figure:
    """A figure epoch by epoch, where it was learned and where it was not."""
    parts = (
        ("train", "blue", pick("learned from", "学过的")),
        ("valid", "orange", pick("not learned from", "没学过的")),
    )
    series = [Line(said, tone, [(e.epoch, getattr(e, f"{part}_{slug}")) for e in epochs]) for part, tone, said in parts]
    first, top = (number(getattr(e, f"valid_{slug}")) for e in (epochs[0], best))
    only = best == epochs[0]
    finding = pick(
        f"{name} of the weeks not learned from: {first} after one pass over the data"
        + (", which is kept." if only else f", {top} after {best.epoch}, which is kept."),
        f"{name}，没学过的几周：一遍之后{first}"
        + ("，保留这一遍。" if only else f"，{best.epoch}遍之后{top}，保留这一遍。"),
    )
    short = f"{name[:1].lower()}{name[1:]}"
    along, upright = Axis(pick("epoch", "遍数"), "count"), Axis(f"{short}{pick(', ', '，')}{good}", "fixed")
    how = pick(
        "An epoch is one pass over the data. Were the lines to part, it would be learning by heart.",
        "一遍即把数据过一次。两条线如果分开，就是在死记硬背。",
    )
    grid = by_x(along.name, series, count, number)
    title = pick("Learning: ", "学习：") + short
    return lines(f"learning-{slug}", title, finding, along, upright, series, grid, how=how, close=True)
