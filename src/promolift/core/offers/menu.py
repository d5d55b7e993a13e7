"""Build complete, printable offers from the menu lines in promolift.toml."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Self

import numpy as np
import polars as pl
from pydantic import Field, field_validator, model_validator

from promolift.core.customers.reason_text import SEGMENTS_ONLY
from promolift.core.offers.settings import OfferRules
from promolift.core.offers.terms import Activation, Benefit, Offer, Scope, covered_targets
from promolift.foundation.hashing import hash_id
from promolift.foundation.i18n.catalogue import gettext_noop
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.localized_text import CATEGORY_SEPARATOR, LocalizedText
from promolift.foundation.settings import Settings
from promolift.foundation.tables.schemas import CANDIDATES


class MenuItem(Settings):
    """One line of the shop's menu: a kind of offer that it is willing to give. Without any the usual six are taken."""

    id: str = Field(
        pattern=r"^[a-z0-9][a-z0-9-]*$",
        description="Name of the line; no two are the same. Offers, records and limits refer to it.",
        examples=["tea-20"],
    )
    benefit: Benefit
    scope: Scope = Field(
        default="all",
        description="What it is on: everything, or one offer for each category or product that fits a customer "
        "(percentages only), or those that `covers` names.",
        examples=["category"],
    )
    covers: tuple[str, ...] = Field(
        default=(),
        max_length=2,
        description="The one or two categories or products that it is on, for everybody alike.",
        examples=[["tea"]],
    )
    together: bool = Field(
        default=False,
        description="With a fixed price and two products in `covers`: whether it is the price of both, bought at once.",
    )
    activation: Activation = Field(
        default="automatic",
        description="`automatic` lowers the price at the till by itself, as with a loyalty card; with a `code` (typed "
        "or shown) and a `link` (opened from the message) the customer must act, so only some do.",
        examples=["code"],
    )
    min_spend_cents: int = Field(
        default=0,
        ge=0,
        description="Order value from which it holds, in minor units; an amount off must ask for more than it takes "
        "off.",
        examples=[5000],
    )
    valid_days: int = Field(
        default=28,
        ge=1,
        le=366,
        description="Days that it is valid, the day of the plan being the first; at most the days of the plan "
        "(`plan.window_days`).",
    )
    supplier_share: float = Field(
        default=0.0, ge=0, le=1, description="Part of the discount that a supplier pays.", examples=[0.5]
    )
    send_cost_cents: float = Field(
        default=0.0,
        ge=0,
        description="What telling one customer costs, in minor units; fractions are allowed. Left out: "
        "`value.send_cost_cents`.",
        examples=[3.5],
    )
    online_only: bool = Field(default=False, description="Whether only customers seen to order online may get it.")
    benefit_cost_cents: float | None = Field(
        default=None,
        ge=0,
        description="gift, points, exchange: what one use costs the shop, in minor units, before what the customer "
        "pays for it. They cannot be planned without.",
        examples=[350],
    )
    untried: bool = Field(
        default=False,
        description="With scope category or product: only on what a customer has never bought, the likeliest by what "
        "customers like them buy. For a first purchase in a new category.",
    )
    members: bool = Field(default=False, description="Whether it is printed as an offer for members alone.")
    segments: tuple[str, ...] = Field(
        default=(),
        description="Only customers of one of these [segments](#segment) may get it. Left out: everybody.",
        examples=[["frequent"]],
    )

    def ends(self, starts: datetime) -> datetime:
        """The last moment of an offer that is valid from `starts` (aware, the shop's zone)."""
        return end_of_day(starts, self.valid_days)

    @field_validator("activation", mode="before")
    @classmethod
    def _two_words_for_coupon(cls, value: Any) -> Any:
        if value == "coupon":
            raise ValueError(
                gettext_lazy("say 'code' for a code to type or show, 'link' for an offer opened from the message")
            )
        return value

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.benefit.type == "none":
            raise ValueError(gettext_lazy("'none' is always on the menu and needs no line"))
        kind = self.benefit.type
        if self.covers and self.scope == "all":
            raise ValueError(gettext_lazy("covers names categories or products: say which with scope"))
        if self.scope != "all" and not self.covers and kind != "percent_off":
            raise ValueError(
                gettext_lazy("an offer for each category or product is percent_off; others name theirs in covers")
            )
        if self.together and not (len(self.covers) == 2 and self.scope == "product" and kind == "fixed_price"):
            raise ValueError(gettext_lazy("together is for a fixed_price of scope product with two in covers"))
        if kind == "percent_off" and len(self.covers) > 1:
            raise ValueError(
                gettext_lazy("a percentage is on one thing: write a line for each, or leave pairs to the proposals")
            )
        if self.untried and self.scope == "all":
            raise ValueError(gettext_lazy("untried is of a category or product: say which with scope"))
        if kind == "fixed_price" and not self.covers:
            raise ValueError(gettext_lazy("a fixed price is of something: name it in covers"))
        if kind in ("gift", "exchange") and not (self.benefit.item and self.benefit.product_id):
            raise ValueError(
                gettext_lazy("{kind} needs item (its name, for messages) and product_id (for the till)", kind=kind)
            )
        if (kind in ("gift", "points", "exchange")) != (self.benefit_cost_cents is not None):
            raise ValueError(
                gettext_lazy(
                    "benefit_cost_cents is for gift, points and exchange, which need it; this is {kind}", kind=kind
                )
            )
        if self.benefit.type == "amount_off" and self.min_spend_cents <= self.benefit.amount_cents:
            raise ValueError(gettext_lazy("an amount off needs min_spend_cents above the amount"))
        if kind == "reminder" and (self.min_spend_cents or self.activation != "automatic" or self.scope != "all"):
            raise ValueError(
                gettext_lazy("a reminder gives nothing: it takes neither scope, min_spend_cents nor a code or link")
            )
        return self

    @property
    def by_baskets(self) -> bool:
        """Whether what it costs is read from customers' own baskets: all but percentages on one thing, an amount off
        and free delivery, which `effects.add_effects` values from their means, and a reminder, which gives nothing."""
        plain = ("amount_off", "free_shipping") if not self.covers else ()
        return self.benefit.type not in ("percent_off", "reminder", *plain)

    @property
    def worst_cents(self) -> float | None:
        """The most that one use costs the shop at the till, after the supplier's part; None where nothing bounds it."""
        if self.benefit.type == "reminder":
            return 0.0
        if self.benefit_cost_cents is not None:
            return self.benefit_cost_cents
        most = self.benefit.most_cents
        return None if most is None else most * max(1, len(self.covers)) * (1 - self.supplier_share)

    @property
    def depth(self) -> float | None:
        """The discount as a share of the price it applies to; None for an amount, free delivery or a reminder."""
        return self.benefit.percent / 100 if self.benefit.type == "percent_off" else None


DEFAULT_MENU = (
    *(
        MenuItem(id=f"category-{p}", benefit=Benefit(type="percent_off", percent=p), scope="category")
        for p in (10, 20, 30)
    ),
    MenuItem(id="viewed-20", benefit=Benefit(type="percent_off", percent=20), scope="product", valid_days=7),
    MenuItem(id="spend-save", benefit=Benefit(type="amount_off", amount_cents=500), min_spend_cents=5000),
    MenuItem(id="free-delivery", benefit=Benefit(type="free_shipping"), min_spend_cents=3000, online_only=True),
)


def offer_id(menu_id: str, covers: str) -> str:
    """The id of the offer a menu line makes for one category or product (`covers` empty: for everything)."""
    return f"off_{menu_id}" if not covers else hash_id(f"off_{menu_id}", covers)


def end_of_day(starts: datetime, days: int) -> datetime:
    """The last second of the day with this number, the one of `starts` (aware) being the first."""
    last_day = (starts + timedelta(days=days - 1)).date()
    return datetime(last_day.year, last_day.month, last_day.day, 23, 59, 59, tzinfo=starts.tzinfo)


def make_offer(
    item: MenuItem, covers: str, scope: Scope, label: LocalizedText | None, starts: datetime, currency: str,
    ends: datetime | None = None,
) -> Offer:  # fmt: skip
    """The printable offer, valid from `starts` (aware, the shop's zone), and no longer than until `ends`.

    `scope` tells what `covers` is; a category line prints a product where the catalogue has no categories.
    """
    return Offer(
        id=offer_id(item.id, covers),
        menu_id=item.id,
        benefit=item.benefit,
        scope=scope,
        covers=covers,
        label=label,
        joined=None if len(covered_targets(covers)) < 2 else "together" if item.together else "each",
        activation=item.activation,
        members=item.members,
        min_spend_cents=item.min_spend_cents,
        starts=starts,
        expires=item.ends(starts) if ends is None else min(item.ends(starts), ends),
        currency=currency,
    )


PAIRED_CATEGORIES = 3  # categories of a customer at one percentage that are paired with one another
COMPLAINT_COLUMN = "complaint_recency_days"
PART_COLUMNS = ("target", "base_cents", "base_se_cents", "buy_prob", "bought", "margin_rate", "send_cost_cents")


def pair_menu_item(item: MenuItem) -> MenuItem:
    """The line for two categories that belongs to a line for one."""
    return item.model_copy(update={"id": item.id.replace("category", "pair", 1)})


def list_pairs(valued: pl.DataFrame, items: Sequence[MenuItem], price: float) -> pl.DataFrame:
    """CANDIDATES of the lines `pair_menu_item(item)`, with `parts` for `effects.add_effects`; effects unknown.

    A customer gets one offer: where they answer to discounts on several categories, a coupon on coffee and tea earns
    what the two would earn apart.

    At a price p of a cent of budget the best pair are the two best by gain - p cost, so each customer's three best of a
    line are paired with one another. Both must be open, and known as well as each other.
    """
    lines = {item.id: pair_menu_item(item).id for item in items if item.scope == "category" and item.benefit.percent}
    same = ["customer_id", "menu_id", "kind", "evidence"]
    best = _best(valued, list(lines), same, price)
    other = best.select(*same, *PART_COLUMNS)
    both = best.join(other, on=same, suffix="_2").filter(pl.col("target") < pl.col("target_2"))
    described = both.with_columns(_parts(both), _covers(), *_sums()).with_columns(
        pl.col("menu_id").replace_strict(lines)
    )
    keys = described.select("menu_id", "target").unique()
    ids = pl.Series("offer_id", [offer_id(*key) for key in keys.iter_rows()], dtype=pl.String)
    return described.drop("offer_id").join(keys.with_columns(ids), on=["menu_id", "target"], maintain_order="left")


def _best(valued: pl.DataFrame, lines: list[str], same: list[str], price: float) -> pl.DataFrame:
    """Each customer's best open categories of a line, in order; in a narrow frame, since there are many rows."""
    net = pl.col("gain_cents") - price * pl.col("cost_cents")
    two = pl.col("target").str.contains(CATEGORY_SEPARATOR, literal=True)
    open_ = pl.col("eligible") & pl.col("menu_id").is_in(lines) & ~two & net.is_not_null()
    ranked = valued.with_row_index("row").filter(open_).select("row", *same, "target", net.alias("net"))
    ranked = ranked.sort("net", "target", descending=[True, False])
    top = ranked.group_by(same, maintain_order=True).head(PAIRED_CATEGORIES)["row"]
    wanted = dict.fromkeys([*CANDIDATES.schema, *same, *PART_COLUMNS])
    return valued.select(*wanted)[top].sort("customer_id", "menu_id", "target")


def _covers() -> pl.Expr:
    return pl.concat_str("target", "target_2", separator=CATEGORY_SEPARATOR).alias("target")


def _parts(both: pl.DataFrame) -> pl.Series:
    """The two, as `effects.add_effects` values them; telling costs once. Laid side by side and cut into lists of two,
    since a list of structs row by row takes ten times as long."""
    n = both.height
    first = both.select(PART_COLUMNS)
    second = both.select(
        *(pl.col(f"{name}_2").alias(name) for name in PART_COLUMNS[:-1]),
        (0 * pl.col("send_cost_cents")).alias(PART_COLUMNS[-1]),
    )
    sides = pl.concat([first, second])[np.arange(2 * n).reshape(2, n).T.ravel()]
    return sides.to_struct("parts").reshape((n, 2)).arr.to_list()


def _sums() -> list[pl.Expr]:
    """What is said of both together."""
    base, base_2 = pl.col("base_cents"), pl.col("base_cents_2")
    margin = (base * pl.col("margin_rate") + base_2 * pl.col("margin_rate_2")) / (base + base_2)
    return [
        (base + base_2).alias("base_cents"),
        (pl.col("base_se_cents") ** 2 + pl.col("base_se_cents_2") ** 2).sqrt().alias("base_se_cents"),
        (1 - (1 - pl.col("buy_prob")) * (1 - pl.col("buy_prob_2"))).alias("buy_prob"),
        (pl.col("bought") & pl.col("bought_2")).alias("bought"),
        margin.fill_nan(None).alias("margin_rate"),
    ]


def list_candidates(
    profiles: pl.DataFrame, targets: pl.DataFrame, menu: Sequence[MenuItem], rules: OfferRules, resting: pl.DataFrame,
    kind: str = "category",
) -> pl.DataFrame:  # fmt: skip
    """CANDIDATES without effects: `none` for everybody, then every menu line that could fit.

    `profiles`: customer_id, price_sensitivity, orders_expected, basket_mean_cents, basket_sd_cents, online, where it is
    known complaint_recency_days, and where there are segments `segments`.
    `targets`: customer_id, target, scope, base_cents, base_se_cents, buy_prob, bought, margin_rate.
    `resting`: customer_id, target of what was redeemed within `rest_days`. `kind`: what scope category names in
    `covers`, which is `product` where the catalogue has no categories; no customer's rows say it for others.
    """
    kept, untried = (_top(some, rules.top_targets) for some in (targets, targets.filter(~pl.col("bought"))))
    unknown = {"target": pl.String, "buy_prob": pl.Float64, "margin_rate": pl.Float64}  # a menu may have no target
    none = profiles.select(
        "customer_id", pl.lit("none").alias("menu_id"), pl.lit("none").alias("offer_id"),
        *(pl.lit(None, dtype).alias(name) for name, dtype in unknown.items()),
    )  # fmt: skip
    of_each = [targets if item.covers else untried if item.untried else kept for item in menu]
    parts = [none, *(_rows(item, profiles, some, kind) for item, some in zip(menu, of_each, strict=True))]
    about = (
        "price_sensitivity",
        "orders_expected",
        "basket_mean_cents",
        "basket_sd_cents",
        COMPLAINT_COLUMN,
        "segments",
    )
    people = profiles.select("customer_id", *(name for name in about if name in profiles.columns))
    rows = pl.concat(parts, how="diagonal").join(people, on="customer_id", how="left")
    marked = rows.join(
        resting.select("customer_id", "target").unique().with_columns(resting=pl.lit(True)),
        on=["customer_id", "target"],
        how="left",
    )
    if "margin_rate" in profiles.columns:
        whole = profiles.select("customer_id", own_margin="margin_rate")
        marked = marked.join(whole, on="customer_id", how="left").with_columns(
            pl.coalesce("margin_rate", "own_margin").alias("margin_rate")
        )
    return CANDIDATES.conform(_close(CANDIDATES.conform(marked), menu, rules)).sort("customer_id", "offer_id")


def _top(targets: pl.DataFrame, most: int) -> pl.DataFrame:
    """Each customer's targets of most expected value, by scope."""
    ranked = targets.sort("base_cents", "target", descending=[True, False])
    return ranked.filter(pl.int_range(pl.len()).over("customer_id", "scope") < most)


def _rows(item: MenuItem, profiles: pl.DataFrame, targets: pl.DataFrame, kind: str) -> pl.DataFrame:
    if item.covers:
        rows = _stated(item, profiles, targets, kind if item.scope == "category" else item.scope)
        rows = rows.filter(~pl.col("bought").fill_null(False)) if item.untried else rows
        offer = pl.lit(offer_id(item.id, CATEGORY_SEPARATOR.join(item.covers)))
    elif item.scope == "all":
        rows = profiles.select("customer_id", "online").with_columns(pl.lit("all").alias("scope"))
        offer = pl.lit(offer_id(item.id, ""))
    else:
        rows = targets.filter(pl.col("scope") == item.scope).join(
            profiles.select("customer_id", "online"), on="customer_id"
        )
        ids = {t: offer_id(item.id, t) for t in rows["target"].unique().sort()}
        offer = pl.col("target").replace_strict(ids, default=None, return_dtype=pl.String)
    return rows.with_columns(
        offer.alias("offer_id"),
        pl.lit(item.id).alias("menu_id"),
        pl.lit(item.benefit.type).alias("benefit"),
        pl.lit(item.depth, pl.Float64).alias("depth"),
        pl.lit(item.benefit.amount_cents, pl.Int64).alias("amount_cents"),
        pl.lit(item.min_spend_cents, pl.Int64).alias("min_spend_cents"),
        pl.lit(item.activation).alias("activation"),
        pl.lit(item.supplier_share).alias("supplier_share"),
        pl.lit(item.send_cost_cents).alias("send_cost_cents"),
        (pl.lit(item.online_only) & ~pl.col("online").fill_null(False)).alias("no_online"),
    ).drop("online")


def _stated(item: MenuItem, profiles: pl.DataFrame, targets: pl.DataFrame, kind: str) -> pl.DataFrame:
    """One offer on what a line covers, for everybody: what they are expected to buy of it without an offer.

    Of a category that a customer is not known to buy they are taken to buy nothing; of products nothing is said here.
    """
    who = profiles.select("customer_id", "online")
    base = pl.col("base_cents")
    of_it = targets.filter((pl.col("scope") == item.scope) & pl.col("target").is_in(list(item.covers)))
    known = of_it.group_by("customer_id").agg(
        (base * pl.col("margin_rate")).sum().truediv(base.sum()).fill_nan(None).alias("margin_rate"),
        base.sum(), (pl.col("base_se_cents") ** 2).sum().sqrt(),
        (1 - (1 - pl.col("buy_prob")).product()).alias("buy_prob"), pl.col("bought").any(),
    )  # fmt: skip
    rows = who.join(known, on="customer_id", how="left").with_columns(
        pl.lit(item.scope).alias("scope"), pl.lit(CATEGORY_SEPARATOR.join(item.covers)).alias("target"),
        pl.lit(kind).alias("kind"),
    )  # fmt: skip
    return rows if item.scope == "product" else rows.with_columns(pl.col("buy_prob", "base_cents").fill_null(0.0))


def in_segments(segments: Sequence[str]) -> pl.Expr:
    """Whether the customer of a row belongs to one of these segments."""
    return pl.col("segments").list.set_intersection(pl.lit(list(segments), pl.List(pl.String))).list.len() > 0


def _close(rows: pl.DataFrame, menu: Sequence[MenuItem], rules: OfferRules) -> pl.DataFrame:
    """The first rule that closes an offer to a customer, in the order a shopkeeper would ask."""
    line = pl.col("menu_id")
    members = [
        (
            (line == item.id) & ~in_segments(item.segments).fill_null(False),
            SEGMENTS_ONLY.format(segments=", ".join(item.segments)),
        )
        for item in menu
        if item.segments
    ]
    given = line != "none"
    lately = pl.col(COMPLAINT_COLUMN) < rules.complaint_days
    complained = (
        [(given & lately, gettext_noop("complained lately, in their own words"))]
        if COMPLAINT_COLUMN in rows.columns
        else []
    )
    barred = [item.id for item in menu if set(item.covers) & set(rules.excluded)]
    by_baskets = [item.id for item in menu if item.by_baskets]
    margin_left = pl.col("margin_rate") - pl.col("depth") * (1 - pl.col("supplier_share"))
    reasons: list[tuple[pl.Expr, str]] = [
        (given & in_segments(rules.excluded_segments), gettext_noop("the shop gives no offers to this segment")),
        *complained,
        *members,
        (
            line.is_in(barred) | pl.col("target").is_in(list(rules.excluded)),
            gettext_noop("the shop gives no offers on this"),
        ),
        (margin_left < rules.margin_floor, gettext_noop("the margin left would be below the floor")),
        (pl.col("resting").fill_null(False), gettext_noop("a coupon for it was redeemed lately")),
        (
            pl.col("buy_prob") < rules.min_buy_prob,
            gettext_noop("not plausible: neither bought nor close to what is bought"),
        ),
        (pl.col("no_online").fill_null(False), gettext_noop("no online orders seen")),
        (
            (pl.col("scope") == "all") & (pl.col("min_spend_cents") > 0) & pl.col("basket_mean_cents").is_null(),
            gettext_noop("no order seen to compare the threshold with"),
        ),
        (
            line.is_in(by_baskets) & pl.col("basket_mean_cents").is_null(),
            gettext_noop("no order seen to compare the offer with"),
        ),
    ]
    why = pl.coalesce(*(pl.when(broken.fill_null(False)).then(pl.lit(text)) for broken, text in reasons))
    return rows.with_columns(why.alias("why_not"), why.is_null().alias("eligible")).drop(COMPLAINT_COLUMN, strict=False)
