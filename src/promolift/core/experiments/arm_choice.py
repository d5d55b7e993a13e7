"""Choose which arm each group is given and which are tested next, from the believed effects, costs and budget."""

from collections.abc import Sequence
from typing import NamedTuple

import scipy

from promolift.core.experiments.line_effects import LEAST, PATIENCE_WINDOWS, ArmValue, State, free_arms

TEST_SHARES = (1.0, 0.5, 0.25, 0.1)  # of a group that may take part in a test
LED_TEST_SHARES = (0.4, 0.2, 0.1)  # the same where others get the lead: against one arm it is drawn 4 to 1 at least


class ArmChoice(NamedTuple):
    """What is done with a cell: given to all of its group, tested on `share` of it, or closed. `lead`: whoever takes no
    part in the test gets it."""

    state: State
    share: float
    lead: bool = False


class ArmRules(NamedTuple):
    """`sure` is the probability of paying that is asked for, `months` how long what is learned will be used, `held` the
    share of customers who get nothing anyway, `budget` what everything may cost together, `tests` how many windows
    have tested before, and `over` whether all was stopped after them."""

    sure: float
    months: float
    holdout_share: float
    budget: float
    tests: int = 0
    over: bool = False


FIRST_TEST_SHARE = 0.5  # of the budget that a first test may cost, where all that is known of offers is assumed
CEILING_Z = 3.1  # standard errors that a ceiling lies above what is expected: one month in a thousand passes it
LIKELY_PROB = 0.5  # probability that an arm pays, all its groups together, from which that is so
MAX_TESTED_ARMS = 2  # arms that are tested in a group at once: more would halve what is known of each


def choose_arms(found: Sequence[ArmValue], rules: ArmRules) -> list[ArmChoice]:
    """The arm that pays is given, what may pay is tested as far as learning it is worth the loss, the rest is closed.

    Where one that costs nothing pays too, a dearer one takes its place only where the budget pays for the whole group.

    Learning is worth the expected value of sample information (Raiffa, Schlaifer 1961) over `months` more windows. What
    is given comes first in the budget, then tests by what they are worth for their cost. Where nothing was ever drawn,
    what is believed is an assumption, which gives and closes nothing: a first test is made, for half of the budget.
    After PATIENCE windows an arm that by all draws is not LIKELY to pay is tested no further, and leads no test; where
    that is so of every arm all stops. An arm that costs nothing and is believed to gain leads its
    group's test: all but those who are drawn get it, as many being drawn as is worth what they miss.
    """
    if rules.over:
        return [ArmChoice("closed", 0.0)] * len(found)
    groups: dict[int, list[int]] = {}
    for i, effect in enumerate(found):
        groups.setdefault(effect.cell.group, []).append(i)
    choosing = _Choosing(found, rules)
    choosing.test(choosing.give(list(groups.values())))
    return choosing.chosen


class _Choosing:
    """Arms by group, as places in `found`, are given or tested, and what that costs leaves the budget."""

    def __init__(self, found: Sequence[ArmValue], rules: ArmRules) -> None:
        self.found, self.rules, self.left = found, rules, rules.budget
        self.chosen = [ArmChoice("closed", 0.0)] * len(found)
        self.free = free_arms(effect.cell for effect in found)
        self.first = not any(effect.drawn.n_arm for effect in found)

    def give(self, groups: list[list[int]]) -> list[list[int]]:
        """Groups where nothing is sure to pay; all others are given what is worth most for the budget."""
        unsure, dearer = [], list[_Dearer]()
        for mine in groups:
            if not (sure := self._sure(mine)):
                unsure.append(mine)
                continue
            best = max(sure, key=self._net)
            base = max(filter(self._costs_nothing, sure), key=self._net, default=best)
            self.chosen[base] = ArmChoice("give", 1.0)
            self.left = max(self.left - self._price(base), 0.0)
            if best != base:
                dearer.append(_Dearer(best, base, self._net(best) - self._net(base)))
        for one in sorted(dearer, key=lambda one: -one.more / max(self.found[one.best].cost, 1e-9)):
            if (price := self._price(one.best)) <= self.left:
                self.chosen[one.base], self.chosen[one.best] = ArmChoice("closed", 0.0), ArmChoice("give", 1.0)
                self.left -= price
        return unsure

    def test(self, groups: list[list[int]]) -> None:
        """The tests that are worth most for their cost, as many as the budget has room for."""
        most = min(self.left, FIRST_TEST_SHARE * self.rules.budget) if self.first else self.left
        tests = [test for mine in groups if (test := self._test(mine, most)) and (self.first or test.worth > 0)]
        for test in sorted(tests, key=lambda test: -test.worth / max(test.cost, 1e-9)):
            paid = test if test.cost <= most else _smaller(test, most)
            if paid is None and test.lead is not None:  # a lead costs nothing
                paid = _best_test(self.found, [test.lead], self.rules, most, test.lead)
            if paid is not None:
                most -= paid.cost
                for i in paid.cells:
                    self.chosen[i] = ArmChoice("test", paid.share, i == paid.lead)

    def _sure(self, mine: list[int]) -> list[int]:
        sure = [i for i in mine if self.found[i].pays >= self.rules.sure and self._net(i) > 0 and not self.first]
        if any(self._costs_nothing(i) and self._net(i) > 0 for i in mine):  # else most would get nothing
            sure = [i for i in sure if self._price(i) <= self.left]
        return sure

    def _test(self, mine: list[int], most: float) -> "_Test | None":
        """The test of a group that is worth most, by what may be best or by what is believed to be."""
        mine = [i for i in mine if self.rules.tests < PATIENCE_WINDOWS or self.found[i].whole >= LIKELY_PROB]
        hopeful = sorted(mine, key=lambda i: -(self._net(i) + self.found[i].net_se))
        surer = sorted(mine, key=lambda i: -self._net(i))  # what is dear and unknown must not keep all others out
        lead = next((i for i in surer if self._costs_nothing(i) and self._net(i) > 0), None)
        if lead is not None:
            hopeful, surer = ([lead, *(i for i in some if i != lead)] for some in (hopeful, surer))
        tests = (_best_test(self.found, some[:MAX_TESTED_ARMS], self.rules, most, lead) for some in (hopeful, surer))
        return max(filter(None, tests), key=lambda test: test.worth, default=None)

    def _net(self, i: int) -> float:
        return self.found[i].net

    def _costs_nothing(self, i: int) -> bool:
        return self.found[i].cell.arm in self.free

    def _price(self, i: int) -> float:
        """What giving it to its group costs at most."""
        effect = self.found[i]
        return (effect.cost + CEILING_Z * effect.cost_se) * effect.cell.customers * (1 - self.rules.holdout_share)


class _Dearer(NamedTuple):
    """The cell that would be given instead of one that costs nothing, and how much more it is worth per customer."""

    best: int
    base: int
    more: float


class _Test(NamedTuple):
    """Arms of one group against none: cells, share of the group, what learning is worth less the loss, its cost, how
    many of those who take part get each arm, and the cell that all others get, None where they get nothing."""

    cells: tuple[int, ...]
    share: float
    worth: float
    cost: float
    each: float
    lead: int | None


def _smaller(test: _Test, left: float) -> _Test | None:
    """The same for so much money; None where too few would get each arm."""
    part = max(left, 0.0) / test.cost
    if part * test.each < LEAST:
        return None
    return _Test(test.cells, test.share * part, test.worth * part, left, test.each * part, test.lead)


def _best_test(
    every: Sequence[ArmValue], cells: Sequence[int], rules: ArmRules, most: float, lead: int | None = None
) -> _Test | None:
    """The first arms of `cells` and the share of their group whose test is worth most less its loss, for no more than
    `most`; None where too few could draw. `lead`, the first of them, is given to all who take no part."""
    best = None
    for count in range(1, len(cells) + 1):
        some = [every[i] for i in cells[:count]]
        people = some[0].cell.customers * (1 - rules.holdout_share)
        for share in (
            LED_TEST_SHARES if lead is not None and LED_TEST_SHARES[0] * people / (count + 1) >= LEAST else TEST_SHARES
        ):
            each = share * people / (count + 1)
            if each < LEAST:
                continue
            rest = people - share * people if lead is not None else 0.0
            got = [each + rest * (i == lead) for i in cells[:count]]
            none = some[0].cell.customers - sum(got)
            known = [_Knows(e.net, e.net_se, n, none) for e, n in zip(some, got, strict=True)]
            if lead is not None:
                known[1:] = [_beyond(some[0], e, each, got[0]) for e in some[1:]]
            worth = sum(_information(*of, rules.months) for of in zip(some, known, strict=True)) / count**0.5
            loss = sum(n * -effect.net for effect, n in zip(some, got, strict=True))
            cost = sum(n * effect.cost for effect, n in zip(some, got, strict=True))
            whole = _Test(tuple(cells[:count]), share, worth - loss, cost, each, lead)
            test = whole if cost <= most else _smaller(whole, most)
            if test is not None and (best is None or test.worth > best.worth):
                best = test
    return best


class _Knows(NamedTuple):
    """A difference as it is believed, and the customers on either side who will tell it."""

    net: float
    net_se: float
    treated: float
    others: float


def _beyond(lead: ArmValue, other: ArmValue, treated: float, led: float) -> _Knows:
    """What another arm adds to a lead: all of what the lead is doubted for is doubted of both."""
    se = max(other.net_se**2 - lead.net_se**2, 0.0) ** 0.5
    return _Knows(other.net - lead.net, se, treated, led)


def _information(effect: ArmValue, knows: _Knows, months: float) -> float:
    """What it is worth to know a difference as well as so many customers will tell."""
    noise = effect.cell.sd**2 * (1 / knows.treated + 1 / max(knows.others, 1.0))
    move = knows.net_se**2 / (knows.net_se**2 + noise) ** 0.5 if knows.net_se > 0 else 0.0
    if move <= 0:
        return 0.0
    z = knows.net / move
    better = float(knows.net * scipy.stats.norm.cdf(z) + move * scipy.stats.norm.pdf(z))
    return effect.cell.customers * months * (better - max(knows.net, 0.0))
