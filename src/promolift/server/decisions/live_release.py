"""Load a frozen plan as an immutable release in memory: its candidates, texts and terms.

    work/serve/releases/rel_<hash>/candidates.parquet   the plan's: offers by customer, gain, cost and charge
                                   frontier.parquet     the plan's: gain by budget, the forecast of the pace
                                   customers.parquet    consent and age, name and language
                                   messages.parquet     the verified words of the plan
                                   products.parquet     which target a product belongs to
                                   manifest.json        the plan in numbers, terms, offers, and the hash of each file

Nothing is scored here: the server serves what was planned. The id is a hash of the content: the same plan gives the
same release, and a changed file is detected on loading.

Legend: R rows (customer and offer), sorted by both; `none` needs no row. A row's offer and the reason why the plan
excluded it are numbers that point into `names` and `reasons`. O are the eligible rows, N customers.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import repeat
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
from numpy.typing import NDArray

from promolift.core import decisions
from promolift.core.customers.consent import may_send
from promolift.core.decisions.decision_rule import UNKNOWN_VALUE_REASON
from promolift.core.messages.angles import Angle
from promolift.core.offers.menu import MenuItem
from promolift.core.offers.terms import Offer
from promolift.core.offers.terms import covered_targets as of_target
from promolift.extensions.ads.results import CreativeCatalogue
from promolift.foundation.errors import InputError
from promolift.foundation.hashing import sha256_of_file
from promolift.foundation.i18n.catalogue import gettext_noop
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.localized_text import CATEGORY_SEPARATOR, Language
from promolift.shop.configuration.configuration import ShopSettings
from promolift.shop.pipeline.release import CUSTOMER_COLUMNS, MESSAGE_COLUMNS, read_manifest
from promolift.shop.results.messages import PoolWords
from promolift.shop.results.plan_note import PlanNote

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
RELEASE_TABLES = ("candidates", "frontier", "customers", "messages", "products")
CREATIVE_POLICY = "creatives"  # the policy of all plans of creatives
OPEN_CODE = -1
CAP_TIMES = 10  # a basket may be much larger than the plan expects, but not without end
NUMBER_COLUMNS = ("gain_cents", "cost_cents", "charge_cents")
CANDIDATE_COLUMNS = ["customer_id", "offer_id", "target", *NUMBER_COLUMNS, "eligible", "why_not"]
INTERVAL_COLUMNS = ["draw_start", "draw_share"]


class AdCell(NamedTuple):
    """Where a creative is shown, and to whom: None is everybody there, of whom nothing was asked or known."""

    placement: str
    audience: str | None

    @property
    def key(self) -> str:
        """What its rows stand under in a release; no customer can be called so."""
        return f"{self.placement}\x1f{self.audience or ''}"


class KnownCustomer(NamedTuple):
    """What the shop knew of a customer when the release was made; `personal` false: opted out of personalisation."""

    name: str | None = None
    age: str | None = None
    language: str | None = None
    consent: bool | None = None
    personal: bool | None = None


UNKNOWN_CUSTOMER = KnownCustomer()


class RenderedMessage(NamedTuple):
    """A message in one language, its reason, and the text it was filled from with its propensity."""

    message: str | None
    title: str | None = None
    text: str | None = None
    text_prob: float | None = None
    angle: str | None = None


class PlannedReason(NamedTuple):
    """The offer that the plan gives a customer, and the reason of its message: the angle with the last moment at which
    it is true, what they bought, and the sentence of the shop's own play.
    """

    offer_id: str
    angle: Angle = "generic"
    until_ms: int | None = None
    bought: str | None = None
    play_reason: Mapping[Language, str | None] = MappingProxyType({})


class CatalogueEntry(NamedTuple):
    """A product's name as printed, and its category."""

    name: str | None = None
    category: str | None = None


class OfferLabel(NamedTuple):
    """What an offer covers (its kind or scope), which category or product, its menu line, and the name to print."""

    covers: str | None
    target: str | None
    menu_id: str
    name: str | None


@dataclass(slots=True)
class Slate:
    """What one customer may be given now. `at_O` are their open rows; `closed` has those closed since the release.

    `closed` maps a reason to places among all their rows in the release, open or not.
    """

    first: int
    at_O: slice | list[int]
    closed: dict[str, list[int]]


@dataclass(frozen=True, eq=False)
class ReleaseRows:
    """Read by `options` (what a record shows) or slates (what a decision needs). `targets` are those of `names`."""

    names: list[str]
    targets: dict[str, str | None]
    reasons: list[str]
    code_2R: NDArray[np.int32]  # offer and reason
    number_3R: Floats  # gain, cost and charge in cents
    row_O: Ints
    worth_O: Floats  # gain - charge
    cost_O: Floats
    draw_2R: Floats | None = None  # start and length of each interval, where offers are drawn by audience
    draw_2O: Floats | None = None

    @staticmethod
    def of(scored: pl.DataFrame) -> "ReleaseRows":
        """From columns offer_id, target, gain_cents, cost_cents, charge_cents, eligible, why_not, and the intervals of
        arms where offers are drawn by audience.

        A missing gain or cost is unknown and closes the row. Raises InputError for numbers that cannot be.
        """
        number = pl.col(*NUMBER_COLUMNS)
        wrong = scored.filter(pl.any_horizontal(number.is_finite().not_().fill_null(False), pl.col("cost_cents") < 0))
        if wrong.height:
            raise InputError(
                "value_invalid",
                gettext_lazy(
                    "release: {height} rows have a gain, cost or charge that cannot be: {row}",
                    height=wrong.height,
                    row=wrong.row(0),
                ),
            )
        unknown = pl.any_horizontal(pl.col("gain_cents", "cost_cents").is_null())
        why = pl.coalesce(
            pl.col("why_not"),
            pl.when(pl.col("eligible").not_().fill_null(True)).then(pl.lit(gettext_noop("not eligible"))),
            pl.when(unknown).then(pl.lit(UNKNOWN_VALUE_REASON)),
        )
        coded = [scored["offer_id"], scored.select(why.alias("why"))["why"]]
        names, reasons = (sorted(texts.drop_nulls().unique().to_list()) for texts in coded)
        code_2R = np.stack(
            [
                texts.replace_strict(known, range(len(known)), default=OPEN_CODE, return_dtype=pl.Int32).fill_null(
                    OPEN_CODE
                )
                for texts, known in zip(coded, (names, reasons), strict=True)
            ]
        )
        targets = dict(scored.unique("offer_id", keep="first").select("offer_id", "target").iter_rows())
        number_3R = np.stack([scored[name].cast(pl.Float64).fill_null(0.0).to_numpy() for name in NUMBER_COLUMNS])
        row_O = np.flatnonzero(code_2R[1] == OPEN_CODE)
        gain_O, cost_O, charge_O = number_3R[:, row_O]
        draw_2R = draw_2O = None
        if set(INTERVAL_COLUMNS) <= set(scored.columns):
            draw_2R = np.stack([scored[name].cast(pl.Float64).fill_null(0.0).to_numpy() for name in INTERVAL_COLUMNS])
            draw_2O = draw_2R[:, row_O]
        return ReleaseRows(
            names, targets, reasons, code_2R, number_3R, row_O, gain_O - charge_O, cost_O.copy(), draw_2R, draw_2O
        )

    def name(self, at: int) -> str:
        """The offer of an open row."""
        return self.names[int(self.code_2R[0, self.row_O[at]])]

    def close(self, slate: Slate, why: Callable[[int], str | None]) -> Slate:
        """The slate without the open rows that `why` has a reason to close."""
        open_now: list[int] = []
        closed = {reason: list(places) for reason, places in slate.closed.items()}
        for at in range(slate.at_O.start, slate.at_O.stop) if isinstance(slate.at_O, slice) else slate.at_O:
            if reason := why(at):
                closed.setdefault(reason, []).append(int(self.row_O[at]) - slate.first)
            else:
                open_now.append(at)
        return Slate(slate.first, open_now, closed)

    def open_offers(
        self, people: Sequence[str], refusals: Sequence[str | None], places: Sequence[slice | list[int]]
    ) -> decisions.OpenOffers:
        """The open rows of each customer, to decide on."""
        draws = None if self.draw_2O is None else [self.draw_2O[:, at] for at in places]
        worth, cost = ([column[at] for at in places] for column in (self.worth_O, self.cost_O))
        return decisions.OpenOffers.of(people, refusals, worth, cost, draws)

    def options(self, span: slice) -> list[decisions.Option]:
        """The rows of a span, as options."""
        offers, closed = self.code_2R[:, span].tolist()
        gain, cost, charge = self.number_3R[:, span].tolist()
        why: Any = repeat(None)
        if closed and max(closed) != OPEN_CODE:
            why = [None if code == OPEN_CODE else self.reasons[code] for code in closed]
        drawn = [repeat(0.0), repeat(0.0)] if self.draw_2R is None else self.draw_2R[:, span].tolist()
        return list(map(decisions.Option, map(self.names.__getitem__, offers), gain, cost, why, charge, *drawn))


@dataclass(frozen=True, eq=False)
class LiveRelease:
    """A release in memory: the plan's candidates as arrays, and where each customer's stand.

    Nothing a request brings changes a number of the plan, it only closes offers. `barred`: why nothing may be sent to a
    customer, by what was known at the release.
    """

    release_id: str
    terms: decisions.ReleaseTerms
    plan: PlanNote
    rows: ReleaseRows
    place: dict[str, int]
    start_N: Ints  # first row of each customer, and one more
    open_N: Ints  # first open row likewise
    barred: dict[str, str | None]
    people: dict[str, KnownCustomer]
    products: dict[str, str]
    catalogue: dict[str, CatalogueEntry]
    messages: dict["MessageKey", RenderedMessage]
    planned: dict[str, PlannedReason]  # by customer
    wording: PoolWords
    offers: dict[str, Offer]
    menu: dict[str, MenuItem]
    labels: dict[str, OfferLabel]
    frontier: pl.DataFrame
    caps: dict[str, int]  # the most that one use of an offer may take off, by what was planned for it; minor units
    creatives: CreativeCatalogue | None = None

    def cell(self, placement: str | None, audience: str | None) -> AdCell | None:
        """Where the rows of a request for a creative stand: those of everybody for an audience that the plan never saw.
        None for a release of offers, whose rows are each customer's own.
        """
        if self.creatives is None:
            return None
        found = AdCell(placement or "", audience)
        return found if found.key in self.place else found._replace(audience=None)

    @property
    def shop(self) -> ShopSettings:
        """Whose release it is."""
        return self.plan.shop

    def first_day(self, ends_ms: int) -> datetime:
        """The beginning of the first day of the days that end at `ends_ms`, by the shop's clock."""
        last = datetime.fromtimestamp(ends_ms / 1000, ZoneInfo(self.shop.zone))
        return (last - timedelta(days=self.plan.days - 1)).replace(hour=0, minute=0, second=0, microsecond=0)

    def first_ms(self, ends_ms: int | None) -> int | None:
        """The same in milliseconds; None where the end is not known."""
        return None if ends_ms is None else round(self.first_day(ends_ms).timestamp() * 1000)

    def targets_of(self, product: str | None, category: str | None) -> list[str]:
        """What an offer may stand on: product and category as they were named, and what the plan counts the product
        as.
        """
        return [name for name in (product, category, self.products.get(product or "")) if name]

    def span(self, who: str) -> slice:
        """A customer's rows; none for one the release does not know."""
        return self._between(self.start_N, who)

    def opened(self, who: str) -> slice:
        """A customer's open rows among the open ones."""
        return self._between(self.open_N, who)

    def _between(self, first_N: Ints, who: str) -> slice:
        at = self.place.get(who)
        return slice(0, 0) if at is None else slice(int(first_N[at]), int(first_N[at + 1]))


def load_release(root: Path, release_id: str) -> LiveRelease:
    """Load a release. Raises StepError if it is not there and InputError if a file was changed since it was built."""
    folder = root / "serve" / "releases" / release_id
    manifest = read_manifest(folder, release_id)
    for name in RELEASE_TABLES:
        if sha256_of_file(folder / f"{name}.parquet") != manifest.files.get(name):
            raise InputError(
                "file_changed",
                gettext_lazy(
                    "{folder}/{name}.parquet was changed after the release was made; make a new release",
                    folder=folder,
                    name=name,
                ),
            )
    frontier, customers, messages, products = (
        pl.read_parquet(folder / f"{name}.parquet") for name in RELEASE_TABLES[1:]
    )
    scored = pl.scan_parquet(folder / "candidates.parquet")
    people = scored.select(pl.col("customer_id").unique(maintain_order=True)).collect()["customer_id"]
    columns = [*CANDIDATE_COLUMNS, *(INTERVAL_COLUMNS if manifest.terms.by_interval else [])]
    decided = scored.filter(pl.col("offer_id") != "none").select(columns).collect()
    rows = ReleaseRows.of(decided)
    runs = decided["customer_id"].rle().struct.unnest()
    start_N = np.concatenate([[0], np.cumsum(runs["len"].to_numpy())]).astype(np.int64)
    allowed = may_send(people, customers, manifest.plan.consent)
    known = customers.select(pl.col(CUSTOMER_COLUMNS), "^personal$").iter_rows()
    catalogue = products.select("product_id", "name", "category").iter_rows()
    return LiveRelease(
        release_id=release_id, terms=manifest.terms, plan=manifest.plan, rows=rows,
        place=dict(zip(runs["value"], range(runs.height), strict=True)),
        start_N=start_N, open_N=np.searchsorted(rows.row_O, start_N).astype(np.int64),
        barred=dict(allowed.select("customer_id", "reason").iter_rows()),
        people={row[0]: KnownCustomer(*row[1:]) for row in known},
        products=dict(products.drop_nulls("target").select("product_id", "target").iter_rows()),
        catalogue={row[0]: CatalogueEntry(*row[1:]) for row in catalogue},
        messages=_planned(messages, manifest.plan.shop.languages),
        planned=_reasons(messages, manifest.plan.shop.languages), wording=manifest.wording,
        offers={offer.id: offer for offer in manifest.offers}, menu={item.id: item for item in manifest.plan.menu},
        labels=_labels(scored, products), frontier=frontier, caps=_caps(scored, manifest.plan.budget_cents),
        creatives=manifest.creatives,
    )  # fmt: skip


class MessageKey(NamedTuple):
    """Who reads about which offer in which language."""

    customer_id: str
    offer_id: str
    language: Language


def _planned(messages: pl.DataFrame, languages: Sequence[Language]) -> dict[MessageKey, RenderedMessage]:
    found = {}
    for row in messages.iter_rows(named=True):
        for language in languages:
            said = {name: row.get(f"{name}_{language}") for name in MESSAGE_COLUMNS}
            found[MessageKey(row["customer_id"], row["offer_id"], language)] = RenderedMessage(
                **said, angle=row.get("angle")
            )
    return found


def _reasons(messages: pl.DataFrame, languages: Sequence[Language]) -> dict[str, PlannedReason]:
    return {
        row["customer_id"]: PlannedReason(
            row["offer_id"], row.get("angle") or "generic", row.get("angle_until_ms"), row.get("bought_name"),
            {language: row.get(f"play_reason_{language}") for language in languages},
        )
        for row in messages.iter_rows(named=True)
    }  # fmt: skip


USUAL = ("depth", "basket_mean_cents", "amount_cents")  # by which a use is priced that nobody is expected to make


def _caps(rows: pl.LazyFrame, budget_cents: int) -> dict[str, int]:
    """The most that one use of each offer may take off: so many times what the plan expects of its dearest use, and
    never more than the whole budget. Of customers who are not expected to use it at all, a use is its share of their
    usual order, or its amount. An offer whose use has no known price has the budget as its cap.
    """
    names = rows.collect_schema().names()
    if "subsidy_cents" not in names:
        return {}
    share = pl.col("redeem_prob") * (1 - pl.col("supplier_share"))
    usual = [pl.col("depth") * pl.col("basket_mean_cents"), pl.col("amount_cents")] if {*USUAL} <= {*names} else []
    use = pl.coalesce(pl.when(share > 0).then(pl.col("subsidy_cents") / share), *usual)
    most = (use.max() * CAP_TIMES).fill_null(float(budget_cents)).clip(0, budget_cents).ceil()
    found = rows.filter(pl.col("eligible")).group_by("offer_id").agg(most.cast(pl.Int64).alias("cap")).collect()
    return dict(found.iter_rows())


def _labels(rows: pl.LazyFrame, products: pl.DataFrame) -> dict[str, OfferLabel]:
    names = dict(products.drop_nulls("name").select("product_id", "name").iter_rows())
    columns = ("offer_id", "scope", "kind", "target", "menu_id")
    offers = rows.filter(pl.col("offer_id") != "none").select(columns).unique("offer_id", keep="any").collect()
    found = {}
    for offer, scope, kind, target, menu in offers.sort("offer_id").iter_rows():
        name = (
            CATEGORY_SEPARATOR.join(names.get(one, one) for one in of_target(target)) if kind == "product" else target
        )
        found[offer] = OfferLabel(kind if scope == "category" else scope, target, menu, name)
    return found
