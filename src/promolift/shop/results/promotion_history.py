"""The stored result of the history: what each past promotion earned, or why it cannot be told, in figures and words."""

import datetime
from math import ceil
from typing import ClassVar, Literal

from promolift.core.effects.event_study import Difference
from promolift.core.effects.past_promotions import PromotionKind, Reason, Verdict
from promolift.foundation.evidence import Level
from promolift.foundation.i18n.formatting import (
    MoneyFormat,
    count,
    current_locale,
    in_brackets,
    interval,
    join_list,
    localize,
    low_to_high,
    percent,
    plural,
    truncate,
    upper_first,
)
from promolift.foundation.settings import Settings
from promolift.foundation.storage.stored_model import Note

NAMES_SHOWN = 3  # of promotions that were judged together
EXPLAINED = 6  # promotions that are explained in several sentences; further ones have a line
Unknown = Literal["always", "no_discounts", "no_promotions", "no_amounts"]


class Amount(Settings):
    """A difference between what was observed and what was expected, with its 95 % interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, found: Difference) -> "Amount":
        return cls(value=found.value, low=found.low, high=found.high)

    @property
    def certain(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.low > 0 or self.high < 0


class PromotionEffect(Settings):
    """What a promotion changed: orders and margin (minor units) before it, in its days and after it, and the margin of
    its days and those after it together (`net`), discounts off. `after_days` were counted.
    """

    expected_orders: float
    orders_before: Amount
    orders_within: Amount
    orders_after: Amount
    margin_within: Amount
    margin_after: Amount
    net: Amount
    after_days: int
    p: float
    placebos: int

    @property
    def orders_change(self) -> float | None:
        """Orders in its days, as a share more than expected; None where hardly any were expected."""
        return self.orders_within.value / self.expected_orders if self.expected_orders >= 1 else None

    @property
    def pulled_forward(self) -> float | None:
        """Share of the additional orders that were missing afterwards; None where either is not beyond chance."""
        if self.orders_within.low <= 0 or self.orders_after.high >= 0:
            return None
        return min(-self.orders_after.value / self.orders_within.value, 1.0)


class PastPromotion(Settings):
    """One promotion that the log shows. `reach` customers could get it, None: everybody. `cost_cents` is the discount
    that it gave: of prices beyond the usual, of coupons all. `effect` is None where it cannot be told, for `reason`.
    """

    kind: PromotionKind
    names: tuple[str, ...]
    first: datetime.date
    last: datetime.date
    reach: int | None
    orders: int
    cost_cents: int
    effect: PromotionEffect | None
    verdict: Verdict
    reason: Reason | None
    evidence: Level | None

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1

    @property
    def when(self) -> str:
        """Its days: `3 to 9 May 2024`."""
        a, b = self.first, self.last
        if a == b:
            return localize(f"{a.day} {a:%B} {a.year}", f"{a.year}年{a.month}月{a.day}日")
        en = f"{a.day}{'' if (a.year, a.month) == (b.year, b.month) else f' {a:%B}'}"
        en += "" if a.year == b.year else f" {a.year}"
        zh = f"{b.year}年" if a.year != b.year else ""
        zh += f"{b.month}月{b.day}日" if (a.year, a.month) != (b.year, b.month) else f"{b.day}日"
        return localize(f"{en} to {b.day} {b:%B} {b.year}", f"{a.year}年{a.month}月{a.day}日至{zh}")

    @property
    def what(self) -> str:
        """What kind of promotion, with its name."""
        named = [truncate(each, 40) for each in self.names]
        more = len(named) - NAMES_SHOWN
        name = join_list(named[:NAMES_SHOWN]) + (localize(f" and {count(more)} more", f"等{count(len(named))}个")
                                                 if more > 0 else "")  # fmt: skip
        if self.kind == "sitewide":
            return localize("discount for everybody", "全场折扣") + in_brackets(name)
        if self.kind == "coupons":
            return localize(f"code {name}", f"优惠码{name}") if named else localize("coupons", "优惠券")
        if self.kind == "campaign":
            who = localize(plural(self.reach, "customer"), f"{count(self.reach)}位客户")
            return localize(f"campaign {name}, sent to {who}", f"活动{name}，发给{who}")
        return localize(f"price cut of {name}", f"{name}降价")


class PromotionHistory(Note):
    """All past promotions that were found, the latest first; `unknown` says why none can be told.

    `days` of the log were read; `margin_rate` holds for products without a cost; `smaller` further promotions have too
    few orders to be listed.
    """

    NAME: ClassVar[str] = "history"
    currency: str
    margin_rate: float
    days: int
    promotions: tuple[PastPromotion, ...]
    smaller: int
    unknown: Unknown | None

    @property
    def estimated(self) -> tuple[PastPromotion, ...]:
        return tuple(each for each in self.promotions if each.effect is not None)

    @property
    def cash(self) -> MoneyFormat:
        return MoneyFormat(self.currency)

    @property
    def ranked(self) -> tuple[PastPromotion, ...]:
        """Those that can be told: earned or lost first, then those that gave most discount."""
        return tuple(sorted(self.estimated, key=lambda each: (each.verdict == "unclear", -each.cost_cents)))

    def result(self, each: PastPromotion) -> str:
        """What a promotion earned or lost, or why it cannot be told."""
        if each.effect is None:
            why = why_untold(each.reason)
            return localize(f"cannot be told: {why}", f"无法判断：{why}")
        cash, net = self.cash, each.effect.net
        between = in_brackets(interval(net.low, net.high, lambda value: cash(value, sign=True)))
        size = cash(abs(net.value))
        if each.verdict == "earned":
            return localize(f"earned {size}{between}", f"多赚了{size}{between}")
        if each.verdict == "lost":
            return localize(f"lost {size}{between}", f"亏了{size}{between}")
        if net.certain:
            up = localize("gain" if net.value > 0 else "loss", "赚" if net.value > 0 else "亏")
            every = count(len(self.estimated))
            return localize(
                f"perhaps a {up} of {size}{between}, but among {every} promotions one may look like this by chance",
                f"可能{up}了{size}{between}，但在{every}次促销中，偶然也会出现这样的结果",
            )
        return localize(
            f"gain or loss is not certain, best estimate {cash(net.value, sign=True)}{between}",
            f"是赚是亏还不能确定，最可能是{cash(net.value, sign=True)}{between}",
        )

    def line(self, each: PastPromotion) -> str:
        """One promotion in one sentence."""
        said = self.result(each)
        return localize(f"{each.when}, {each.what}: {said}.", f"{each.when}，{each.what}：{said}。")

    def explain(self, each: PastPromotion) -> list[str]:
        """How the result came about: orders, discounts, margin in its days, and what was missing around it."""
        effect, cash = each.effect, self.cash
        if effect is None:
            return []
        usual, change = count(effect.expected_orders), effect.orders_change
        long, had = plural(each.days, "day"), plural(each.orders, "order")
        if change is not None and effect.orders_within.certain:
            size = percent(abs(change))
            more = localize("more" if change > 0 else "fewer", "多" if change > 0 else "少")
            orders = localize(
                f"In its {long} there were {had}, {size} {more} than the {usual} expected without it.",
                f"{count(each.days)}天里有{count(each.orders)}单，比没有活动时预计的{usual}单{more}{size}。",
            )
        else:
            least = ceil(max(effect.orders_within.value - effect.orders_within.low,
                             effect.orders_within.high - effect.orders_within.value))  # fmt: skip
            orders = localize(
                f"In its {long} there were {had}; {usual} were expected without it. The difference may be chance: it "
                f"shows from {plural(least, 'order')} more or fewer on.",
                f"{count(each.days)}天里有{count(each.orders)}单；没有活动时预计{usual}单，这个差别可能只是偶然：多或少"
                f"{count(least)}单以上才能看出来。",
            )
        within, given = effect.margin_within, cash(each.cost_cents)
        between = in_brackets(low_to_high(within.low, within.high, lambda value: cash(value, sign=True)))
        gain = cash(abs(within.value))
        side = localize("above" if within.value >= 0 else "below", "高" if within.value >= 0 else "低")
        margin = localize(
            f"It gave {given} of discount; after that, the margin of these days was {gain} {side} the expected"
            f"{between}.",
            f"共让利{given}；扣除后，这些天的毛利比预期{side}{gain}{between}。",
        )
        alone = localize(
            "Only this product is counted, not what else was bought with it or instead of it.",
            "只计算这个商品，没有计算同时买的或因此没买的其他商品。",
        )
        return [orders, margin, *self._around(each, effect), *([alone] if each.kind == "product" else [])]

    def _around(self, each: PastPromotion, effect: PromotionEffect) -> list[str]:
        """What was missing after the promotion and, where customers could know of it, before."""
        weeks, share = _weeks(effect.after_days), effect.pulled_forward
        said = []
        if not effect.after_days:
            said.append(localize("Another promotion followed at once.", "紧接着就是另一次促销。"))
        elif share is not None:
            said.append(
                localize(
                    f"{percent(share)} of the additional orders were missing in the {weeks} after it: these customers "
                    "had only bought earlier.",
                    f"多出的订单有{percent(share)}在之后{weeks}里少了：这些客户只是提前买了。",
                )
            )
        elif effect.orders_within.low > 0:
            between = low_to_high(effect.orders_after.low, effect.orders_after.high, _signed_count)
            said.append(
                localize(
                    f"Whether customers had only bought earlier cannot be told: in the {weeks} after it, orders were "
                    f"{between} against the expected.",
                    f"客户是不是只是提前买了，无法判断：之后{weeks}里，订单与预期相比为{between}单。",
                )
            )
        else:
            said.append(localize(f"The {weeks} after it are counted in.", f"之后{weeks}也计算在内。"))
        if each.kind in ("sitewide", "coupons") and effect.orders_before.high < 0:
            missing = plural(-effect.orders_before.value, "order")
            said.append(
                localize(
                    f"In the two weeks before it {missing} were missing: customers may have waited for it.",
                    f"之前两周少了{count(-effect.orders_before.value)}单：客户可能在等这次活动。",
                )
            )
        return said

    def untold_lines(self) -> list[str]:
        """The promotions that cannot be told, a line for each reason."""
        lines = []
        for reason in dict.fromkeys(each.reason for each in self.promotions if each.effect is None):
            some = [each for each in self.promotions if each.effect is None and each.reason == reason]
            named = [localize(f"{each.what} ({each.when})", f"{each.what}（{each.when}）") for each in some]
            shown, more = named[:NAMES_SHOWN], len(named) - NAMES_SHOWN
            rest = [localize(plural(more, "further one"), f"另外{count(more)}次")] if more > 0 else []
            names, why = join_list([*shown, *rest]), why_untold(reason)
            lines.append(localize(f"Cannot be told: {names}: {why}.", f"无法判断：{names}：{why}。"))
        return lines

    @property
    def summary(self) -> str:
        """How many promotions were found, and how many earned or lost money for certain."""
        if self.unknown is not None:
            return WHY_UNKNOWN[self.unknown]()
        every, judged = len(self.promotions), self.estimated
        days = localize(plural(self.days, "day"), f"{count(self.days)}天")
        head = localize(
            f"{plural(every, 'past promotion')} found in {days} of the log.",
            f"在{days}的日志里找到{count(every)}次促销。",
        )
        earned, lost = (sum(each.verdict == verdict for each in judged) for verdict in ("earned", "lost"))
        untold, open_ = every - len(judged), len(judged) - earned - lost
        parts = [
            localize(f"{count(earned)} earned money", f"{count(earned)}次赚了钱") if earned else "",
            localize(f"{count(lost)} lost money", f"{count(lost)}次亏了钱") if lost else "",
            localize(f"{count(open_)} are not certain", f"{count(open_)}次不能确定") if open_ else "",
            localize(f"{count(untold)} cannot be told", f"{count(untold)}次无法判断") if untold else "",
        ]
        parts = [each for each in parts if each]
        said = "，".join(parts) if current_locale() == "zh" else join_list(parts)
        head += localize(f" {upper_first(said)}.", f"其中{said}。") if parts else ""
        if self.smaller:
            more = plural(self.smaller, "smaller one")
            head += localize(f" {more} not listed.", f"另有{count(self.smaller)}次较小的未列出。")
        return head

    @property
    def caveat(self) -> str:
        """What the figures rest on, what they cannot exclude, and what to do for certainty."""
        rate = percent(self.margin_rate)
        return localize(
            "Evidence: adjusted. What was expected comes from the shop's other days, and the intervals were checked on "
            "days without a promotion. An advertisement, a season or a stock-out on the same days looks the same. "
            f"Products without a cost count with a margin of {rate} (value.margin_rate); money from suppliers is not "
            "counted. To know for certain, leave a random tenth of the customers without the next one, as "
            "`promolift plan` does.",
            "证据等级：校正后。预期来自店铺的其他日子，区间用没有促销的日子检验过。同一时间的广告、旺季或缺货看起来会一样。"
            f"没有成本的商品按{rate}的毛利率计算（value.margin_rate），供应商的补贴没有计入。"
            "要确切知道，下次随机留出一成客户不给优惠：`promolift plan`会这样做。",
        )

    def __str__(self) -> str:
        lines = [self.summary]
        for place, each in enumerate(self.ranked):
            if place <= EXPLAINED:
                lines.append("")
            lines.append(self.line(each))
            lines += [f"  {line}" for line in self.explain(each)] if place < EXPLAINED else []
        untold = self.untold_lines()
        return "\n".join([*lines, *(["", *untold] if untold else []), *(["", self.caveat] if self.estimated else [])])


def why_untold(reason: Reason | None) -> str:
    """Return why a promotion cannot be judged, as part of a sentence."""
    found = {
        "always": localize(
            "too few days without any promotion are left to compare with", "没有促销的日子太少，无从比较"
        ),
        "few_orders": localize("it has fewer than 20 orders", "订单不足20单"),
        "too_recent": localize(
            "the log ends within two weeks of it; ask again later", "日志在活动结束后两周内就结束了，请过些时候再看"
        ),
        "too_early": localize("the log begins less than four weeks before it", "活动开始前的日志不足四周"),
        "no_variation": localize("sales without it are the same every day", "没有活动时每天的销售完全相同"),
        "too_long": localize(
            "it ran for more than 60 days, so that no usual weeks are next to it",
            "持续超过60天，前后没有平常的几周可比",
        ),
        "rolling": localize(
            "customers got it on different days; compare groups drawn at random instead",
            "每位客户拿到的日期不同，应改用随机分组来比较",
        ),
    }
    return found.get(reason or "", localize("there is nothing to compare it with", "没有可比较的对象"))


WHY_UNKNOWN = {
    "always": lambda: localize(
        "What past promotions earned cannot be told: nearly every day of the log has a discount, so there are no days "
        "to compare with. Sell four weeks without one, or leave a random tenth of customers without it.",
        "过去的促销赚了多少无法判断：日志里几乎每天都有折扣，没有可比较的日子。可以停四周折扣，或随机留出一成客户不给折扣。",
    ),
    "no_discounts": lambda: localize(
        "No past promotion was found: the log shows no discount. If there were some, name the column of discounts "
        "(columns.shelf_discount, columns.coupon_discount) or give the campaigns in a promotions file.",
        "没有找到过去的促销：日志里没有折扣。如果有过，请指明折扣列（columns.shelf_discount、columns.coupon_discount），或提供促销活动文件。",
    ),
    "no_promotions": lambda: localize(
        "No past promotion was found: discounts are spread over the log, and no days, campaign or product stands out.",
        "没有找到过去的促销：折扣分散在整个日志里，没有哪几天、哪次活动或哪个商品明显不同。",
    ),
    "no_amounts": lambda: localize(
        "What past promotions earned cannot be told: no purchase has an amount.",
        "过去的促销赚了多少无法判断：没有一笔购买有金额。",
    ),
}  # fmt: skip


def _weeks(days: int) -> str:
    if days % 7 == 0 and days >= 14:
        return localize(plural(days // 7, "week"), f"{count(days // 7)}周")
    return localize(plural(days, "day"), f"{count(days)}天")


def _signed_count(value: object) -> str:
    text = count(value)
    return text if text.startswith("\N{MINUS SIGN}") or text == "0" else f"+{text}"
