"""Make the health report: which rows were accepted, what the data allows and which data would help."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from promolift.foundation.i18n.catalogue import gettext_noop
from promolift.foundation.i18n.lazy_message import LazyMessage, gettext_lazy
from promolift.shop.ingest.cleaning.data_summary import LARGE_TIMES, VARIED_PURCHASES, VARIED_SHARE, Summary
from promolift.shop.results.ingest import Ability, Counts, Level

HARMLESS = ("amount computed", "missing order")  # repairs that say the same in another way
LARGE_SHARE = 0.05  # of revenue that a few large orders may carry before they are named
RANDOMISED = gettext_noop(
    "a share of customers left without an offer at random (promolift plans keep one), and what they did"
)


@dataclass(frozen=True)
class HealthReport:
    """The state of one shop's data."""

    tables: tuple[Counts, ...]
    summary: Summary
    abilities: tuple[Ability, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...] = ()


def health(counts: Sequence[Counts], summary: Summary, notes: Sequence[str] = ()) -> HealthReport:
    """The report. `notes` are those of the mappings. Works for any data, also for none."""
    abilities = (
        _profiles(summary),
        _forecast(summary),
        _response(summary),
        _own_response(summary),
        _category_offers(summary),
        _remarketing(summary),
        _redemption(summary),
        _margin(summary),
        _demographics(summary),
        _names(summary),
        _consent(summary),
        Ability(
            gettext_noop("proven effects"),
            "no",
            gettext_lazy("nothing in this data was randomised, so no effect is proven"),
            RANDOMISED,
        ),
    )
    return HealthReport(tuple(counts), summary, abilities, tuple(_warnings(counts, summary)), tuple(notes))


def _graded(name: str, good: bool, fair: bool, reason: LazyMessage, add: str) -> Ability:
    """What can be done well, partly or not; nothing is to be added for what can be done well."""
    return Ability(name, "yes" if good else "partly" if fair else "no", reason, "" if good else add)


def _profiles(s: Summary) -> Ability:
    known = {"rows": f"{s.rows:,}", "customers": f"{s.customers:,}", "days": f"{s.days:.0f}"}
    known |= {"repeaters": f"{s.repeaters:,}", "returned": f"{s.returned:,}"}
    text = (
        gettext_lazy(
            "{rows} events of {customers} customers over {days} days; {repeaters} ordered more than once; "
            "{returned} events are returns",
            **known,
        )
        if s.returned
        else gettext_lazy(
            "{rows} events of {customers} customers over {days} days; {repeaters} ordered more than once", **known
        )
    )
    if not s.rows:
        return Ability(
            gettext_noop("profiles"), "no", gettext_lazy("no events"), gettext_noop("events with a customer and a time")
        )
    good, add = (
        s.days >= 28 and s.repeaters >= 0.1 * s.customers,
        gettext_noop("at least 28 days of events, and customers who come back"),
    )
    return _graded(gettext_noop("profiles"), good, True, text, add)


def _forecast(s: Summary) -> Ability:
    add = gettext_noop("at least 26 weeks of purchases, and 200 customers who ordered twice")
    text = gettext_lazy(
        "{days} weeks, {repeaters} customers with two orders or more",
        days=f"{s.days // 7:.0f}",
        repeaters=f"{s.repeaters:,}",
    )
    if not s.bought:
        return Ability(gettext_noop("purchase forecast"), "no", gettext_lazy("no purchases"), add)
    good, fair = (s.days >= days and s.repeaters >= least for days, least in ((182, 200), (84, 50)))
    return _graded(gettext_noop("purchase forecast"), good, fair, text, add)


def _response(s: Summary) -> Ability:
    text = gettext_lazy(
        "{varied_products} products ({varied_rows} purchases) were bought at least "
        "{varied_purchases} times, {varied_share} to {varied_share_2} of these with a discount",
        varied_products=f"{s.varied_products:,}",
        varied_rows=f"{s.varied_rows:,}",
        varied_purchases=VARIED_PURCHASES,
        varied_share=f"{VARIED_SHARE[0]:.0%}",
        varied_share_2=f"{VARIED_SHARE[1]:.0%}",
    )
    if not s.reduced:
        text = gettext_lazy("no purchase shows a discount open to everybody; a stated prior is used (assumed)")
    good, fair = (
        bool(s.reduced) and s.varied_products >= products and s.varied_rows >= rows
        for products, rows in ((20, 5_000), (3, 300))
    )
    add = gettext_noop("discounts in their own column, on products that are sold both with and without one")
    return _graded(gettext_noop("discount response (adjusted)"), good, fair, text, add)


def _own_response(s: Summary) -> Ability:
    share = s.heavy / s.customers if s.reduced else 0.0
    text = gettext_lazy(
        "{heavy} of {customers} customers have 30 purchases or more; the others lean on the average",
        heavy=f"{s.heavy:,}",
        customers=f"{s.customers:,}",
    )
    return _graded(
        gettext_noop("price sensitivity of each customer"), share >= 0.5, share >= 0.02,
        text if s.reduced else gettext_lazy("no purchase shows a discount"),
        gettext_noop("30 purchases and more per customer, some of them of reduced products"),
    )  # fmt: skip


def _category_offers(s: Summary) -> Ability:
    name, add = gettext_noop("category offers"), gettext_noop("a products table with product_id and category")
    if not s.bought and not s.viewed:
        return Ability(name, "no", gettext_lazy("no purchases and no views"), add)
    if not s.bought:
        level: Level = "partly" if "category" in s.known else "no"
        return Ability(
            name, level, gettext_lazy("no purchases; views alone say what is liked"), gettext_noop("purchases")
        )
    share = s.known.get("category", 0) / s.bought
    text = gettext_lazy("{share} of purchases are of a product with a known category", share=f"{share:.0%}")
    return _graded(name, share >= 0.8, share >= 0.2, text, add)


def _remarketing(s: Summary) -> Ability:
    text = gettext_lazy(
        "{viewed_with_product} views by {viewers} customers, {viewers_who_buy} of whom also bought",
        viewed_with_product=f"{s.viewed_with_product:,}",
        viewers=f"{s.viewers:,}",
        viewers_who_buy=f"{s.viewers_who_buy:,}",
    )
    return _graded(
        gettext_noop("offers on viewed products"), bool(s.viewed_with_product) and s.viewers_who_buy >= 100,
        bool(s.viewed_with_product), text if s.viewed_with_product else gettext_lazy("no view of a product"),
        gettext_noop("view events with a product, of the same customers who buy"),
    )  # fmt: skip


def _redemption(s: Summary) -> Ability:
    name, add = (
        gettext_noop("redemption model"),
        gettext_noop("who was sent which past campaign, from when to when, and which coupons were used"),
    )
    if not s.exposures or not s.redemptions:
        return Ability(
            name,
            "no",
            gettext_lazy(
                "{exposures} past targetings and {redemptions} redemptions",
                exposures=f"{s.exposures:,}",
                redemptions=f"{s.redemptions:,}",
            ),
            add,
        )
    known = {"redemptions": f"{s.redemptions:,}", "exposures": f"{s.exposures:,}", "campaigns": s.campaigns}
    text = (
        gettext_lazy(
            "{redemptions} redemptions, {exposures} targetings in {campaigns} campaigns ({before} began before the "
            "first event: their customers' past is unknown)",
            before=s.campaigns_before,
            **known,
        )
        if s.campaigns_before
        else gettext_lazy("{redemptions} redemptions, {exposures} targetings in {campaigns} campaigns", **known)
    )
    good = s.redemptions >= 100 and s.exposures >= 500 and s.campaigns - s.campaigns_before >= 5
    return _graded(name, good, s.redemptions >= 20, text, add)


def _margin(s: Summary) -> Ability:
    name, add = (
        gettext_noop("profit in money"),
        gettext_noop("cost per product; until then the margin in promolift.toml is assumed"),
    )
    if not s.bought or not s.revenue_cents:
        return Ability(
            name, "no", gettext_lazy("no purchases with an amount"), gettext_noop("amounts or prices of purchases")
        )
    share = s.known.get("cost_cents", 0) / s.bought
    return _graded(
        name, share >= 0.8, True, gettext_lazy("cost known for {share} of purchases", share=f"{share:.0%}"), add
    )


def _demographics(s: Summary) -> Ability:
    name, add = (
        gettext_noop("who the customers are"),
        gettext_noop("a customers table: age, sex, occupation, income, as far as the law allows"),
    )
    described = [
        key for key, value in s.described.items() if value and key not in ("rows", "language", "consent", "name")
    ]
    rows = s.described.get("rows", 0)
    more, known = s.listed - rows, {"rows": f"{rows:,}", "customers": f"{s.customers:,}"}
    known |= {"described": ", ".join(sorted(described)), "more": f"{more:,}"}
    if not described or not s.customers:
        nothing = gettext_lazy("nothing is said of the customers with events")
        if more > 0:
            nothing = gettext_lazy(
                "nothing is said of the customers with events; {more} more are listed without an event",
                more=f"{more:,}",
            )
        return Ability(name, "no", nothing, add)
    text = gettext_lazy("{rows} of {customers} customers with events are described: {described}", **known)
    if more > 0:
        text = gettext_lazy(
            "{rows} of {customers} customers with events are described: {described}; {more} more are listed without an "
            "event",
            **known,
        )
    return _graded(name, rows >= 0.8 * s.customers, True, text, add)


def _names(s: Summary) -> Ability:
    share, category = (s.known.get(name, 0) / max(s.bought or s.rows, 1) for name in ("name", "category"))
    people = s.described.get("name", 0)
    text = gettext_lazy(
        "product names for {share}, categories for {category} of purchases; {people} of "
        "{customers} customers with events have a name",
        share=f"{share:.0%}",
        category=f"{category:.0%}",
        people=f"{people:,}",
        customers=f"{s.customers:,}",
    )
    good = share >= 0.8 and people >= 0.5 * s.customers > 0
    return _graded(
        gettext_noop("messages with real names"),
        good,
        max(share, category) >= 0.2,
        text,
        gettext_noop("names of products and of customers"),
    )


def _consent(s: Summary) -> Ability:
    asked = s.described.get("consent", 0)
    known = {"asked": f"{asked:,}", "customers": f"{s.customers:,}"}
    reason = (
        gettext_lazy(
            "{asked} of {customers} customers with events said whether they want offers; for the others the shop's "
            "default holds",
            **known,
        )
        if asked < s.customers
        else gettext_lazy("{asked} of {customers} customers with events said whether they want offers", **known)
    )
    good = bool(s.customers) and asked >= 0.8 * s.customers
    return _graded(gettext_noop("consent to marketing"), good, asked > 0, reason, gettext_noop("a consent column"))


def _warnings(counts: Sequence[Counts], s: Summary) -> list[str]:
    found = []
    for each in counts:
        for reason, number in each.rejected.items():
            if number > 0.05 * each.read:
                rows = ", ".join(str(row) for row, _ in each.first.get(reason, []))
                where = f" (first rows {rows})" if rows else ""  # none is kept of what may not be kept
                found.append(f"{each.table}: {number / each.read:.0%} of rows rejected: {reason}{where}")
        for reason, number in each.repaired.items():
            if number > 0.5 * each.read and reason not in HARMLESS:
                found.append(f"{each.table}: {number:,} of {each.read:,} rows repaired: {reason}; look at that column")
    if s.rows and s.most_rows > max(0.05 * s.rows, 1_000):
        found.append(f"one customer has {s.most_rows / s.rows:.0%} of all events: perhaps guests without an account")
    if s.orders >= 100 and not s.repeaters:
        found.append("no customer ordered twice: perhaps the customer column names orders or visits, not people")
    if s.bought and not s.revenue_cents:
        found.append("no purchase has an amount: revenue stands as 0 and nothing about money can be said")
    if s.large_orders and s.large_cents > LARGE_SHARE * s.revenue_cents:
        found.append(
            gettext_lazy(
                "{large_orders} orders are more than {large_times} times the middle one and make up "
                "{large_cents} of revenue: perhaps wholesale, or a mistake in the amounts",
                large_orders=f"{s.large_orders:,}",
                large_times=LARGE_TIMES,
                large_cents=f"{s.large_cents / s.revenue_cents:.0%}",
            )
        )
    if s.first_ms is not None and s.days < 1 and s.rows > 1:
        day = datetime.fromtimestamp(s.first_ms / 1000, UTC).date()
        found.append(f"all events fall on one day ({day}): habits and trends cannot be told")
    if s.listed and s.customers and not s.described.get("rows"):
        found.append(
            "no customer of the customers table has an event: perhaps the two files name customers differently"
        )
    if s.customers == 1:
        found.append("there is one customer only: nothing can be compared")
    return found
