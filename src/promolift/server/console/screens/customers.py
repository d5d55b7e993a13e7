"""Customers: the list with its search, order and filters, each filter with the number of customers behind it."""

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlencode

import polars as pl

from promolift.core.customers.reason_text import CONSENT
from promolift.foundation.evidence import Z95
from promolift.foundation.i18n.catalogue import gettext, use_locale
from promolift.foundation.pages.blocks import Block, Figure
from promolift.server.api.routes import export as privacy
from promolift.server.console.pages.context import (
    Download,
    PageVisit,
    Reply,
    Screen,
    cached_result,
    form,
    page,
    requested_customer,
)
from promolift.server.console.pages.customer_history import customer_screen
from promolift.server.console.pages.empty_page import empty_screen
from promolift.server.console.state.console_state import Console
from promolift.server.translations import translate_key, translate_refusal
from promolift.shop.reports.chapters.customers import build_chapter as tell_chapter
from promolift.shop.reports.story_builder import build_customer_story, log_days, offer_words, orders_words
from promolift.shop.results.messages import Offers
from promolift.shop.results.plan import Plan
from promolift.shop.results.plan_note import PlanNote
from promolift.shop.results.work_folder.run_context import Job, moments

CUSTOMERS_LISTED = 25  # on a page
LARGE_SHOP = 50_000  # customers from which on the list is loaded in advance
RECENT_DAYS, QUIET_DAYS = 30, 90
PLAN_RESULTS = ("offer", "none", "held", "closed")  # what the plan decided: `closed` may not be written to
SEEN = ("recent", "slower", "away", "never")  # when they ordered last
SORTS = {"gain": True, "spent": True, "orders": True, "recency": False, "id": False}  # whether the largest comes first
SORT_COLUMNS = {"gain": "gain_cents", "spent": "revenue_52w_cents", "orders": "orders", "recency": "recency_days"}


@cached_result("tables/profiles.parquet", "notes/offers.json")
def load_customers(job: Job) -> pl.DataFrame:
    """One row a customer, in the order of their ids: customer_id, orders, recency_days, revenue_52w_cents, offer,
    gain_cents, gain_se_cents, given (one of PLAN_RESULTS), seen (one of SEEN).

    `orders` are those of a year, or all of a shop that is younger.
    """
    plan, texts = Plan.load(job.store), offer_words(job) if Offers.has(job.store) else {}
    names = ("orders_52w", "orders_total", "recency_days", "revenue_52w_cents")
    people = job.profiled.profile_columns(moments(job).asof, "customer_id", *names)
    known = [pl.col(name) if name in people.columns else pl.lit(None, pl.Int64).alias(name) for name in names]
    offered = plan.chosen.select("customer_id", "offer_id", "gain_cents", "gain_se_cents").with_columns(
        pl.col("offer_id").replace_strict(texts, default=pl.col("offer_id"), return_dtype=pl.String).alias("offer")
    )
    refused = pl.col("reason").str.starts_with(CONSENT.format(reason=""))
    given = (
        pl.when(pl.col("offer").is_not_null()).then(pl.lit("offer"))
        .when(pl.col("holdout").fill_null(False)).then(pl.lit("held"))
        .when(refused).then(pl.lit("closed")).otherwise(pl.lit("none"))
    )  # fmt: skip
    days = pl.col("recency_days")
    seen = (
        pl.when(days.is_null()).then(pl.lit("never")).when(days <= RECENT_DAYS).then(pl.lit("recent"))
        .when(days <= QUIET_DAYS).then(pl.lit("slower")).otherwise(pl.lit("away"))
    )  # fmt: skip
    rows = plan.decided("customer_id", "holdout", "reason").join(offered, on="customer_id", how="left")
    found = rows.join(people.select("customer_id", *known), on="customer_id", how="left")
    counted = "orders_52w" if found["orders_52w"].count() else "orders_total"
    found = found.with_columns(
        orders=pl.col(counted), given=given.cast(pl.Enum(PLAN_RESULTS)), seen=seen.cast(pl.Enum(SEEN))
    )  # fmt: skip
    return sort_naturally(found, "customer_id").select(
        "customer_id", "orders", "recency_days", "revenue_52w_cents", "offer", "gain_cents", "gain_se_cents", "given",
        "seen",
    )  # fmt: skip


def prepare_customers(console: Console) -> None:
    """Load the list of a large shop, in each of its languages, before somebody opens it."""
    if console.server.config is None or not PlanNote.has(console.store):
        return
    if console.job().profiled.size >= LARGE_SHOP:
        for language in console.shop.languages:
            with use_locale(language):
                load_customers.load(console)


@cached_result("tables/profiles.parquet")
def orders_heading(job: Job) -> str:
    """What the orders of the list are counted over."""
    people = job.profiled.profile_columns(moments(job).asof, "orders_52w")
    young = not people.width or people["orders_52w"].count() == 0
    return orders_words(log_days(job, moments(job)) if young else None)


def natural_order(name: str) -> list[pl.Expr]:
    """Return what to sort an id by, so that u2 comes before u10: the text before its first number, the number, all."""
    text = pl.col(name)
    return [text.str.extract(r"^(\D*)"), text.str.extract(r"(\d+)").cast(pl.UInt64, strict=False), text]


def sort_naturally(rows: pl.DataFrame, name: str) -> pl.DataFrame:
    """Sort rows by an id, as `natural_order` says. Ids of one prefix and a number alone take a tenth of the time."""
    ids = rows[name]
    prefix = ids.head(1).str.extract(r"^(\D*)").fill_null("").to_list()
    plain = ids.str.strip_prefix(prefix[0]).cast(pl.UInt64, strict=False) if prefix else ids
    if plain.null_count() or not (ids.is_empty() or ids.str.starts_with(prefix[0]).all()):
        return rows.sort(*natural_order(name), nulls_last=True)
    return rows[plain.to_numpy().argsort(kind="stable")]


class ListQuery(NamedTuple):
    """What the address of the list asks for."""

    text: str = ""
    given: str = ""
    seen: str = ""
    sort: str = ""  # one of SORTS; "" in the order of ids, or by gain among those with an offer
    way: str = ""  # `back`: the other way round
    page: int = 1

    @staticmethod
    def of(query: Mapping[str, str]) -> "ListQuery":
        """Read the query; what it cannot mean is left out."""

        def one_of(name: str, known: object) -> str:
            value = query.get(name, "")
            return value if value in known else ""  # type: ignore[operator]

        number = query.get("page", "1")
        return ListQuery(
            query.get("q", "").strip()[:256], one_of("given", PLAN_RESULTS), one_of("seen", SEEN),
            one_of("sort", SORTS), one_of("way", ("back",)),
            min(max(int(number), 1), 10**6) if number.isdecimal() else 1,
        )  # fmt: skip

    def path(self, **other: str | int) -> str:
        """Return the address of the list with other values, its first page unless `page` is given."""
        asked = self._replace(page=1)._replace(**other)  # type: ignore[arg-type]
        named = {"q": asked.text, "given": asked.given, "seen": asked.seen, "sort": asked.sort, "way": asked.way,
                 "page": asked.page if asked.page > 1 else ""}  # fmt: skip
        return "/console/customers?" + urlencode({name: value for name, value in named.items() if value})

    @property
    def order(self) -> str:
        """What the list is sorted by."""
        return self.sort or ("gain" if self.given == "offer" else "id")

    @property
    def descending(self) -> bool:
        """Whether the largest comes first."""
        return SORTS[self.order] != (self.way == "back")


class FilterChoice(NamedTuple):
    """A choice of a filter: how many customers it leaves beside the other filters, and its address."""

    key: str
    text: str
    number: int
    path: str
    chosen: bool


class SortColumn(NamedTuple):
    """A column that the list can be sorted by: its heading, the address, and how it is sorted, as `aria-sort` says."""

    key: str
    text: str
    path: str
    sorted: str


def search_customers(rows: pl.DataFrame, text: str) -> pl.DataFrame:
    """Return the customers whose id, or planned offer, contains a text, in any letter case."""
    if not text:
        return rows
    offers = rows["offer"].drop_nulls().unique()
    fits = offers.filter(offers.str.to_lowercase().str.contains(text.lower(), literal=True))
    named = pl.col("customer_id").str.contains(text, literal=True)
    if text != text.lower() or text != text.upper():
        named |= pl.col("customer_id").str.to_lowercase().str.contains(text.lower(), literal=True)
    return rows.filter(named | pl.col("offer").is_in(fits.implode()) if fits.len() else named)


def sort_customers(rows: pl.DataFrame, asked: ListQuery) -> pl.DataFrame:
    """Return the rows of one page, in the order that is asked for; the customer with exactly the searched id first."""
    first = (asked.page - 1) * CUSTOMERS_LISTED
    found = (
        rows.lazy().with_columns((pl.col("customer_id") == asked.text).alias("exact")) if asked.text else rows.lazy()
    )
    if asked.order != "id":
        by, down = [SORT_COLUMNS[asked.order]], [asked.descending]
        if asked.text:
            by, down = ["exact", *by], [True, *down]
        found = found.sort(by, descending=down, nulls_last=True, maintain_order=True)
    else:
        if asked.descending:
            found = found.reverse()
        if asked.text:
            found = found.sort("exact", descending=True, maintain_order=True)
    return found.slice(first, CUSTOMERS_LISTED).collect()


def filter_choices(rows: pl.DataFrame, asked: ListQuery, name: str, texts: Mapping[str, str]) -> list[FilterChoice]:
    """Return the choices of a filter with their counts in `rows`, which the other filters left."""
    counts = dict(rows[name].value_counts().iter_rows())
    now = getattr(asked, name)
    found = [FilterChoice("", gettext("everybody"), rows.height, asked.path(**{name: ""}), not now)]
    for key, text in texts.items():
        if counts.get(key) or key == now:
            found.append(FilterChoice(key, text, counts.get(key, 0), asked.path(**{name: key}), key == now))
    return found


@page("/customers")
def customers(visit: PageVisit) -> Reply:
    """Search, filters and the list."""
    if not PlanNote.has(visit.job().store):
        return empty_screen(visit, "/customers", "/data")
    asked, everybody = ListQuery.of(visit.query), load_customers(visit)
    found = search_customers(everybody, asked.text)
    by_given = found.filter(pl.col("seen") == asked.seen) if asked.seen else found
    by_seen = found.filter(pl.col("given") == asked.given) if asked.given else found
    rows = by_given.filter(pl.col("given") == asked.given) if asked.given else by_given
    given = {"offer": gettext("planned an offer"), "none": gettext("planned none"), "held": gettext("held out"),
             "closed": gettext("may not be written to")}  # fmt: skip
    seen = {
        "recent": gettext("ordered in the last {days} days", days=RECENT_DAYS),
        "slower": gettext("{first} to {last} days ago", first=RECENT_DAYS + 1, last=QUIET_DAYS),
        "away": gettext("more than {days} days ago", days=QUIET_DAYS),
        "never": gettext("no order known"),
    }
    headings = {"id": gettext("customer"), "orders": orders_heading(visit), "recency": gettext("last order, days ago"),
                "spent": gettext("paid in a year"), "gain": gettext("expected gain")}  # fmt: skip
    if not everybody["revenue_52w_cents"].count():
        del headings["spent"]
    pages = max(1, -(-rows.height // CUSTOMERS_LISTED))
    asked = asked._replace(page=min(asked.page, pages))
    data = {
        "q": asked.text, "given": asked.given, "seen": asked.seen, "sort": asked.sort, "way": asked.way, "draws": True,
        "number": rows.height, "everybody": everybody.height, "page": asked.page, "pages": pages,
        "first": min(rows.height, (asked.page - 1) * CUSTOMERS_LISTED + 1),
        "last": min(rows.height, asked.page * CUSTOMERS_LISTED),
        "before": asked.path(page=asked.page - 1) if asked.page > 1 else "",
        "after": asked.path(page=asked.page + 1) if asked.page < pages else "",
        "filters": {"given": filter_choices(by_given, asked, "given", given),
                    "seen": filter_choices(by_seen, asked, "seen", seen)},
        "columns": {key: sort_column(asked, key, text) for key, text in headings.items()},
        "given_names": given,
        "rows": [with_interval(row) for row in sort_customers(rows, asked).to_dicts()],
    }  # fmt: skip
    part = visit.query.get("part") == "list"
    template = "customers/list.html" if part else "customers/page.html"
    return Screen(template, translate_key("nav", "/customers"), data, whole=not part)


def sort_column(asked: ListQuery, key: str, text: str) -> SortColumn:
    """Return a column's heading; a click on the one that the list is sorted by turns it round."""
    here = asked.order == key
    back = "back" if here and not asked.way else ""
    how = ("descending" if asked.descending else "ascending") if here else "none"
    return SortColumn(key, text, asked.path(sort=key, way=back), how)


def with_interval(row: dict[str, object]) -> dict[str, object]:
    """A row of the list, with the ends of the gain's 95 % interval."""
    se, gain = row.pop("gain_se_cents", None), row["gain_cents"]
    row.pop("exact", None)
    known = isinstance(se, float) and isinstance(gain, float)
    return row | {
        "low_cents": gain - Z95 * se if known else None,  # type: ignore[operator]
        "high_cents": gain + Z95 * se if known else None,  # type: ignore[operator]
    }


@cached_result("tables/profiles.parquet")
def customer_charts(job: Job) -> list[Block | Figure]:
    """Who the shop's customers are."""
    return [*tell_chapter(build_customer_story(job)).blocks]


@page("/customers/all")
def distributions(visit: PageVisit) -> Reply:
    """The part of the screen that comes after the list."""
    return Screen(
        "customers/all.html", translate_key("nav", "/customers"), {"blocks": customer_charts(visit)}, whole=False
    )


@page("/customers/one")
def show_customer(visit: PageVisit) -> Reply:
    """Show one customer. Who may erase the customer does not wait for the start of the process that searches."""
    if visit.visitor.may("admin"):
        visit.server.prepare_reader(privacy.load_reader)
    return customer_screen(visit)


@page("/customers/export", "admin")
def export(visit: PageVisit) -> Reply:
    """All that is kept of a customer, as a file."""
    reply = privacy.known(visit.call, requested_customer(visit))
    return Download(bytes(reply.body), "customer.json")


@form("/customers/erase", "admin", "/customers")
def erase(visit: PageVisit) -> None:
    """Forget a customer: their id must be typed once more."""
    customer = requested_customer(visit)
    if visit.form.get("typed", "").strip() != customer:
        raise translate_refusal("id_differs")
    privacy.erase(visit.call, customer)
