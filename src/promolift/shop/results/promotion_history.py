"""The stored result of the history: what each past promotion earned, or why it cannot be told, in figures and words."""

import datetime
from math import ceil
from typing import ClassVar, Literal

from promolift.core.effects.event_study import Difference
from promolift.core.effects.past_promotions import PromotionKind, Reason, Verdict
from promolift.foundation.evidence import Level
from promolift.foundation.i18n.catalogue import gettext, ngettext, pgettext
from promolift.foundation.i18n.formatting import (
    MoneyFormat,
    count,
    current_locale,
    in_brackets,
    interval,
    join_list,
    low_to_high,
    percent,
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
            return gettext("{day} {a} {year}", day=a.day, a=f"{a:%B}", year=a.year, month=a.month)
        en = f"{a.day}{'' if (a.year, a.month) == (b.year, b.month) else f' {a:%B}'}"
        en += "" if a.year == b.year else f" {a.year}"
        zh = f"{b.year}年" if a.year != b.year else ""
        zh += f"{b.month}月{b.day}日" if (a.year, a.month) != (b.year, b.month) else f"{b.day}日"
        return gettext(
            "{en} to {day} {b} {year}",
            en=en,
            day=b.day,
            b=f"{b:%B}",
            year=b.year,
            a_year=a.year,
            month=a.month,
            a_day=a.day,
            zh=zh,
        )

    @property
    def what(self) -> str:
        """What kind of promotion, with its name."""
        named = [truncate(each, 40) for each in self.names]
        more = len(named) - NAMES_SHOWN
        name = join_list(named[:NAMES_SHOWN]) + (
            gettext(" and {more} more", more=count(more), named=count(len(named))) if more > 0 else ""
        )
        if self.kind == "sitewide":
            return gettext("discount for everybody") + in_brackets(name)
        if self.kind == "coupons":
            return gettext("code {name}", name=name) if named else gettext("coupons")
        if self.kind == "campaign":
            who = ngettext("{customers} customer", "{customers} customers", self.reach, customers=count(self.reach))
            return gettext("campaign {name}, sent to {who}", name=name, who=who)
        return gettext("price cut of {name}", name=name)


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
            return gettext("cannot be told: {why}", why=why)
        cash, net = self.cash, each.effect.net
        between = in_brackets(interval(net.low, net.high, lambda value: cash(value, sign=True)))
        size = cash(abs(net.value))
        if each.verdict == "earned":
            return gettext("earned {size}{between}", size=size, between=between)
        if each.verdict == "lost":
            return gettext("lost {size}{between}", size=size, between=between)
        if net.certain:
            up = pgettext("promotion_history", "gain") if net.value > 0 else gettext("loss")
            every = count(len(self.estimated))
            return gettext(
                "perhaps a {up} of {size}{between}, but among {every} promotions one may look like this by chance",
                up=up,
                size=size,
                between=between,
                every=every,
            )
        return gettext(
            "gain or loss is not certain, best estimate {value}{between}",
            value=cash(net.value, sign=True),
            between=between,
        )

    def line(self, each: PastPromotion) -> str:
        """One promotion in one sentence."""
        said = self.result(each)
        return gettext("{when}, {what}: {said}.", when=each.when, what=each.what, said=said)

    def explain(self, each: PastPromotion) -> list[str]:
        """How the result came about: orders, discounts, margin in its days, and what was missing around it."""
        effect, cash = each.effect, self.cash
        if effect is None:
            return []
        usual, change = count(effect.expected_orders), effect.orders_change
        long, had = (
            ngettext("{n} day", "{n} days", each.days, n=count(each.days)),
            ngettext("{n} order", "{n} orders", each.orders, n=count(each.orders)),
        )
        if change is not None and effect.orders_within.certain:
            size = percent(abs(change))
            more = gettext("more") if change > 0 else gettext("fewer")
            orders = gettext(
                "In its {long} there were {had}, {size} {more} than the {usual} expected without it.",
                long=long,
                had=had,
                size=size,
                more=more,
                usual=usual,
                days=count(each.days),
                orders=count(each.orders),
            )
        else:
            least = ceil(max(effect.orders_within.value - effect.orders_within.low,
                             effect.orders_within.high - effect.orders_within.value))  # fmt: skip
            orders = ngettext(
                "In its {long} there were {had}; {usual} were expected without it. The difference "
                "may be chance: it shows from {orders} order more or fewer on.",
                "In its {long} there were {had}; {usual} were expected without it. The difference "
                "may be chance: it shows from {orders} orders more or fewer on.",
                least,
                long=long,
                had=had,
                usual=usual,
                orders=count(least),
                days=count(each.days),
                each_orders=count(each.orders),
            )
        within, given = effect.margin_within, cash(each.cost_cents)
        between = in_brackets(low_to_high(within.low, within.high, lambda value: cash(value, sign=True)))
        gain = cash(abs(within.value))
        side = gettext("above") if within.value >= 0 else gettext("below")
        margin = gettext(
            "It gave {given} of discount; after that, the margin of these days was {gain} {side} "
            "the expected{between}.",
            given=given,
            gain=gain,
            side=side,
            between=between,
        )
        alone = gettext("Only this product is counted, not what else was bought with it or instead of it.")
        return [orders, margin, *self._around(each, effect), *([alone] if each.kind == "product" else [])]

    def _around(self, each: PastPromotion, effect: PromotionEffect) -> list[str]:
        """What was missing after the promotion and, where customers could know of it, before."""
        weeks, share = _weeks(effect.after_days), effect.pulled_forward
        said = []
        if not effect.after_days:
            said.append(gettext("Another promotion followed at once."))
        elif share is not None:
            said.append(
                gettext(
                    "{share} of the additional orders were missing in the {weeks} after it: these "
                    "customers had only bought earlier.",
                    share=percent(share),
                    weeks=weeks,
                )
            )
        elif effect.orders_within.low > 0:
            between = low_to_high(effect.orders_after.low, effect.orders_after.high, _signed_count)
            said.append(
                gettext(
                    "Whether customers had only bought earlier cannot be told: in the {weeks} after it, "
                    "orders were {between} against the expected.",
                    weeks=weeks,
                    between=between,
                )
            )
        else:
            said.append(gettext("The {weeks} after it are counted in.", weeks=weeks))
        if each.kind in ("sitewide", "coupons") and effect.orders_before.high < 0:
            missing = ngettext(
                "{n} order", "{n} orders", round(-effect.orders_before.value), n=count(-effect.orders_before.value)
            )
            said.append(
                gettext(
                    "In the two weeks before it {missing} were missing: customers may have waited for it.",
                    missing=missing,
                    value=count(-effect.orders_before.value),
                )
            )
        return said

    def untold_lines(self) -> list[str]:
        """The promotions that cannot be told, a line for each reason."""
        lines = []
        for reason in dict.fromkeys(each.reason for each in self.promotions if each.effect is None):
            some = [each for each in self.promotions if each.effect is None and each.reason == reason]
            named = [gettext("{what} ({when})", what=each.what, when=each.when) for each in some]
            shown, more = named[:NAMES_SHOWN], len(named) - NAMES_SHOWN
            rest = [ngettext("{ones} further one", "{ones} further ones", more, ones=count(more))] if more > 0 else []
            names, why = join_list([*shown, *rest]), why_untold(reason)
            lines.append(gettext("Cannot be told: {names}: {why}.", names=names, why=why))
        return lines

    @property
    def summary(self) -> str:
        """How many promotions were found, and how many earned or lost money for certain."""
        if self.unknown is not None:
            return WHY_UNKNOWN[self.unknown]()
        every, judged = len(self.promotions), self.estimated
        days = ngettext("{days} day", "{days} days", self.days, days=count(self.days))
        head = ngettext(
            "{promotions} past promotion found in {days} of the log.",
            "{promotions} past promotions found in {days} of the log.",
            every,
            promotions=count(every),
            days=days,
        )
        earned, lost = (sum(each.verdict == verdict for each in judged) for verdict in ("earned", "lost"))
        untold, open_ = every - len(judged), len(judged) - earned - lost
        parts = [
            gettext("{earned} earned money", earned=count(earned)) if earned else "",
            gettext("{lost} lost money", lost=count(lost)) if lost else "",
            gettext("{open} are not certain", open=count(open_)) if open_ else "",
            gettext("{untold} cannot be told", untold=count(untold)) if untold else "",
        ]
        parts = [each for each in parts if each]
        said = "，".join(parts) if current_locale() == "zh" else join_list(parts)
        head += pgettext("promotion_history", " {said}.", said=upper_first(said), said_2=said) if parts else ""
        if self.smaller:
            more = ngettext("{n} smaller one", "{n} smaller ones", self.smaller, n=count(self.smaller))
            head += gettext(" {more} not listed.", more=more, smaller=count(self.smaller))
        return head

    @property
    def caveat(self) -> str:
        """What the figures rest on, what they cannot exclude, and what to do for certainty."""
        rate = percent(self.margin_rate)
        return gettext(
            "Evidence: adjusted. What was expected comes from the shop's other days, and the "
            "intervals were checked on days without a promotion. An advertisement, a season or a "
            "stock-out on the same days looks the same. Products without a cost count with a "
            "margin of {rate} (value.margin_rate); money from suppliers is not counted. To know "
            "for certain, leave a random tenth of the customers without the next one, as "
            "`promolift plan` does.",
            rate=rate,
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
        "always": gettext("too few days without any promotion are left to compare with"),
        "few_orders": gettext("it has fewer than 20 orders"),
        "too_recent": gettext("the log ends within two weeks of it; ask again later"),
        "too_early": gettext("the log begins less than four weeks before it"),
        "no_variation": gettext("sales without it are the same every day"),
        "too_long": gettext("it ran for more than 60 days, so that no usual weeks are next to it"),
        "rolling": gettext("customers got it on different days; compare groups drawn at random instead"),
    }
    return found.get(reason or "", gettext("there is nothing to compare it with"))


WHY_UNKNOWN = {
    "always": lambda: gettext(
        "What past promotions earned cannot be told: nearly every day of the log has a "
        "discount, so there are no days to compare with. Sell four weeks without one, or "
        "leave a random tenth of customers without it."
    ),
    "no_discounts": lambda: gettext(
        "No past promotion was found: the log shows no discount. If there were some, name "
        "the column of discounts (columns.shelf_discount, columns.coupon_discount) or give "
        "the campaigns in a promotions file."
    ),
    "no_promotions": lambda: gettext(
        "No past promotion was found: discounts are spread over the log, and no days, campaign or product stands out."
    ),
    "no_amounts": lambda: gettext("What past promotions earned cannot be told: no purchase has an amount."),
}


def _weeks(days: int) -> str:
    if days % 7 == 0 and days >= 14:
        return ngettext("{weeks} week", "{weeks} weeks", days // 7, weeks=count(days // 7))
    return ngettext("{days} day", "{days} days", days, days=count(days))


def _signed_count(value: object) -> str:
    text = count(value)
    return text if text.startswith("\N{MINUS SIGN}") or text == "0" else f"+{text}"
