"""Room 1. Counts and a summary in, a health report out: what was taken, what can be done with it, what would help."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from promolift.data.counts import Counts
from promolift.data.summary import Summary

Level = Literal["yes", "partly", "no"]
HARMLESS = ("amount computed", "missing order")  # repairs that say the same in another way
RANDOMISED = "a share of customers left without an offer at random (promolift plans keep one), and what they did"


@dataclass(frozen=True)
class Ability:
    """One thing promolift can do: whether this data lets it, why (with numbers), and what to add."""

    name: str
    level: Level
    reason: str
    add: str = ""


@dataclass(frozen=True)
class HealthReport:
    """The state of one shop's data. JSON-able; prints nothing itself."""

    tables: tuple[Counts, ...]
    summary: Summary
    abilities: tuple[Ability, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values, as Store.save_json takes them."""
        return {
            "tables": [counts.to_json() for counts in self.tables],
            "summary": self.summary.to_json() | {"days": round(self.summary.days, 2)},
            "abilities": [asdict(ability) for ability in self.abilities],
            "warnings": list(self.warnings),
            "notes": list(self.notes),
        }


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


def _profiles(s: Summary) -> Ability:
    text = (
        f"{s.rows:,} events of {s.customers:,} customers over {s.days:.0f} days; {s.repeaters:,} ordered more than once"
    )
    if s.returned:
        text += f"; {s.returned:,} events are returns"
    name, add = "profiles", "at least 28 days of events, and customers who come back"
    if not s.rows:
        return Ability(name, "no", "no events", "events with a customer and a time")
    good = s.days >= 28 and s.repeaters >= 0.1 * s.customers
    return Ability(name, "yes" if good else "partly", text, "" if good else add)


def _forecast(s: Summary) -> Ability:
    name, add = "spend forecast", "at least 26 weeks of purchases with amounts, and 200 customers who ordered twice"
    text = f"{s.days / 7:.0f} weeks, {s.repeaters:,} customers with two orders or more"
    if not s.bought or not s.revenue_cents:
        return Ability(name, "no", "no purchases with an amount" if s.bought else "no purchases", add)
    if s.days >= 182 and s.repeaters >= 200:
        return Ability(name, "yes", text)
    return Ability(name, "partly" if s.days >= 84 and s.repeaters >= 50 else "no", text, add)


def _response(s: Summary) -> Ability:
    name = "discount response (adjusted)"
    add = "discounts in their own column, on products that are sold both with and without one"
    if not s.reduced:
        return Ability(
            name, "no", "no purchase shows a discount open to everybody; a stated prior is used (assumed)", add
        )
    text = f"{s.varied_products:,} products ({s.varied_rows:,} purchases) were sold both with and without a discount"
    enough = s.varied_products >= 20 and s.varied_rows >= 5_000
    if enough:
        return Ability(name, "yes", text)
    return Ability(name, "partly" if s.varied_products >= 3 and s.varied_rows >= 300 else "no", text, add)


def _own_response(s: Summary) -> Ability:
    name = "price sensitivity of each customer"
    add = "30 purchases and more per customer, some of them of reduced products"
    if not s.reduced:
        return Ability(name, "no", "no purchase shows a discount", add)
    text = f"{s.heavy:,} of {s.customers:,} customers have 30 purchases or more; the others lean on the average"
    share = s.heavy / s.customers
    return Ability(
        name, "yes" if share >= 0.5 else "partly" if share >= 0.02 else "no", text, "" if share >= 0.5 else add
    )


def _category_offers(s: Summary) -> Ability:
    name, add = "category offers", "a products table with product_id and category"
    active, what = (s.bought, "purchases") if s.bought else (s.viewed, "views")
    if not active:
        return Ability(name, "no", "no purchases and no views", add)
    known = s.known.get("category", 0)
    if not s.bought:
        return Ability(
            name,
            "partly" if "category" in s.known else "no",
            f"no purchases; {what} alone say what is liked",
            "purchases",
        )
    share = known / s.bought
    text = f"{share:.0%} of purchases are of a product with a known category"
    return Ability(
        name, "yes" if share >= 0.8 else "partly" if share >= 0.2 else "no", text, "" if share >= 0.8 else add
    )


def _remarketing(s: Summary) -> Ability:
    name, add = "offers on viewed products", "view events with a product, of the same customers who buy"
    if not s.viewed_with_product:
        return Ability(name, "no", "no view of a product", add)
    text = f"{s.viewed_with_product:,} views by {s.viewers:,} customers, {s.viewers_who_buy:,} of whom also bought"
    return Ability(name, "yes" if s.viewers_who_buy >= 100 else "partly", text, "" if s.viewers_who_buy >= 100 else add)


def _redemption(s: Summary) -> Ability:
    name, add = "redemption model", "who was sent which past campaign, from when to when, and which coupons were used"
    if not s.exposures or not s.redemptions:
        return Ability(name, "no", f"{s.exposures:,} past targetings and {s.redemptions:,} redemptions", add)
    text = f"{s.redemptions:,} redemptions, {s.exposures:,} targetings in {s.campaigns} campaigns"
    if s.campaigns_before:
        text += f" ({s.campaigns_before} began before the first event: their customers' past is unknown)"
    good = s.redemptions >= 100 and s.exposures >= 500 and s.campaigns - s.campaigns_before >= 5
    return Ability(name, "yes" if good else "partly" if s.redemptions >= 20 else "no", text, "" if good else add)


def _margin(s: Summary) -> Ability:
    name, add = "profit in money", "cost per product; until then the margin in promolift.toml is assumed"
    if not s.bought or not s.revenue_cents:
        return Ability(name, "no", "no purchases with an amount", "amounts or prices of purchases")
    share = s.known.get("cost_cents", 0) / s.bought
    return Ability(
        name,
        "yes" if share >= 0.8 else "partly",
        f"cost known for {share:.0%} of purchases",
        "" if share >= 0.8 else add,
    )


def _demographics(s: Summary) -> Ability:
    name, add = "who the customers are", "a customers table: age, sex, occupation, income, as far as the law allows"
    described = {
        key: value for key, value in s.described.items() if value and key not in ("rows", "language", "consent", "name")
    }
    rows = s.described.get("rows", 0)
    apart = f"; {s.listed - rows:,} more are listed without an event" if s.listed > rows else ""
    if not described or not s.customers:
        return Ability(name, "no", f"nothing is said of the customers with events{apart}", add)
    text = f"{rows:,} of {s.customers:,} customers with events are described: {', '.join(sorted(described))}{apart}"
    good = rows >= 0.8 * s.customers
    return Ability(name, "yes" if good else "partly", text, "" if good else add)


def _names(s: Summary) -> Ability:
    active = s.bought or s.rows
    share = s.known.get("name", 0) / active if active else 0.0
    category = s.known.get("category", 0) / active if active else 0.0
    people = s.described.get("name", 0)
    text = (
        f"product names for {share:.0%}, categories for {category:.0%} of purchases; "
        f"{people:,} of {s.customers:,} customers with events have a name"
    )
    level: Level = (
        "yes" if share >= 0.8 and people >= 0.5 * s.customers > 0 else "partly" if max(share, category) >= 0.2 else "no"
    )
    return Ability(
        "messages with real names", level, text, "" if level == "yes" else "names of products and of customers"
    )


def _consent(s: Summary) -> Ability:
    asked = s.described.get("consent", 0)
    good = bool(s.customers) and asked >= 0.8 * s.customers
    reason = f"{asked:,} of {s.customers:,} customers with events said whether they want offers"
    if asked < s.customers:
        reason += "; for the others the shop's default holds"
    return Ability(
        "consent to marketing",
        "yes" if good else "partly" if asked else "no",
        reason,
        "" if good else "a consent column",
    )


def _warnings(counts: Sequence[Counts], s: Summary) -> list[str]:
    found = []
    for each in counts:
        for reason, number in each.rejected.items():
            if number > 0.05 * each.read:
                rows = ", ".join(str(row) for row, _ in each.first.get(reason, []))
                found.append(f"{each.table}: {number / each.read:.0%} of rows rejected: {reason} (first rows {rows})")
        for reason, number in each.repaired.items():
            if number > 0.5 * each.read and reason not in HARMLESS:
                found.append(f"{each.table}: {number:,} of {each.read:,} rows repaired: {reason}; look at that column")
    if s.rows and s.most_rows > max(0.05 * s.rows, 1_000):
        found.append(f"one customer has {s.most_rows / s.rows:.0%} of all events: perhaps guests without an account")
    if s.orders >= 100 and not s.repeaters:
        found.append("no customer ordered twice: perhaps the customer column names orders or visits, not people")
    if s.bought and not s.revenue_cents:
        found.append("no purchase has an amount: revenue stands as 0 and nothing about money can be said")
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
