"""A planned work folder in; an immutable release out: the plan's own candidates, words and terms, to be served so.

    work/serve/releases/rel_<hash>/candidates.parquet   the plan's: what may be offered to whom, gain, cost and charge
                                   frontier.parquet     the plan's: gain by budget, the forecast of the pace
                                   customers.parquet    consent and age, name and language
                                   messages.parquet     the verified words of the plan
                                   products.parquet     which target a product belongs to
                                   manifest.json        the plan in numbers, terms, offers, and the hash of each file

Nothing is scored here: what was planned is what is served. The id is a hash of what is inside: the same plan gives the
same release, and a changed file is noticed when loading.

Legend: R rows (customer and offer), sorted by both; `none` needs no row. A row's offer and the reason why the plan
closed it are numbers that point into `names` and `reasons`. O are the rows that the plan left open, N customers.
"""

import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any, Literal, NamedTuple
from uuid import uuid4

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import ValidationError

from promolift import __version__
from promolift.core import decisions
from promolift.core.customers.consent import may_send
from promolift.core.offers.menu import MenuItem
from promolift.core.offers.terms import AND, Language, Offer
from promolift.core.offers.terms import covered as of_target
from promolift.extensions.ads.results import CreativeCatalogue
from promolift.foundation.errors import InputError, StepError
from promolift.foundation.hashing import sha256_of, sha256_of_file
from promolift.foundation.settings import Settings
from promolift.foundation.sql import bind, fetch
from promolift.foundation.storage.local_store import Store
from promolift.foundation.tables.schemas import CUSTOMERS, LEVEL, TARGET
from promolift.shop.configuration.configuration import ShopSettings
from promolift.shop.results.ingest import Offers
from promolift.shop.results.messages import LANGUAGES, Messages, PoolWords
from promolift.shop.results.plan import Plan, PlanNote
from promolift.shop.results.work_folder.work_tables import Clean

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
TABLES = ("candidates", "frontier", "customers", "messages", "products")
CREATIVES = "creatives"  # the policy of all plans of creatives
OPEN = -1
NUMBERS = ("gain_cents", "cost_cents", "charge_cents")
DECIDED = ["customer_id", "offer_id", "target", *NUMBERS, "eligible", "why_not"]
CUSTOMER = ["customer_id", "name", "age", "language", "consent"]
SAID = ("message", "title", "text", "text_prob")
# product to the target its offers stand on, as the plan counts them
PRODUCT_TARGETS = f"""
with {LEVEL}
select e.product_id, {TARGET} as target, p.name, p.category from products e cross join level
join products p on p.product_id = e.product_id order by e.product_id
"""


class Manifest(Settings):
    """What a release says of itself. `terms` may be later ones than the plan's: what was learned since."""

    form: Literal[2]  # 1 scored the candidates anew
    code: str
    plan: PlanNote
    terms: decisions.ReleaseTerms
    offers: tuple[Offer, ...]
    wording: PoolWords = PoolWords()  # the texts that may be sent, and how
    creatives: CreativeCatalogue | None = None  # of a plan of creatives
    files: dict[str, str]

    def text(self) -> str:
        """As it stands on disk."""
        return json.dumps(self.model_dump(mode="json"), ensure_ascii=False, sort_keys=True, indent=1)


class AdCell(NamedTuple):
    """Where a creative is shown, and to whom: None is everybody there, of whom nothing was asked or known."""

    placement: str
    audience: str | None

    @property
    def key(self) -> str:
        """What its rows stand under in a release; no customer can be called so."""
        return f"{self.placement}\x1f{self.audience or ''}"


class KnownCustomer(NamedTuple):
    """What the shop knew of a customer when the release was made; `personal` false: refused personal decisions."""

    name: str | None = None
    age: str | None = None
    language: str | None = None
    consent: bool | None = None
    personal: bool | None = None


NOBODY = KnownCustomer()


class SaidWords(NamedTuple):
    """What a customer reads in one language, why, and the text it was filled from with its propensity."""

    message: str | None
    title: str | None = None
    text: str | None = None
    text_prob: float | None = None
    angle: str | None = None


class CatalogueEntry(NamedTuple):
    """A product's name as printed, and its category."""

    name: str | None = None
    category: str | None = None


class Label(NamedTuple):
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

    @staticmethod
    def of(scored: pl.DataFrame) -> "ReleaseRows":
        """From columns offer_id, target, gain_cents, cost_cents, charge_cents, eligible, why_not.

        A missing gain or cost is unknown and closes the row. Raises InputError for numbers that cannot be.
        """
        number = pl.col(*NUMBERS)
        wrong = scored.filter(pl.any_horizontal(number.is_finite().not_().fill_null(False), pl.col("cost_cents") < 0))
        if wrong.height:
            raise InputError(
                "value_invalid",
                f"release: {wrong.height} rows have a gain, cost or charge that cannot be: {wrong.row(0)}",
            )
        unknown = pl.any_horizontal(pl.col("gain_cents", "cost_cents").is_null())
        why = pl.coalesce(
            pl.col("why_not"),
            pl.when(pl.col("eligible").not_().fill_null(True)).then(pl.lit("not eligible")),
            pl.when(unknown).then(pl.lit("its gain or cost is not known")),
        )
        coded = [scored["offer_id"], scored.select(why.alias("why"))["why"]]
        names, reasons = (sorted(texts.drop_nulls().unique().to_list()) for texts in coded)
        code_2R = np.stack([
            texts.replace_strict(known, range(len(known)), default=OPEN, return_dtype=pl.Int32).fill_null(OPEN)
            for texts, known in zip(coded, (names, reasons), strict=True)
        ])  # fmt: skip
        targets = dict(scored.unique("offer_id", keep="first").select("offer_id", "target").iter_rows())
        number_3R = np.stack([scored[name].cast(pl.Float64).fill_null(0.0).to_numpy() for name in NUMBERS])
        row_O = np.flatnonzero(code_2R[1] == OPEN)
        gain_O, cost_O, charge_O = number_3R[:, row_O]
        return ReleaseRows(names, targets, reasons, code_2R, number_3R, row_O, gain_O - charge_O, cost_O.copy())

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

    def options(self, span: slice) -> list[decisions.Option]:
        """The rows of a span, as options."""
        offers, closed = self.code_2R[:, span].tolist()
        gain, cost, charge = self.number_3R[:, span].tolist()
        why: Any = repeat(None)
        if closed and max(closed) != OPEN:
            why = [None if code == OPEN else self.reasons[code] for code in closed]
        return list(map(decisions.Option, map(self.names.__getitem__, offers), gain, cost, why, charge))


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
    messages: dict["MessageKey", SaidWords]
    wording: PoolWords
    offers: dict[str, Offer]
    menu: dict[str, MenuItem]
    labels: dict[str, Label]
    frontier: pl.DataFrame
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

    def span(self, who: str) -> slice:
        """A customer's rows; none for one the release does not know."""
        return self._between(self.start_N, who)

    def opened(self, who: str) -> slice:
        """A customer's open rows among the open ones."""
        return self._between(self.open_N, who)

    def _between(self, first_N: Ints, who: str) -> slice:
        at = self.place.get(who)
        return slice(0, 0) if at is None else slice(int(first_N[at]), int(first_N[at + 1]))


def build(store: Store) -> str:
    """Freeze the work folder's plan as a release; its id. Raises StepError if there is no finished plan, or it breaks a
    limit of fairness.
    """
    plan, offers, clean, said = Plan.load(store), Offers.load(store), Clean(store), Messages.load(store).rows
    if plan.note.fairness and (broken := plan.note.fairness.broken(plan.chosen)):
        raise StepError(
            "plan_unfair", f"no release: the plan is not fair. {'; '.join(broken)}. Run `promolift plan` again"
        )
    spoken = [f"{name}_{language}" for name in SAID for language in LANGUAGES]
    frames = {
        "customers": CUSTOMERS.conform(clean.people).select(CUSTOMER)
        .join(clean.personal, on="customer_id", how="left").sort("customer_id"),
        "messages": said.select("customer_id", "offer_id", *(n for n in ("angle", *spoken) if n in said.columns)),
        "products": fetch(clean.products.query("products", bind(PRODUCT_TARGETS))),
    }  # fmt: skip
    draft = new_draft(store.root)
    files = plan.freeze(draft)
    for name, frame in frames.items():
        frame.write_parquet(draft / f"{name}.parquet", compression="zstd")
        files[name] = sha256_of_file(draft / f"{name}.parquet")
    wording = PoolWords.load(store).sendable if PoolWords.has(store) else PoolWords()
    terms = plan.note.terms
    return freeze(draft, Manifest(
        form=2, code=__version__, plan=plan.note, terms=terms, offers=offers.offers, files=files, wording=wording,
    ))  # fmt: skip


def new_draft(root: Path) -> Path:
    """An empty folder for the files of a release to be."""
    draft = root / "serve" / "releases" / f"draft.{uuid4().hex}"
    draft.mkdir(parents=True)
    return draft


def freeze(draft: Path, manifest: Manifest) -> str:
    """Make a draft a release; its id. It is on disk before the first decision refers to it."""
    text = manifest.text()
    (draft / "manifest.json").write_text(text, encoding="utf-8")
    for path in (*draft.iterdir(), draft):
        to_disk(path)
    place = draft.parent / named(text)
    if place.exists():
        shutil.rmtree(draft)
    else:
        draft.rename(place)
        to_disk(draft.parent)
    return place.name


def read_manifest(folder: Path, release_id: str) -> Manifest:
    """A release's manifest. StepError if there is none or it is of an older form, InputError if it was changed."""
    if not (folder / "manifest.json").is_file():
        raise StepError(
            "release_unknown", f"no release {release_id!r} in {folder.parent}; make one with POST /v1/releases"
        )
    text = (folder / "manifest.json").read_text(encoding="utf-8")
    if named(text) != release_id:
        raise InputError(
            "file_changed", f"{folder}/manifest.json was changed after the release was made; make a new release"
        )
    try:
        return Manifest.model_validate_json(text)
    except ValidationError:
        raise StepError(
            "file_version_unsupported",
            f"release {release_id!r} was made by another version of promolift; run `promolift plan` and "
            "`promolift message`, make a new release with POST /v1/releases and activate it",
        ) from None


def load(root: Path, release_id: str) -> LiveRelease:
    """Read a release. Raises StepError if it is not there and InputError if a file is not what it was when built."""
    folder = root / "serve" / "releases" / release_id
    manifest = read_manifest(folder, release_id)
    for name in TABLES:
        if sha256_of_file(folder / f"{name}.parquet") != manifest.files.get(name):
            raise InputError(
                "file_changed", f"{folder}/{name}.parquet was changed after the release was made; make a new release"
            )
    frontier, customers, messages, products = (pl.read_parquet(folder / f"{name}.parquet") for name in TABLES[1:])
    scored = pl.scan_parquet(folder / "candidates.parquet")
    people = scored.select(pl.col("customer_id").unique(maintain_order=True)).collect()["customer_id"]
    decided = scored.filter(pl.col("offer_id") != "none").select(DECIDED).collect()
    rows = ReleaseRows.of(decided)
    runs = decided["customer_id"].rle().struct.unnest()
    start_N = np.concatenate([[0], np.cumsum(runs["len"].to_numpy())]).astype(np.int64)
    allowed = may_send(people, customers, manifest.plan.consent)
    known = customers.select(pl.col(CUSTOMER), "^personal$").iter_rows()
    catalogue = products.select("product_id", "name", "category").iter_rows()
    return LiveRelease(
        release_id=release_id, terms=manifest.terms, plan=manifest.plan, rows=rows,
        place=dict(zip(runs["value"], range(runs.height), strict=True)),
        start_N=start_N, open_N=np.searchsorted(rows.row_O, start_N).astype(np.int64),
        barred=dict(allowed.select("customer_id", "reason").iter_rows()),
        people={row[0]: KnownCustomer(*row[1:]) for row in known},
        products=dict(products.drop_nulls("target").select("product_id", "target").iter_rows()),
        catalogue={row[0]: CatalogueEntry(*row[1:]) for row in catalogue},
        messages=_planned(messages), wording=manifest.wording,
        offers={offer.id: offer for offer in manifest.offers}, menu={item.id: item for item in manifest.plan.menu},
        labels=_labels(scored, products), frontier=frontier, creatives=manifest.creatives,
    )  # fmt: skip


class MessageKey(NamedTuple):
    """Who reads about which offer in which language."""

    customer_id: str
    offer_id: str
    language: Language


def _planned(messages: pl.DataFrame) -> dict[MessageKey, SaidWords]:
    found = {}
    for row in messages.iter_rows(named=True):
        for language in LANGUAGES:
            said = {name: row.get(f"{name}_{language}") for name in SAID}
            found[MessageKey(row["customer_id"], row["offer_id"], language)] = SaidWords(**said, angle=row.get("angle"))
    return found


def _labels(rows: pl.LazyFrame, products: pl.DataFrame) -> dict[str, Label]:
    names = dict(products.drop_nulls("name").select("product_id", "name").iter_rows())
    columns = ("offer_id", "scope", "kind", "target", "menu_id")
    offers = rows.filter(pl.col("offer_id") != "none").select(columns).unique("offer_id", keep="any").collect()
    found = {}
    for offer, scope, kind, target, menu in offers.sort("offer_id").iter_rows():
        name = AND.join(names.get(one, one) for one in of_target(target)) if kind == "product" else target
        found[offer] = Label(kind if scope == "category" else scope, target, menu, name)
    return found


def named(manifest: str) -> str:
    """A release's id: a hash of its manifest, which holds the hashes of its files."""
    return f"rel_{sha256_of(manifest)[:16]}"


def to_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on disk; folders cannot be opened on Windows."""
    with suppress(PermissionError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
