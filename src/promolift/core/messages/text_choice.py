"""Choose the text of each customer with its propensity, and learn from what is taken up which texts work.

Usable texts of an angle, a kind of benefit and a language compete by Thompson sampling (Thompson 1933, Biometrika 25).
What a text got with other kinds of benefit counts, too, for less: a power prior (Ibrahim & Chen 2000, Statistical
Science 15). A text that nobody has read starts from what a ranker expects of its words (`text_ranker.fit_ranker`). One
that enough people have read and that never comes out best any more is no longer sent.

Legend: V texts that compete, B kinds of benefit.
"""

from collections.abc import Mapping, Sequence
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
from promolift.foundation.i18n.text import Language

Floats = NDArray[np.float64]
MIN_SHARE, SHARE_DRAWS = 0.1, 400
PRIOR_SHOWN = 40.0  # a prior weighs as much as so many readers
OTHER_BENEFITS = 0.5  # what a reader of the text with another kind of benefit counts beside one with this kind
OTHER_READERS = 160.0  # and what all of them count at most: how a text does differs between kinds of benefit
READ_ENOUGH = 200  # readers with a kind of benefit, before a text may be dropped for it
LEAST_TEXTS = 2  # that go on competing


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


class _Start(NamedTuple):
    """The share of readers who take each text up, as believed before anybody read it, and as of how many readers."""

    taken_V: Floats
    weight_V: Floats


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


@dataclass(frozen=True)
class TextChooser:
    """Chooses among usable texts; `tallies` are all that was learned. The same tallies give the same shares."""

    texts: tuple[PoolText, ...]
    tallies: tuple[TextCounts, ...] = ()
    seed: int = 0
    _arms: dict[tuple[Angle, BenefitType, Language, str], TextArms] = field(
        default_factory=dict, compare=False, repr=False
    )

    @cached_property
    def _counts(self) -> Mapping[str, Mapping[BenefitType, _Readers]]:
        """Readers by text and kind of benefit."""
        found: dict[str, dict[BenefitType, _Readers]] = {}
        for text_id, benefit, shown, taken in self.tallies:
            found.setdefault(text_id, {})[benefit] = _Readers(shown, taken)
        return found

    def choose(self, angle: Angle, benefit: BenefitType, language: Language, key: str, goods: str = "") -> ChosenText:
        """The text for `key`, a hash of which draws it. No text of the angle: none, and the offer speaks alone."""
        arms = self.arms(angle, benefit, language, goods)
        if not arms.texts:
            return ChosenText(None, 1.0)
        at = int(np.searchsorted(arms.share_V.cumsum(), hash_unit("text", self.seed, key), side="right"))
        at = min(at, int(np.flatnonzero(arms.share_V)[-1]))  # a sum below 1 by its last bit ends at a text that is sent
        return ChosenText(arms.texts[at], float(arms.share_V[at]))

    def arms(self, angle: Angle, benefit: BenefitType, language: Language, goods: str = "") -> TextArms:
        """The texts that compete for such a message."""
        where = (angle, benefit, language, goods)
        if where not in self._arms:
            texts = tuple(
                text
                for text in self.texts
                if (text.angle, text.language) == (angle, language) and text.goods in ("", goods)
            )
            self._arms[where] = self._compete(texts, benefit)
        return self._arms[where]

    def _compete(self, texts: Sequence[PoolText], benefit: BenefitType) -> TextArms:
        if not texts:
            return TextArms((), *np.zeros((4, 0)))
        mine = [self._counts.get(text.text_id, {}) for text in texts]
        shown, taken = np.array([each.get(benefit, _Readers()) for each in mine], float).T
        start_V, weight_V = self._start(texts, benefit)
        yes_V, no_V = weight_V * start_V + taken, weight_V * (1 - start_V) + np.maximum(shown - taken, 0)
        seed = hash_int(
            "texts", self.seed, benefit, *(f"{t.text_id} {s} {k}" for t, s, k in zip(texts, shown, taken, strict=True))
        )
        drawn_DV = np.random.default_rng(seed).beta(yes_V, no_V, (SHARE_DRAWS, len(texts)))
        wins_V = np.bincount(drawn_DV.argmax(axis=1), minlength=len(texts)) / SHARE_DRAWS
        sent_V = (wins_V > 0) | (shown < READ_ENOUGH)
        if sent_V.sum() < LEAST_TEXTS:
            sent_V = sent_V | (np.argsort(np.argsort(-yes_V / (yes_V + no_V), kind="stable")) < LEAST_TEXTS)
        share_V = (1 - MIN_SHARE) * wins_V + MIN_SHARE * sent_V / sent_V.sum()
        low_V, high_V = scipy.stats.beta.ppf([[0.025], [0.975]], yes_V, no_V)
        return TextArms(tuple(texts), share_V, yes_V / (yes_V + no_V), low_V, high_V)

    def _start(self, texts: Sequence[PoolText], benefit: BenefitType) -> _Start:
        """What is believed of each text before anybody read it with this kind of benefit, and as of how many readers.

        1 in 20 readers take an offer up before anything is known.
        """
        counts = [self._counts.get(text.text_id, {}) for text in texts]
        lift = np.exp([text.prior for text in texts])
        lift_V, weight_V = lift / lift.mean(), np.full(len(texts), PRIOR_SHOWN)
        sums = {b: np.array([each.get(b, _Readers()) for each in counts], float).T for each in counts for b in each}
        rate = {b: (taken.sum() + 1) / (shown.sum() + 20) for b, (shown, taken) in sums.items()}
        mean = rate.get(benefit, 1 / 20)
        others = [b for b in sorted(sums) if b != benefit]
        if others:
            read_V = np.sum([sums[b][0] for b in others], axis=0) * OTHER_BENEFITS
            fade_V = np.minimum(1.0, OTHER_READERS / np.maximum(read_V, 1.0)) * OTHER_BENEFITS
            taken_V = fade_V * np.sum([sums[b][1] / rate[b] for b in others], axis=0)  # as many readers at this rate
            readers_V = fade_V * np.sum([sums[b][0] for b in others], axis=0)
            lift_V = (PRIOR_SHOWN * lift_V + taken_V) / (PRIOR_SHOWN + readers_V)
            weight_V = PRIOR_SHOWN + readers_V
        return _Start(np.clip(mean * lift_V, 1e-4, 0.9), weight_V)
