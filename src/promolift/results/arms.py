"""What a plan gives and draws by group of customers, kept; the sentences that say it before it is sent, out."""

from typing import ClassVar

from promolift.deliver import ArmEffect
from promolift.results.base import Note
from promolift.settings import Settings
from promolift.words import count, listed, money

TOO_FEW = 20  # customers of a group below which no arm can be compared with none


class DrawnGroup(Settings):
    """A group in which arms are drawn against none: customers of each, the smallest effect that this shows with 80 %
    power after its window, and how many on each side would show an effect as large as what the arm costs."""

    group: str
    arms: tuple[str, ...]
    treated: int
    none: int
    detectable_cents: float
    needed: int


class DrawNote(Note):
    """What this plan gives and draws: `cost_cents` is what draws are expected to cost, `largest` the largest group."""

    NAME: ClassVar[str] = "test"
    tested: tuple[DrawnGroup, ...]
    given: int
    largest: int
    cost_cents: float
    budget_cents: float
    window_days: int
    horizon_days: int
    effects: tuple[ArmEffect, ...]


def draw_words(note: DrawNote, currency: str) -> list[str]:
    """What the plan gives and draws, in sentences: what will be known when, and what it costs at most."""
    said = []
    if note.given:
        said.append(f"{count(note.given)} customers get what has been shown to pay for customers like them.")
    if not note.tested:
        few = note.largest < TOO_FEW
        if few:
            said.append(
                f"Too few customers for a test: the largest group that could be compared has {count(note.largest)}, "
                f"and {TOO_FEW} are the least. Next: wait for more customers, or ask more of them for their consent."
            )
        elif not note.given:
            said.append(
                f"Nothing pays, and nothing more is worth learning within the budget of "
                f"{money(note.budget_cents, currency)}: no offers are given, which is the best by what is known. "
                "Next: change the menu, or ask suppliers for a part of the discount."
            )
        return said
    parts = [
        f"{money(each.detectable_cents, currency)} among {each.group} ({listed(list(each.arms))}: "
        f"{count(each.treated)} against {count(each.none)} with none)"
        for each in note.tested
    ]
    least = min(each.detectable_cents for each in note.tested)
    weak = all(each.treated / max(len(each.arms), 1) < each.needed for each in note.tested)
    name = "a first draw, to be pooled with those that follow" if weak else "a test"
    said.append(
        f"Before sending: this is {name}. After {note.window_days} days you will know effects of at least "
        f"{money(least, currency)} per customer over {note.horizon_days} days; it costs at most "
        f"{money(note.cost_cents, currency)}. By group, with 80 % power: {listed(parts)}."
    )
    if weak:
        need = min(each.needed for each in note.tested)
        said.append(
            f"One window alone is too small to show effects as large as an offer's cost: {count(need)} customers on "
            "each side would. Each further window adds to what is known."
        )
    said.append(
        "Next: send it; when the days are over run `promolift ingest` and `promolift learn`, then `promolift learn "
        "approve`."
    )
    return said
