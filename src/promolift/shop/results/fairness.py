"""Stored results of the fairness audit, with the sentences and rows that describe them, and names of groups."""

import re
from typing import ClassVar

from promolift.core.customers.comparison_groups import LOYAL, LOYALTY, NEW, OTHER_GROUP, UNKNOWN_GROUP
from promolift.core.experiments.group_gaps import ANGLE_PREFIX, GapMeasure, GroupGap, Proxy
from promolift.core.messages.angles import ANGLE_RULES
from promolift.foundation.i18n.catalogue import gettext, gettext_noop
from promolift.foundation.i18n.formatting import (
    MoneyFormat,
    count,
    current_locale,
    join_sentences,
    number,
    percent,
)
from promolift.foundation.settings import Settings
from promolift.foundation.storage.stored_model import Note

MEASURES: dict[GapMeasure, str] = {
    "offers": gettext_noop("customers with an offer"),
    "value": gettext_noop("worth of the offers, per customer"),
    "refused": gettext_noop("customers to whom a rule closes every offer"),
    "price": gettext_noop("price paid, the shop's usual one being 100 %"),
    "discount": gettext_noop("discount on what was bought"),
}
COLUMNS = {
    "age": gettext_noop("age"), "sex": gettext_noop("sex"), "gender": gettext_noop("gender"),
    "income": gettext_noop("income"), "region": gettext_noop("region"), "province": gettext_noop("province"),
    "city": gettext_noop("city"), LOYALTY: gettext_noop("loyalty"),
}  # fmt: skip
LOYALTIES = {
    NEW: gettext_noop("new customers"), LOYAL: gettext_noop("loyal customers"),
    UNKNOWN_GROUP: gettext_noop("unknown customers"), OTHER_GROUP: gettext_noop("other customers"),
}  # fmt: skip
VALUES = {UNKNOWN_GROUP: gettext_noop("unknown"), OTHER_GROUP: gettext_noop("other")}
BANDS = (
    (re.compile(r"below (?P<most>\S+)"), gettext_noop("below {most}")),
    (re.compile(r"(?P<least>\S+) to below (?P<most>\S+)"), gettext_noop("{least} to below {most}")),
    (re.compile(r"(?P<least>\S+) and more"), gettext_noop("{least} and more")),
)


def group_label(group: str) -> str:
    """A group, `column=value`, as people read it: `sex: F`, `性别：F`; `loyal customers`, `老客`."""
    column, _, value = group.partition("=")
    if column == LOYALTY:
        return gettext(LOYALTIES[value])
    said = gettext(VALUES[value]) if value in VALUES else value
    for english, message in BANDS:
        if band := english.fullmatch(value):
            said = gettext(message, **band.groupdict())
    return gettext("{column}: {value}", column=column_label(column), value=said)


def column_label(column: str) -> str:
    """A column of customers as people read it; one that no shop usually has by its own name."""
    return gettext(COLUMNS[column]) if column in COLUMNS else column


def measure_label(measure: str) -> str:
    """What is compared, as people read it."""
    if not measure.startswith(ANGLE_PREFIX):
        return gettext(MEASURES[measure])  # type: ignore[index]
    name = measure.removeprefix(ANGLE_PREFIX)
    label = next((rule.label.text_in(current_locale()) for angle, rule in ANGLE_RULES.items() if angle == name), name)
    return gettext("messages with the reason “{label}”", label=label)


class Swap(Settings):
    """Customers whose decision was made again with another value in this one column: how many are decided otherwise,
    with the ends of the 95 % interval of that share.
    """

    column: str
    customers: int
    changed: int
    low: float
    high: float


class FairnessNote(Note):
    """What groups were given and paid at equal baskets, whether a swapped column changes decisions, and which features
    stand for a group; `customers` were looked at.
    """

    NAME: ClassVar[str] = "fairness"
    campaign: str
    currency: str
    customers: int
    columns: tuple[str, ...]
    gaps: tuple[GroupGap, ...]
    swaps: tuple[Swap, ...]
    proxies: tuple[Proxy, ...]

    @property
    def shown(self) -> tuple[GroupGap, ...]:
        return tuple(each for each in self.gaps if each.shown)

    def amount(self, measure: str, value: float, sign: bool = False) -> str:
        """A value of a measure as people read it."""
        if measure == "value":
            return MoneyFormat(self.currency)(value, sign=sign)
        text = percent(value, 1)
        return f"+{text}" if sign and value > 0 else text

    def sentence(self, gap: GroupGap) -> str:
        """One gap beyond chance."""
        group, what = group_label(gap.group), measure_label(gap.measure)
        size, low, high = (self.amount(gap.measure, each, sign=True) for each in (gap.gap, gap.low, gap.high))
        side = gettext("worse off") if gap.worse else gettext("better off")
        if gap.measure.startswith(ANGLE_PREFIX):
            side = gettext("written to otherwise")
        return gettext(
            "{group} ({n}) is {side}: {what} {size} against all others at equal baskets ({low} to {high}).",
            group=group,
            n=count(gap.n),
            side=side,
            what=what,
            size=size,
            low=low,
            high=high,
        )

    def proxy_words(self) -> list[str]:
        """Which features stand for a group, and the gaps that run through them; a line or more for each group."""
        said = []
        for whole in (each for each in self.proxies if each.feature is None):
            group, auc = group_label(whole.group), number(whole.auc)
            mine = [each for each in self.proxies if each.group == whole.group and each.feature is not None]
            text = gettext(
                "Whether {group}: all else that is known tells it with an AUC of {auc} (0.5 is chance)",
                group=group,
                auc=auc,
            )
            if mine:
                names = ", ".join(f"{each.feature} {number(each.auc)}" for each in mine)
                text += gettext(", closest {names}", names=names)
            said.append(text + gettext("."))
            said += [self.through_words(each) for each in mine if each.through]
        return said

    def through_words(self, found: Proxy) -> str:
        """A gap that runs through a feature."""
        what, feature = measure_label(found.measure or "offers"), found.feature or ""
        gap, left = (self.amount(found.measure or "offers", each or 0.0, sign=True) for each in (found.gap, found.left))
        return gettext(
            "A gap runs through {feature}: {what} {gap}, at equal {feature} {left}.",
            feature=feature,
            what=what,
            gap=gap,
            left=left,
        )

    def swap_words(self, found: Swap) -> str:
        """One column that was swapped."""
        name, most = column_label(found.column), percent(found.high)
        if not found.changed:
            return gettext(
                "Another {name} alone changes no decision ({customers} customers tried; at most {most}).",
                name=name,
                customers=f"{found.customers:,}",
                most=most,
            )
        return gettext(
            "Another {name} alone changes {changed} of {customers} decisions (at most {most}).",
            name=name,
            changed=f"{found.changed:,}",
            customers=f"{found.customers:,}",
            most=most,
        )

    @property
    def findings(self) -> list[str]:
        """A sentence for each gap beyond chance; where there is none, what could not have been seen either."""
        if not self.gaps:
            return [
                gettext(
                    "Not compared: no column names groups of customers, or the groups are too small to "
                    "compare (fairness.least_customers)."
                )
            ]
        none = gettext("No gap between groups is beyond chance, all comparisons counted in.")
        return [*map(self.sentence, self.shown)] or [join_sentences(none, self._smallest_seen())]

    def _smallest_seen(self) -> str:
        """Which gaps would have shown in the coarsest and in the finest comparison of offers."""
        widths = sorted((each.high - each.low) / 2 for each in self.gaps if each.measure == "offers")
        if not widths:
            return ""
        low, high = (self.amount("offers", each) for each in (widths[0], widths[-1]))
        return gettext(
            "In the share of customers with an offer, gaps from {low} on show in the largest "
            "groups, from {high} on in the smallest.",
            low=low,
            high=high,
        )

    def __str__(self) -> str:
        """All of it, the surest gap first."""
        head = gettext(
            "Fairness: {customers} customers, {gaps} comparisons at equal baskets.",
            customers=f"{self.customers:,}",
            gaps=len(self.gaps),
        )
        said = self.findings
        said += [self.swap_words(each) for each in self.swaps]
        return "\n".join([head, *said, *self.proxy_words()])
