"""Choose the text of each customer with its propensity, and learn from what is taken up which texts work.

Usable texts of an angle, a kind of benefit and a language compete by Thompson sampling (Thompson 1933, Biometrika 25).
The texts of a play are those of the angle that its audience gives. Of all that compete

    share of readers = mean of the group and benefit x exp(prior of the ranker) x (1 + text + text and benefit)

with `text` and `text and benefit` random, of mean 0. Their variances are the same in every play, language and benefit,
and are estimated from all of them by the method of moments (DerSimonian & Laird 1986, Controlled Clinical Trials 7): so
a new play, or a language with few readers, knows from the others how far texts differ, and how much of that a text
keeps with another benefit. Given the variances each text starts where its readers with other benefits put it, as a beta
distribution of the same mean and variance (parametric empirical Bayes, Morris 1983, JASA 78). Where nobody has read the
variances are START_SPREADS, which stand for shops of all trades: other shops' counts are not at hand. A text that
enough people have read and that never comes out best any more is no longer sent, unless a person brought it back. A
draft of the kind of the text that did best is asked for in its place.

Legend: V texts that compete, B kinds of benefit.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray

from promolift.core.messages.angles import Angle
from promolift.core.messages.text_pool import PoolText
from promolift.core.offers.terms import BenefitType
from promolift.foundation.hashing import hash_int, hash_unit
from promolift.foundation.localized_text import Language

Floats = NDArray[np.float64]
MIN_SHARE, SHARE_DRAWS = 0.1, 400
BASE_TAKEN, BASE_SHOWN = 1.0, 20.0  # 1 in 20 readers take an offer up before anything is known
READ_ENOUGH = 200  # readers with a kind of benefit, before a text may be dropped for it
LEAST_TEXTS = 2  # that go on competing
SUCCESSOR_STATES = ("drafted", "judged", "edited", "approved")


class TextCounts(NamedTuple):
    """How often a text was shown with a kind of benefit, and how often that was taken up (clicked or redeemed)."""

    text_id: str
    benefit: BenefitType
    shown: int
    taken: int


class _Readers(NamedTuple):
    """How many people read a text with a kind of benefit, and how many of them took it up."""

    shown: int = 0
    taken: int = 0


class TextSpreads(NamedTuple):
    """How far texts differ: the variance of a text's relative share of takers, and of what is new with each benefit."""

    text: float
    benefit: float


START_SPREADS = TextSpreads(0.3**2, 0.15**2)
SPREADS_HALF = 2.0  # estimates that are as uncertain as the start is large weigh as much as the start; its weight
LEAST_VARIANCE = 0.05**2


class _Cells(NamedTuple):
    """Of texts that compete and their benefits: how many read and took each up, the mean share of takers times what the
    ranker expects of the text, how far it is from that as a share of it, and the precision of that."""

    shown_VB: Floats
    taken_VB: Floats
    mean_VB: Floats
    off_VB: Floats
    precision_VB: Floats


class _Believed(NamedTuple):
    """The beta distribution of each text's share of takers, and how many readers it had and how many took it up."""

    yes_V: Floats
    no_V: Floats
    shown_V: Floats
    taken_V: Floats


class ChosenText(NamedTuple):
    """The text, None where there is none, and the probability with which it was chosen."""

    text: PoolText | None
    propensity: float


class TextArms(NamedTuple):
    """Texts that compete: how often each is chosen, and the share of its readers who take the offer up, as believed,
    with the 95 % interval. A share of 0: it is no longer sent, since others do better.
    """

    texts: tuple[PoolText, ...]
    share_V: Floats
    taken_V: Floats
    low_V: Floats
    high_V: Floats


class DroppedText(NamedTuple):
    """A text that is no longer sent with a kind of benefit since others do better, and the one that does best."""

    text: PoolText
    benefit: BenefitType
    winner: PoolText


class WantedDraft(NamedTuple):
    """Drafts that are asked for: the texts of a reason and language that learning dropped and nobody has written a
    successor of, and the texts that did best in their place."""

    angle: Angle
    language: Language
    dropped: tuple[PoolText, ...]
    winners: tuple[PoolText, ...]


def list_wanted_drafts(dropped: Iterable[DroppedText], texts: Iterable[PoolText]) -> list[WantedDraft]:
    """Return what to write by reason and language; `texts` are all of the pool. A successor that was refused or taken
    out of use is none."""
    followed = {each for text in texts if text.state in SUCCESSOR_STATES for each in text.successor_of}
    groups = dict[tuple[Angle, Language], list[DroppedText]]()
    for each in dropped:
        if each.text.text_id not in followed:
            groups.setdefault((each.text.angle, each.text.language), []).append(each)
    return [
        WantedDraft(*where, *(tuple({text.text_id: text for text in several}.values()) for several in (
            [each.text for each in lost], [each.winner for each in lost]
        )))
        for where, lost in sorted(groups.items())
    ]  # fmt: skip


@dataclass(frozen=True)
class TextChooser:
    """Chooses among usable texts; `tallies` are all that was learned. The same tallies give the same shares."""

    texts: tuple[PoolText, ...]
    tallies: tuple[TextCounts, ...] = ()
    seed: int = 0
    _arms: dict[tuple[Angle, BenefitType, Language, str, frozenset[str]], TextArms] = field(
        default_factory=dict, compare=False, repr=False
    )

    @cached_property
    def _counts(self) -> Mapping[str, Mapping[BenefitType, _Readers]]:
        """Readers by text and kind of benefit."""
        found: dict[str, dict[BenefitType, _Readers]] = {}
        for text_id, benefit, shown, taken in self.tallies:
            found.setdefault(text_id, {})[benefit] = _Readers(shown, taken)
        return found

    @cached_property
    def _benefit_means(self) -> Mapping[BenefitType, float]:
        """The share of readers who take offers of each kind up, over all texts that may be sent."""
        sums = dict[BenefitType, _Readers]()
        for text in self.texts:
            for benefit, (shown, taken) in self._counts.get(text.text_id, {}).items():
                before = sums.get(benefit, _Readers())
                sums[benefit] = _Readers(before.shown + shown, before.taken + taken)
        return {each: (taken + BASE_TAKEN) / (shown + BASE_SHOWN) for each, (shown, taken) in sums.items()}

    def _cells(self, texts: Sequence[PoolText], benefits: Sequence[BenefitType]) -> _Cells:
        counts = [self._counts.get(text.text_id, {}) for text in texts]
        shown_VB, taken_VB = np.array(
            [[each.get(benefit, _Readers()) for benefit in benefits] for each in counts], float
        ).transpose(2, 0, 1)
        lift_V = np.exp([text.prior for text in texts])
        lift_V = lift_V / lift_V.mean()
        known_B = np.array([self._benefit_means.get(each, BASE_TAKEN / BASE_SHOWN) for each in benefits])
        mean_B = (taken_VB.sum(axis=0) + BASE_SHOWN * known_B) / ((shown_VB * lift_V[:, None]).sum(axis=0) + BASE_SHOWN)
        mean_VB = np.clip(mean_B * lift_V[:, None], 1e-4, 0.9)
        expected_VB = shown_VB * mean_VB
        off_VB = np.where(shown_VB > 0, taken_VB / np.maximum(expected_VB, 1e-9) - 1, 0.0)
        return _Cells(shown_VB, taken_VB, mean_VB, off_VB, expected_VB / (1 - mean_VB))

    @cached_property
    def spreads(self) -> TextSpreads:
        """The variances by all plays, languages and benefits; START_SPREADS counts as one estimate more.

        Squares of cells tell both variances together, products of two benefits of a text that of the text alone.
        """
        groups = dict[tuple[Angle, Language], list[PoolText]]()
        for text in self.texts:
            if text.text_id in self._counts:
                groups.setdefault((text.angle, text.language), []).append(text)
        whole = START_SPREADS.text + START_SPREADS.benefit
        weight, of_text = SPREADS_HALF / whole**2, SPREADS_HALF / START_SPREADS.text**2
        square, squares = weight * whole, weight
        product, products = of_text * START_SPREADS.text, of_text
        for several in groups.values():
            if len(several) < LEAST_TEXTS:
                continue
            cells = self._cells(several, sorted(self._benefit_means))
            precision_VB = cells.precision_VB
            # the group's mean is estimated from the same cells, which takes a part of each cell's own deviation
            free_VB = 1 - precision_VB / np.maximum(precision_VB.sum(axis=0), 1e-9)
            square += float((precision_VB * (precision_VB * cells.off_VB**2 - free_VB)).sum())
            squares += float((precision_VB**2 * free_VB).sum())
            pair_VBB = np.sqrt(precision_VB[:, :, None] * precision_VB[:, None, :])
            pair_VBB *= 1 - np.eye(pair_VBB.shape[1])
            off_VBB = cells.off_VB[:, :, None] * cells.off_VB[:, None, :]
            product += float((pair_VBB**2 * off_VBB).sum()) / 2
            products += float((pair_VBB**2 * np.sqrt(free_VB[:, :, None] * free_VB[:, None, :])).sum()) / 2
        both = max(square / squares, LEAST_VARIANCE)
        own = min(max(product / products, LEAST_VARIANCE / 2), both)
        return TextSpreads(own, both - own)

    def choose(
        self, angle: Angle, benefit: BenefitType, language: Language, key: str, goods: str = "",
        without: frozenset[str] = frozenset(),
    ) -> ChosenText:  # fmt: skip
        """The text for `key`, a hash of which draws it. No text of the angle: none, and the offer speaks alone.

        `without` are slots that cannot be filled: the texts that have none of them compete.
        """
        arms = self.arms(angle, benefit, language, goods, without)
        if not arms.texts:
            return ChosenText(None, 1.0)
        at = int(np.searchsorted(arms.share_V.cumsum(), hash_unit("text", self.seed, key), side="right"))
        at = min(at, int(np.flatnonzero(arms.share_V)[-1]))  # a sum below 1 by its last bit ends at a text that is sent
        return ChosenText(arms.texts[at], float(arms.share_V[at]))

    def arms(
        self, angle: Angle, benefit: BenefitType, language: Language, goods: str = "",
        without: frozenset[str] = frozenset(),
    ) -> TextArms:  # fmt: skip
        """The texts that compete for such a message."""
        where = (angle, benefit, language, goods, without)
        if where not in self._arms:
            texts = tuple(
                text
                for text in self.texts
                if (text.angle, text.language) == (angle, language)
                and text.goods in ("", goods)
                and not any(slot in text.words for slot in without)
            )
            self._arms[where] = self._compete(texts, benefit)
        return self._arms[where]

    def dropped(self) -> list[DroppedText]:
        """Return the texts that learning dropped, in their order, with each kind of benefit that they lost."""
        found = []
        for text in self.texts:
            for benefit, readers in sorted(self._counts.get(text.text_id, {}).items()):
                if readers.shown < READ_ENOUGH:
                    continue
                arms = self.arms(text.angle, benefit, text.language, text.goods)
                if arms.share_V[arms.texts.index(text)] == 0:
                    found.append(DroppedText(text, benefit, arms.texts[int(arms.taken_V.argmax())]))
        return found

    def _compete(self, texts: Sequence[PoolText], benefit: BenefitType) -> TextArms:
        if not texts:
            return TextArms((), *np.zeros((4, 0)))
        yes_V, no_V, shown, taken = self._believed(texts, benefit)
        seed = hash_int(
            "texts", self.seed, benefit, *(f"{t.text_id} {s} {k}" for t, s, k in zip(texts, shown, taken, strict=True))
        )
        drawn_DV = np.random.default_rng(seed).beta(yes_V, no_V, (SHARE_DRAWS, len(texts)))
        wins_V = np.bincount(drawn_DV.argmax(axis=1), minlength=len(texts)) / SHARE_DRAWS
        sent_V = (wins_V > 0) | (shown < READ_ENOUGH)
        if sent_V.sum() < LEAST_TEXTS:
            sent_V = sent_V | (np.argsort(np.argsort(-yes_V / (yes_V + no_V), kind="stable")) < LEAST_TEXTS)
        sent_V |= np.array([bool(text.restored_by) for text in texts])
        share_V = (1 - MIN_SHARE) * wins_V + MIN_SHARE * sent_V / sent_V.sum()
        low_V, high_V = scipy.stats.beta.ppf([[0.025], [0.975]], yes_V, no_V)
        return TextArms(tuple(texts), share_V, yes_V / (yes_V + no_V), low_V, high_V)

    def _believed(self, texts: Sequence[PoolText], benefit: BenefitType) -> _Believed:
        """What is believed of each text with this benefit."""
        benefits = sorted({benefit, *self._benefit_means})
        cells, at = self._cells(texts, benefits), benefits.index(benefit)
        spread_text, spread_benefit = self.spreads
        sampled_VB = np.divide(
            1.0, cells.precision_VB, out=np.full_like(cells.off_VB, np.inf), where=cells.shown_VB > 0
        )
        precision_VB = 1 / (sampled_VB + spread_benefit)
        precision_VB[:, at] = 0.0
        variance_V = 1 / (1 / spread_text + precision_VB.sum(axis=1))
        mean_V = variance_V * (precision_VB * cells.off_VB).sum(axis=1)
        start_V = np.clip(cells.mean_VB[:, at] * np.maximum(1 + mean_V, 0.05), 1e-4, 0.9)
        weight_V = (1 - start_V) / start_V / (variance_V + spread_benefit)
        shown_V, taken_V = cells.shown_VB[:, at], cells.taken_VB[:, at]
        no_V = weight_V * (1 - start_V) + np.maximum(shown_V - taken_V, 0)
        return _Believed(weight_V * start_V + taken_V, no_V, shown_V, taken_V)
