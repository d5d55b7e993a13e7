"""Make the health report: which rows were accepted, what the data allows and which data would help."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from promolift.shop.ingest.cleaning.data_summary import LARGE_TIMES, VARIED_PURCHASES, VARIED_SHARE, Summary
from promolift.shop.results.ingest import Ability, Counts, Level

HARMLESS = ("amount computed", "missing order")  # repairs that say the same in another way
LARGE_SHARE = 0.05  # of revenue that a few large orders may carry before they are named
RANDOMISED = "a share of customers left without an offer at random (promolift plans keep one), and what they did"


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
        Ability("proven effects", "no", "nothing in this data was randomised, so no effect is proven", RANDOMISED),
    )
    return HealthReport(tuple(counts), summary, abilities, tuple(_warnings(counts, summary)), tuple(notes))


def _graded(name: str, good: bool, fair: bool, reason: str, add: str) -> Ability:
    """What can be done well, partly or not; nothing is to be added for what can be done well."""
    return Ability(name, "yes" if good else "partly" if fair else "no", reason, "" if good else add)


def _profiles(s: Summary) -> Ability:
    text = (
        f"{s.rows:,} events of {s.customers:,} customers over {s.days:.0f} days; {s.repeaters:,} ordered more than once"
    )
    if s.returned:
        text += f"; {s.returned:,} events are returns"
    if not s.rows:
        return Ability("profiles", "no", "no events", "events with a customer and a time")
    good, add = (
        s.days >= 28 and s.repeaters >= 0.1 * s.customers,
        "at least 28 days of events, and customers who come back",
    )
    return _graded("profiles", good, True, text, add)


def _forecast(s: Summary) -> Ability:
    add = "at least 26 weeks of purchases, and 200 customers who ordered twice"
    text = f"{s.days // 7:.0f} weeks, {s.repeaters:,} customers with two orders or more"
    if not s.bought:
        return Ability("purchase forecast", "no", "no purchases", add)
    good, fair = (s.days >= days and s.repeaters >= least for days, least in ((182, 200), (84, 50)))
    return _graded("purchase forecast", good, fair, text, add)


def _response(s: Summary) -> Ability:
    text = (
        f"{s.varied_products:,} products ({s.varied_rows:,} purchases) were bought at least {VARIED_PURCHASES} times, "
        f"{VARIED_SHARE[0]:.0%} to {VARIED_SHARE[1]:.0%} of these with a discount"
    )
    if not s.reduced:
        text = "no purchase shows a discount open to everybody; a stated prior is used (assumed)"
    good, fair = (
        bool(s.reduced) and s.varied_products >= products and s.varied_rows >= rows
        for products, rows in ((20, 5_000), (3, 300))
    )
    add = "discounts in their own column, on products that are sold both with and without one"
    return _graded("discount response (adjusted)", good, fair, text, add)


def _own_response(s: Summary) -> Ability:
    share = s.heavy / s.customers if s.reduced else 0.0
    text = f"{s.heavy:,} of {s.customers:,} customers have 30 purchases or more; the others lean on the average"
    return _graded(
        "price sensitivity of each customer", share >= 0.5, share >= 0.02,
        text if s.reduced else "no purchase shows a discount",
        "30 purchases and more per customer, some of them of reduced products",
    )  # fmt: skip


def _category_offers(s: Summary) -> Ability:
    name, add = "category offers", "a products table with product_id and category"
    if not s.bought and not s.viewed:
        return Ability(name, "no", "no purchases and no views", add)
    if not s.bought:
        level: Level = "partly" if "category" in s.known else "no"
        return Ability(name, level, "no purchases; views alone say what is liked", "purchases")
    share = s.known.get("category", 0) / s.bought
    text = f"{share:.0%} of purchases are of a product with a known category"
    return _graded(name, share >= 0.8, share >= 0.2, text, add)


def _remarketing(s: Summary) -> Ability:
    text = f"{s.viewed_with_product:,} views by {s.viewers:,} customers, {s.viewers_who_buy:,} of whom also bought"
    return _graded(
        "offers on viewed products", bool(s.viewed_with_product) and s.viewers_who_buy >= 100,
        bool(s.viewed_with_product), text if s.viewed_with_product else "no view of a product",
        "view events with a product, of the same customers who buy",
    )  # fmt: skip


def _redemption(s: Summary) -> Ability:
    name, add = "redemption model", "who was sent which past campaign, from when to when, and which coupons were used"
    if not s.exposures or not s.redemptions:
        return Ability(name, "no", f"{s.exposures:,} past targetings and {s.redemptions:,} redemptions", add)
    text = f"{s.redemptions:,} redemptions, {s.exposures:,} targetings in {s.campaigns} campaigns"
    if s.campaigns_before:
        text += f" ({s.campaigns_before} began before the first event: their customers' past is unknown)"
    good = s.redemptions >= 100 and s.exposures >= 500 and s.campaigns - s.campaigns_before >= 5
    return _graded(name, good, s.redemptions >= 20, text, add)


def _margin(s: Summary) -> Ability:
    name, add = "profit in money", "cost per product; until then the margin in promolift.toml is assumed"
    if not s.bought or not s.revenue_cents:
        return Ability(name, "no", "no purchases with an amount", "amounts or prices of purchases")
    share = s.known.get("cost_cents", 0) / s.bought
    return _graded(name, share >= 0.8, True, f"cost known for {share:.0%} of purchases", add)


def _demographics(s: Summary) -> Ability:
    name, add = "who the customers are", "a customers table: age, sex, occupation, income, as far as the law allows"
    described = [
        key for key, value in s.described.items() if value and key not in ("rows", "language", "consent", "name")
    ]
    rows = s.described.get("rows", 0)
    apart = f"; {s.listed - rows:,} more are listed without an event" if s.listed > rows else ""
    if not described or not s.customers:
        return Ability(name, "no", f"nothing is said of the customers with events{apart}", add)
    text = f"{rows:,} of {s.customers:,} customers with events are described: {', '.join(sorted(described))}{apart}"
    return _graded(name, rows >= 0.8 * s.customers, True, text, add)


def _names(s: Summary) -> Ability:
    share, category = (s.known.get(name, 0) / max(s.bought or s.rows, 1) for name in ("name", "category"))
    people = s.described.get("name", 0)
    text = (
        f"product names for {share:.0%}, categories for {category:.0%} of purchases; "
        f"{people:,} of {s.customers:,} customers with events have a name"
    )
    good = share >= 0.8 and people >= 0.5 * s.customers > 0
    return _graded(
        "messages with real names", good, max(share, category) >= 0.2, text, "names of products and of customers"
    )


def _consent(s: Summary) -> Ability:
    asked = s.described.get("consent", 0)
    reason = f"{asked:,} of {s.customers:,} customers with events said whether they want offers"
    if asked < s.customers:
        reason += "; for the others the shop's default holds"
    good = bool(s.customers) and asked >= 0.8 * s.customers
    return _graded("consent to marketing", good, asked > 0, reason, "a consent column")


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
            f"{s.large_orders:,} orders are more than {LARGE_TIMES} times the middle one and make up "
            f"{s.large_cents / s.revenue_cents:.0%} of revenue: perhaps wholesale, or a mistake in the amounts"
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
