"""Stored results of the line tests of a plan: what is given and drawn in each group, and sentences that describe it."""

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import numpy as np
import polars as pl

from promolift.core.decisions.decision_rule import LineEffect
from promolift.foundation.i18n.formatting import count, join_list, localize, money, percent
from promolift.foundation.settings import Settings
from promolift.foundation.storage.local_store import Store
from promolift.foundation.storage.stored_model import Note

TOO_FEW = 20  # customers of a group below which no arm can be compared with none


class LineTestGroup(Settings):
    """A group in which arms are drawn against none: customers of each, the smallest effect that this shows with 80 %
    power after its window, and how many on each side would show the smallest effect worth knowing: one as large as what
    the dearest arm costs, or as what is assumed of a letter where none costs anything. With `even` customers on each
    side as much would be shown as is; of several arms by that of which fewest are drawn."""

    group: str
    arms: tuple[str, ...]
    treated: int
    none: int
    detectable_cents: float
    needed: int
    even: int = 0


class LineTestNote(Note):
    """What this plan gives and draws: `cost_cents` is what draws are expected to cost, `ceiling_cents` what all that is
    given costs at most but for one month in a thousand, `largest` the largest group, `assumed_visits` by how much an
    offer is assumed to raise the odds of coming, None where draws have told, and `visits_flip` the rise at which what
    is given would be worth nothing, None where it is worth something without any. Where an offer lowered by the share
    `habit_flip` what those who use it bring after the window, discounts would be worth nothing. `halves` is how many
    customers a group would need to be halved by price sensitivity, where that was asked for and none is; 0 where
    nobody's is known. `tests` is how many windows of this campaign were tests before this plan,
    and `shown_cents` the smallest gain per customer that they would have shown."""

    NAME: ClassVar[str] = "test"
    tested: tuple[LineTestGroup, ...]
    given: int
    largest: int
    cost_cents: float
    ceiling_cents: float
    habit_flip: float | None
    budget_cents: float
    window_days: int
    horizon_days: int
    effects: tuple[LineEffect, ...]
    assumed_visits: float | None = None
    visits_flip: float | None = None
    halves: int | None = None
    tests: int = 0
    shown_cents: float | None = None


def all_draws(store: Store) -> pl.DataFrame | None:
    """Every window's draws of every campaign, a row per customer, oldest first; None before the first."""
    if not store.has("draws"):
        return None
    drawn = store.frame("draws")
    return drawn if "aimed" in drawn.columns else drawn.with_columns(aimed=pl.lit(False))  # none aimed before


def add_draws(store: Store, rows: pl.DataFrame, customer_ids: pl.Series) -> None:
    """Keep a plan's draws beside all earlier ones, in place of those of its own campaign and moment.

    `customer_ids` are those whom the log knows: who was erased from it vanishes from what was drawn before.
    """
    if (before := all_draws(store)) is not None:
        mine = rows.select("campaign_id", "ts_ms").unique()
        known = before.filter(pl.col("customer_id").is_in(customer_ids.implode()))
        rows = pl.concat([known.join(mine, on=["campaign_id", "ts_ms"], how="anti", maintain_order="left"), rows])
    store.save("draws", rows)


def purge_draws(store: Store, before_ms: int) -> int:
    """Delete the draws of moments before `before_ms`; how many rows there were."""
    if (drawn := all_draws(store)) is None:
        return 0
    stays = drawn.filter(pl.col("ts_ms") >= before_ms)
    if stays.height < drawn.height:
        store.save("draws", stays)
    return drawn.height - stays.height


def load_cells(store: Store) -> pl.DataFrame | None:
    """Load what the plan expects of each arm in each group, a row per cell; None if it drew none."""
    if not store.has("arms"):
        return None
    cells = store.frame("arms")
    cells = cells if "aimed" in cells.columns else cells.with_columns(aimed=pl.lit(False))
    if "contact" not in cells.columns:  # kept by a version before
        cells = cells.with_columns(contact=pl.lit(0.0))
    return cells.select(pl.exclude("aimed"), "aimed")


class TargetedRatios(NamedTuple):
    """Realised gain and cost of targeted lines as shares of what was predicted."""

    gain: float
    cost: float


def targeted_ratios(effects: Sequence[LineEffect]) -> TargetedRatios | None:
    """Return the ratios of all targeted lines together, weighted by customers drawn; None if none drew."""
    drew = [
        (each.n_arm, each.net_cents, each.gain_ratio, each.cost_cents, each.cost_ratio)
        for each in effects if each.n_arm > 0 and each.gain_ratio and each.cost_ratio
    ]  # fmt: skip
    if not drew:
        return None
    count_A, gain_A, gain_ratio_A, cost_A, cost_ratio_A = np.array(drew).T
    hoped, priced = count_A @ (gain_A / gain_ratio_A), count_A @ (cost_A / cost_ratio_A)
    return TargetedRatios(float(count_A @ gain_A / hoped), float(count_A @ cost_A / priced))


def line_test_sentences(note: LineTestNote, currency: str) -> list[str]:
    """Describe what the plan gives and draws, when the result is known and what it costs at most."""
    said = _given(note)
    return said + _tested(note, currency) if note.tested else said or [_no_test(note, currency)]


def _given(note: LineTestNote) -> list[str]:
    """Who gets what without a draw, and by what that is known to pay."""
    if not note.given:
        return []
    if not (came := targeted_ratios(note.effects)):
        return [
            localize(
                f"{count(note.given)} customers get what has been shown to pay for customers like them.",
                f"{count(note.given)}位客户得到优惠：测试表明，对同类客户这样做是赚钱的。",
            )
        ]
    gain, cost = percent(came.gain), percent(came.cost)
    return [
        localize(
            f"{count(note.given)} customers get what is predicted to add most for each. By the draws so far "
            f"{gain} of the predicted gain comes about, and {cost} of the predicted cost: predictions are moved "
            "by that.",
            f"{count(note.given)}位客户得到预计对各人增益最多的优惠。按目前的抽样，收益约为预测的{gain}，"
            f"成本约为预测的{cost}，预测已据此调整。",
        )
    ]


def _tested(note: LineTestNote, currency: str) -> list[str]:
    """What the draws will tell and what they cost, what is assumed until then, and what to do next."""
    weak = all(each.even < each.needed for each in note.tested)
    said = [_test(note, currency, weak)]
    if lead := sorted({each.arm for each in note.effects if each.lead}):
        said.append(
            localize(
                f"{join_list(lead)} takes nothing off and is believed to gain: most get it and a control does not.",
                f"{join_list(lead)}不花钱，且预计有收益：多数客户会收到，只留一组对照不发。",
            )
        )
    if note.halves is not None:
        said.append(_not_halved(note.halves, note.largest))
    said += _assumed(note)
    if weak:
        need = count(min(each.needed for each in note.tested))
        said.append(
            localize(
                "One window alone is too small to show effects as large as an offer's cost, or as what is assumed of a "
                f"reminder: {need} customers on each side would. Each further window adds to what is known.",
                f"单独一次还不足以看出与优惠成本（或所假设的提醒效果）一样大的效应：每边需要{need}位客户。之后每一次都会增加所知。",
            )
        )
    said.append(
        localize(
            "Next: send it; when the days are over run `promolift ingest` and `promolift learn`, then `promolift learn "
            "approve`.",
            "下一步：发送；期满后运行`promolift ingest`和`promolift learn`，再运行`promolift learn approve`。",
        )
    )
    return said


def _test(note: LineTestNote, currency: str, weak: bool) -> str:
    """Which effects a test shows, of whom, after how long, at what cost; `weak` is one too small to show them alone."""
    least = money(min(each.detectable_cents for each in note.tested), currency)
    cost, most = money(note.cost_cents, currency), money(note.ceiling_cents, currency)
    parts = join_list([_group(each, currency) for each in note.tested])
    name = localize(
        "a first draw, to be pooled with those that follow" if weak else "a test",
        "首次抽样，要与之后的几次合并" if weak else "一次测试",
    )
    return localize(
        f"Before sending: this is {name}, read once, when its days are over. After {note.window_days} days you "
        f"will know effects of at least {least} per customer over {note.horizon_days} days; it is expected to cost "
        f"{cost}, and all that is given costs at most {most} (but for one month in a thousand; the budget is kept "
        f"by that). By group, with 80 % power: {parts}.",
        f"发送之前：这是{name}，期满后读取一次。{note.window_days}天后可以看出每位客户{note.horizon_days}天内至少{least}的效应；"
        f"预计花费{cost}，全部优惠最多花费{most}（一千次中最多一次例外，预算按此遵守）。各组在80%功效下：{parts}。",
    )


def _not_halved(needed: int, largest: int) -> str:
    """Why no group is halved by price sensitivity."""
    if not needed:
        return localize(
            "Groups are not halved by price sensitivity: without discounts on the shelf nobody's is known.",
            "没有按价格敏感度再分组：没有货架折扣，无法得知客户的价格敏感度。",
        )
    need, most = count(needed), count(largest)
    return localize(
        f"Groups are not halved by price sensitivity: to tell the halves apart a group needs {need} customers, and the "
        f"largest has {most}.",
        f"没有按价格敏感度再分组：要区分两半，一组需要{need}位客户，而最大的一组只有{most}位。",
    )


def _assumed(note: LineTestNote) -> list[str]:
    """What is assumed until draws tell."""
    said = []
    if note.assumed_visits is not None:
        more = percent(note.assumed_visits)
        flip = "" if note.visits_flip is None else localize(
            f" By these assumptions the offers are worth nothing at a rise of {percent(note.visits_flip)}.",
            f"按这些假设，提高{percent(note.visits_flip)}时这些优惠正好不赚不赔。",
        )  # fmt: skip
        said.append(
            localize(
                f"Assumed until draws tell: an offer raises the odds that who stays away comes by {more}, and who "
                f"comes is worth what such customers were worth after returns of their own.{flip}",
                f"在测试说明之前的假设：优惠使不来的客户来店的几率提高{more}，"
                f"来了之后的价值与这类客户过去自行回来后的价值相同。{flip}",
            )
        )
    if note.habit_flip is not None:
        less = percent(note.habit_flip)
        said.append(
            localize(
                "Assumed: who uses a discount buys as before afterwards. Discounts would be worth nothing if it "
                f"lowered what they bring in the weeks after the window by {less}; within the window it changes "
                "nothing.",
                "假设：用过折扣的客户之后照旧购买。"
                "如果期满之后几周他们带来的利润因此减少"
                f"{less}，这些折扣就不再值得；期内不受影响。",
            )
        )
    return said


def _group(group: LineTestGroup, currency: str) -> str:
    """One group's smallest effect, lines and sizes."""
    least, arms = money(group.detectable_cents, currency), join_list(list(group.arms))
    treated, none, name = count(group.treated), count(group.none), group_name(group.group)
    return localize(
        f"{least} among {name} ({arms}: {treated} against {none} with none)",
        f"{name}：{least}（{arms}：{treated}位，对照{none}位）",
    )


_GROUPS_ZH = {
    "all customers": "全部客户", "active": "常来", "slowing": "来得少了", "lapsed": "流失", "long lapsed": "久未来店",
    "high value": "价值较高", "low value": "价值较低", "price sensitive": "对价格敏感",
    "less price sensitive": "对价格不太敏感",
}  # fmt: skip


def group_name(group: str) -> str:
    """A group of a test in the language that is spoken: 'active, high value'; a name of the shop's own as it is."""
    return localize(group, "、".join(_GROUPS_ZH.get(part, part) for part in group.split(", ")))


def stopped_test_sentence(note: LineTestNote, currency: str) -> str:
    """State that tests ended without a line that pays, what they would have shown, and how to test again."""
    tests, least = note.tests, note.shown_cents
    would = "" if least is None else localize(
        f" (they would have shown a gain of {money(least, currency)} per customer and more with 80 % power)",
        f"（在80%功效下可以看出每位客户至少{money(least, currency)}的收益）",
    )  # fmt: skip
    return localize(
        f"After {count(tests)} test{'s' * (tests > 1)}{would} nothing has been shown to pay: by all draws together no "
        "menu line is likely enough to add more than none. Stopped: nothing is given or tested any more. To test "
        "again, change the menu (or ask suppliers for a part of the discount) and give plan.campaign a new name in "
        "promolift.toml.",
        f"经过{count(tests)}次测试{would}，没有一种优惠显示能赚钱：合并全部抽样，没有一项优惠有足够大的可能带来收益。"
        "已停止：不再发放，也不再测试。若要重新测试，请调整优惠清单（或请供应商分担折扣），"
        "并在promolift.toml中给plan.campaign换一个新名称。",
    )


def _no_test(note: LineTestNote, currency: str) -> str:
    """Why nothing is given and nothing drawn."""
    if note.largest < TOO_FEW:
        most = count(note.largest)
        return localize(
            f"Too few customers for a test: the largest group that could be compared has {most}, and {TOO_FEW} are the "
            "least. Next: wait for more customers, or ask more of them for their consent.",
            f"客户太少，无法测试：可比较的最大一组只有{most}位，至少需要{TOO_FEW}位。"
            "下一步：等客户更多，或征得更多客户的同意。",
        )
    budget = money(note.budget_cents, currency)
    if note.tests:
        return localize(
            f"{stopped_test_sentence(note, currency)} No offers are given, which is the best by what is known.",
            f"{stopped_test_sentence(note, currency)}不发优惠，就目前所知这是最好的。",
        )
    return localize(
        f"Nothing pays, and nothing more is worth learning within the budget of {budget}: no offers are given, which "
        "is the best by what is known. Next: change the menu, or ask suppliers for a part of the discount.",
        f"没有一种优惠赚钱，在{budget}的预算内也没有值得再测试的：不发优惠，就目前所知这是最好的。下一步：调整优惠清单，"
        "或请供应商分担折扣。",
    )
