"""What a learned encoder keeps; and what people read of it: two maps, a customer told, how it learned, how good."""

from math import isfinite
from typing import ClassVar, NamedTuple, Self

import polars as pl

from promolift.profile.settings import MemberNote
from promolift.results.base import Note
from promolift.results.figures import finite, quantile, sample, typed
from promolift.results.predictions import Reliability, Scored
from promolift.settings import Settings
from promolift.store import Store

# names under which the encoder, what customers share, and the trees that order next baskets are kept
MODEL, SHARED, BASKET = "encoder", "encoder_shared", "encoder_basket"

MOST_DOTS = 1_200
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
NEAREST, FEW = 10, 30  # neighbours compared; fewer customers say nothing of neighbours
NEXT, HABIT = "the next basket, ten likeliest", "what they bought most often, then what all buy"


class EpochFigures(Settings):
    """One pass over the data: loss and NDCG@10, where it was learned (`train`) and where it was not (`valid`)."""

    epoch: int
    train_loss: float
    valid_loss: float
    train_ndcg: float
    valid_ndcg: float


class FigureRange(Settings):
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


class Ndcg(FigureRange):
    """How well the next basket is ranked: the encoder's list, and by `habit` alone, over `n` customers."""

    habit: float
    n: int


class Predicted(Settings):
    """A share as it was predicted and as it happened."""

    predicted: float
    observed: float


class Visit(Settings):
    """A visit that moves the odds of an item: its day, what may be told of its basket, and the factor."""

    day: str
    items: tuple[str, ...]
    odds_factor: float

    @property
    def odds_change_share(self) -> float:
        """What the visit adds to the odds, as a share of those without it."""
        return self.odds_factor - 1

    @property
    def odds_lost_share(self) -> float:
        """What the odds would lose without the visit, as a share of those with it."""
        return 1 - 1 / self.odds_factor


class Alike(Settings):
    """A customer like the one told of."""

    customer_id: str
    spend_cents: float
    leans_to: str | None
    next_1: str | None


class CustomerForecast(Settings):
    """Why the encoder expects what it does of one customer: see `steps.customer_page.why`."""

    customer_id: str
    item: str | None = None
    sentences: tuple[str, ...] = ()
    reasons: tuple[Visit, ...] = ()
    alike: tuple[Alike, ...] = ()


class Checked(Settings):
    """How well an encoder saw the last weeks: one row per epoch of training, and the figures on the window.

    `lead` is paired by customer; `basket` says what the trees add; `reliability` is of an item in the next basket.
    """

    epochs: tuple[EpochFigures, ...]
    ndcg: Ndcg
    lead: FigureRange
    basket: MemberNote
    reliability: Reliability | None
    stays_away: Predicted

    @property
    def scores(self) -> tuple[Scored, ...]:
        """The list against habit: the figure itself, and the lead."""
        ndcg, lead = self.ndcg, self.lead
        shared = {"model": NEXT, "n": ndcg.n, "baseline": HABIT, "better": "higher"}
        known = {"low": ndcg.low, "high": ndcg.high, "baseline_value": ndcg.habit}
        return (
            Scored(figure="NDCG@10", value=ndcg.value, **known, **shared),
            Scored(figure="lead in NDCG@10, paired", **lead.model_dump(), baseline_value=0.0, **shared),
            *_trees(self.basket),
        )


class Ordered(NamedTuple):
    """Trees of the next basket as LightGBM text, "" where there are none; what they weigh, None until it is known."""

    trees: str
    note: MemberNote | None

    @property
    def weight(self) -> float:
        """Of the trees in the order of next baskets, the encoder having the rest."""
        return self.note.weight if self.note else 0.0

    @classmethod
    def kept(cls, store: Store) -> "Ordered | None":
        """Those of an earlier run, None where there are none."""
        files = store.load_files(BASKET)
        if "member.json" not in files:
            return None
        return cls(files["trees.txt"].decode(), MemberNote.model_validate_json(files["member.json"]))


def _trees(note: MemberNote) -> tuple[Scored, ...]:
    """What the trees add to the encoder's order, at the weight that they were given; nothing where there are none."""
    if note.lead is None:
        return ()
    figure = f"lead in NDCG@10 of trees at weight {note.weight:g}, paired"
    shared = {"model": NEXT, "n": note.n, "baseline": "the encoder alone", "baseline_value": 0.0, "better": "higher"}
    return (Scored(figure=figure, value=note.lead, low=note.lead_low, high=note.lead_high, **shared),)


class ForecastNote(Note):
    """What the learned encoder was checked on and an example of what it sees; `missing` says why there is none."""

    NAME: ClassVar[str] = "outlook"
    missing: str | None = None
    checked: Checked | None = None
    told: CustomerForecast | None = None


class Mapped(Settings):
    """A customer on the map; `spend_cents` is expected of the next 56 days, `spend_rank` its rank, 1 for the most."""

    customer_id: str
    x: float
    y: float
    spend_cents: float | None
    spend_rank: float | None
    leans_to: str | None


class SpendAt(Settings):
    """What `part` of the customers drawn are expected to spend at most in the next 56 days."""

    part: float
    spend_cents: float | None


class Leaning(Settings):
    """How many of the customers drawn lean to a shelf."""

    leans_to: str
    customers: int


class PeopleMap(Settings):
    """At most `MOST_DOTS` customers, drawn by hash, the alike near each other.

    `spend_agrees` and `prices_agree`: rank correlation of a customer's expected spend, and price sensitivity, with
    the mean of the ten nearest; None where too few are known. `leanings`: the most frequent first.
    """

    customers: int
    dots: tuple[Mapped, ...]
    spend: tuple[SpendAt, ...]
    spend_agrees: float | None
    prices_agree: float | None
    leanings: tuple[Leaning, ...]

    @classmethod
    def of(cls, people: pl.DataFrame) -> Self | None:
        """From customer_id, x, y, spend_cents, leans_to and price_sensitivity; None where there is nobody."""
        if people.is_empty():
            return None
        rows = sample(finite(people), "customer_id", MOST_DOTS, "report.outlook")
        rank = pl.col("spend_cents").rank("average") / pl.max_horizontal(pl.col("spend_cents").count(), 1)
        leanings = rows.drop_nulls("leans_to").group_by("leans_to").agg(customers=pl.len())
        return cls(
            customers=rows.height, dots=typed(Mapped, rows.with_columns(spend_rank=rank)),
            spend=tuple(SpendAt(part=q, spend_cents=quantile(rows["spend_cents"], q)) for q in QUANTILES),
            spend_agrees=_agreement(rows, "spend_cents"), prices_agree=_agreement(rows, "price_sensitivity"),
            leanings=typed(Leaning, leanings.sort(["customers", "leans_to"], descending=[True, False])),
        )  # fmt: skip


def _agreement(rows: pl.DataFrame, column: str) -> float | None:
    known = rows.drop_nulls([column])
    if known.height < FEW:
        return None
    rank = known[column].rank("average").to_numpy()
    xy = known.select("x", "y").to_numpy()
    near = ((xy[:, None] - xy[None]) ** 2).sum(-1).argsort(axis=1)[:, 1 : NEAREST + 1]
    both = pl.DataFrame({"own": rank, "around": rank[near].mean(axis=1)})
    found = float(both.select(pl.corr("own", "around")).item())
    return found if isfinite(found) else None


class Good(Settings):
    """A kind of product on the map, and on how many visits it was bought."""

    name: str
    x: float
    y: float
    shelf: str | None
    visits: int


class ShelfVisits(Settings):
    """How many kinds of product of a shelf are on the map, and the visits they were bought on."""

    shelf: str
    kinds: int
    visits: int


class GoodsMap(Settings):
    """Kinds of product, the most bought first; `never` of them were not bought yet. `shelves`: the busiest first."""

    kinds: int
    never: int
    goods: tuple[Good, ...]
    shelves: tuple[ShelfVisits, ...]

    @classmethod
    def of(cls, goods: pl.DataFrame) -> Self | None:
        """From name, x, y, shelf and visits; None without any."""
        if goods.is_empty():
            return None
        rows = goods.sort(["visits", "name"], descending=[True, False])
        sizes = rows.drop_nulls("shelf").group_by("shelf").agg(pl.col("visits").sum(), kinds=pl.len())
        return cls(
            kinds=rows.height, never=rows.filter(pl.col("visits") == 0).height, goods=typed(Good, rows),
            shelves=typed(ShelfVisits, sizes.sort(["visits", "shelf"], descending=[True, False])),
        )  # fmt: skip


class Forecasts(Settings):
    """All of it; None where it was not kept."""

    people: PeopleMap | None = None
    goods: GoodsMap | None = None
    told: CustomerForecast | None = None
    scores: tuple[Scored, ...] = ()
    reliability: Reliability | None = None
    stays_away: Predicted | None = None
    epochs: tuple[EpochFigures, ...] = ()

    @property
    def kept(self) -> EpochFigures | None:
        """The epoch that is kept: the best where it was not learned."""
        return max(self.epochs, key=lambda each: each.valid_ndcg, default=None)

    @classmethod
    def of(cls, checked: Checked, customer: CustomerForecast | None, people: pl.DataFrame, goods: pl.DataFrame) -> Self:
        """`people` and `goods`: see `PeopleMap.of` and `GoodsMap.of`."""
        return cls(
            people=PeopleMap.of(people), goods=GoodsMap.of(goods), told=customer, scores=checked.scores,
            reliability=checked.reliability, stays_away=checked.stays_away, epochs=checked.epochs,
        )  # fmt: skip
