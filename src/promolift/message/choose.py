"""Usable texts, and how often each was taken up, in; which one a customer reads, with its propensity, out.

Within an angle, a kind of benefit and a language the texts compete by Thompson sampling (Thompson 1933, Biometrika 25).
A text nobody has read yet starts from what a ranker expects of its words (`learn.fit_ranker`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from promolift.hashing import hash_int, hash_unit
from promolift.message.angles import Angle
from promolift.message.pool import PoolText
from promolift.terms import BenefitType, Language

Floats = NDArray[np.float64]
FLOOR, DRAWS = 0.1, 400
PRIOR_SHOWN = 40.0  # a prior weighs as much as so many readers


class TextTally(NamedTuple):
    """How often a text was shown with a kind of benefit, and how often that was taken up (clicked or redeemed)."""

    text_id: str
    benefit: BenefitType
    shown: int
    taken: int


class ChosenText(NamedTuple):
    """The text, None where there is none, and the probability with which it was chosen."""

    text: PoolText | None
    propensity: float


class _Arms(NamedTuple):
    texts: tuple[PoolText, ...]
    share_V: Floats


class _Shown(NamedTuple):
    """A text with a kind of benefit."""

    text_id: str
    benefit: BenefitType


@dataclass(frozen=True)
class WordChoice:
    """Chooses among usable texts; `tallies` are all that was learned. The same tallies give the same shares."""

    texts: tuple[PoolText, ...]
    tallies: tuple[TextTally, ...] = ()
    seed: int = 0
    _shares: dict[tuple[Angle, BenefitType, Language, str], _Arms] = field(
        default_factory=dict, compare=False, repr=False
    )

    @cached_property
    def _taken(self) -> Mapping[_Shown, TextTally]:
        return {_Shown(tally.text_id, tally.benefit): tally for tally in self.tallies}

    def pick(self, angle: Angle, benefit: BenefitType, language: Language, key: str, goods: str = "") -> ChosenText:
        """The text for `key`, a hash of which draws it. No text of the angle: none, and the offer speaks alone."""
        arms = self.arms(angle, benefit, language, goods)
        if not arms.texts:
            return ChosenText(None, 1.0)
        at = int(np.searchsorted(arms.share_V.cumsum(), hash_unit("text", self.seed, key), side="right"))
        at = min(at, len(arms.texts) - 1)
        return ChosenText(arms.texts[at], float(arms.share_V[at]))

    def arms(self, angle: Angle, benefit: BenefitType, language: Language, goods: str = "") -> _Arms:
        where = (angle, benefit, language, goods)
        if where not in self._shares:
            texts = tuple(
                text
                for text in self.texts
                if (text.angle, text.language) == (angle, language) and text.goods in ("", goods)
            )
            self._shares[where] = _Arms(texts, self._share(texts, benefit))
        return self._shares[where]

    def _share(self, texts: Sequence[PoolText], benefit: BenefitType) -> Floats:
        if not texts:
            return np.zeros(0)
        none = TextTally("", benefit, 0, 0)
        mine = [self._taken.get(_Shown(text.text_id, benefit), none) for text in texts]
        shown, taken = (np.array([tally[at] for tally in mine], float) for at in (2, 3))
        rate = (taken.sum() + 1) / (shown.sum() + 20)  # what texts of this angle get, 1 in 20 before anything is known
        lift = np.exp([text.prior for text in texts])
        start = np.clip(rate * lift / lift.mean(), 1e-4, 0.9)
        seed = hash_int(
            "texts", self.seed, benefit, *(f"{t.text_id} {s} {k}" for t, s, k in zip(texts, shown, taken, strict=True))
        )
        drawn_DV = np.random.default_rng(seed).beta(
            PRIOR_SHOWN * start + taken, PRIOR_SHOWN * (1 - start) + np.maximum(shown - taken, 0), (DRAWS, len(texts))
        )
        wins_V = np.bincount(drawn_DV.argmax(axis=1), minlength=len(texts)) / DRAWS
        share: Floats = (1 - FLOOR) * wins_V + FLOOR / len(texts)
        return share
