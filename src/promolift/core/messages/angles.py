"""Find the true reasons (angles) for an offer to a customer, and decide which may be mentioned.

An angle is one reason why this offer is for this customer. `ANGLES` says of each what a text may claim and what it may
never say; `add_angles` asks the table's condition of many rows at once, `find_live_angle` of the events of the last
minutes. The same row gives the reason in the plan, the report and the message. Price sensitivity, deal share, income,
age, household and children choose offers; they never reach a prompt, `CustomerFacts` or a text: a bystander may read a
lock screen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple, get_args

import polars as pl

from promolift.core.offers.product_names import NameKind, is_sensitive, load_toml
from promolift.core.offers.terms import covered_targets
from promolift.foundation.errors import InputError
from promolift.foundation.i18n.catalogue import gettext, gettext_noop
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.localized_text import CATEGORY_SEPARATOR, LocalizedText
from promolift.foundation.settings import Settings
from promolift.foundation.time.clock import DAY_MS, HOUR_MS

Angle = Literal[
    "just_bought", "viewed_not_bought", "cart_left", "replenish_due", "pair_you_buy", "favourite", "lapsed_category",
    "win_back", "loyalty_thanks", "coupon_returner", "first_coupon", "basket_nudge", "try_new", "generic",
    "remind_bought", "remind",
]  # fmt: skip
ANGLES: tuple[Angle, ...] = get_args(Angle)
REMINDER_ANGLES = frozenset[Angle](("remind_bought", "remind"))  # of reminders alone, which have no other
JUST_DAYS, CART_HOURS, VIEW_DAYS, RETURNER_DAYS = 3, 72, 14, 60
PAIR_DAYS = 60  # since the half that was bought longer ago: a pair is no longer usual after that


class AngleRule(Settings):
    """What an angle is called, what its texts may claim and never say, and the fields that entail what they claim: the
    columns that its condition reads."""

    label: LocalizedText
    fields: tuple[str, ...]
    may: LocalizedText
    never: LocalizedText


ANGLE_RULES: dict[Angle, AngleRule] = {
    angle: AngleRule(**rule)  # type: ignore[misc]
    for angle, rule in load_toml("messages/angles.toml").items()
}
EVENT_REASONS = {
    "cart_left": gettext_noop("left {name} in the cart"),
    "viewed_not_bought": gettext_noop("looked at {name} and did not buy it"),
    "just_bought": gettext_noop("just bought {bought}"),
    "first_coupon": gettext_noop("never got an offer before"),
    "coupon_returner": gettext_noop("used an offer in the last 60 days"),
}
_ORDER = tuple(angle for angle in ANGLE_RULES if angle not in ("generic", *REMINDER_ANGLES))


@dataclass(frozen=True)
class AngleFacts:
    """What a text may state about the customer besides the offer. A fact that is not here may not be mentioned.

    `name` is the recipient's, `bought` what they just bought, `angle` the reason. `private` are facts of their profile
    that must not appear. `sent` is the moment of sending: without it no text may count days. `lowest` is the lowest
    price of the last 30 days in minor units, where a rule pack asks for it. `reason` is the sentence with which the
    shop's own play begins, in the language of the message.
    """

    name: str | None = None
    bought: tuple[LocalizedText, ...] = ()
    angle: Angle = "generic"
    private: tuple[str, ...] = ()
    sent: datetime | None = None
    lowest: int | None = None
    reason: str | None = None

    def __post_init__(self) -> None:
        """Raise InputError if `sent` has no time zone."""
        if self.sent and self.sent.tzinfo is None:
            raise InputError(
                "timezone_missing",
                gettext_lazy("message: sent = {sent} has no time zone; pass an aware datetime", sent=self.sent),
            )


def add_angles(rows: pl.DataFrame) -> pl.DataFrame:
    """`rows` with `angle` (the first that fits), `angles` (all that fit) and `angle_until_ms`: the last moment
    at which the angle is true if nothing happens, its first day at the earliest; null where time alone never ends it.

    One row per customer and offer. Columns that are missing or null fit nothing: scope, target, bought_key, bought_ms,
    view_ms, cart_ms, asof_ms, personal (false: refused), orders, gap_days, due_in_days, pair_orders (of the half bought
    less), pair_recency_days (of the half bought longer ago), top_category_1..3, recency_days, cadence_days,
    tenure_days, orders_total, redemption_recency_days, exposures_total, basket_median_cents, basket_p90_cents,
    min_spend_cents, bought (flag).
    """
    known = rows.with_columns(pl.lit(None, dtype).alias(n) for n, dtype in _COLUMNS.items() if n not in rows.columns)
    fits = {angle: condition.fill_null(False) for angle, condition in _CONDITIONS.items()}
    private = [_private(*row) for row in known.select("target", "kind", "within").iter_rows()]
    named = [
        _private(key, "product", within) for key, within in known.select("bought_key", "bought_within").iter_rows()
    ]
    open_ = ~pl.Series("private", private, dtype=pl.Boolean) & (known["personal"].fill_null(True))
    told = known.with_columns(
        open_.alias("_open"), ~pl.Series("named", named, dtype=pl.Boolean).alias("_nameable")
    ).with_columns(
        (fits[angle] & pl.col("_open") & (pl.col("_nameable") if angle == "just_bought" else True)).alias(f"_{angle}")
        for angle in _ORDER
    )
    every = pl.concat_list([pl.when(pl.col(f"_{angle}")).then(pl.lit(angle)) for angle in _ORDER]).list.drop_nulls()
    first = pl.coalesce([pl.when(pl.col(f"_{angle}")).then(pl.lit(angle)) for angle in _ORDER] + [pl.lit("generic")])
    found = told.select(first.alias("angle"), every.alias("angles"), "asof_ms", *_ENDS_MS)
    until = pl.coalesce(pl.when(pl.col("angle") == angle).then(end) for angle, end in _ANGLE_END.items())
    until = pl.when(until < _FIRST_DAY_MS).then(_FIRST_DAY_MS).otherwise(until).floor()
    return rows.with_columns(found.select("angle", "angles", angle_until_ms=until.cast(pl.Int64)))


_DAYS = (pl.col("asof_ms") - pl.col("bought_ms")) / DAY_MS
_VIEWED = (pl.col("asof_ms") - pl.col("view_ms")) / HOUR_MS
_CART = (pl.col("asof_ms") - pl.col("cart_ms")) / HOUR_MS
_REGULAR = (pl.col("orders") >= 3) & pl.col("gap_days").is_between(2, 90)
_TOPS = pl.any_horizontal(pl.col(f"top_category_{k}") == pl.col("target") for k in (1, 2, 3))
_COLUMNS: dict[str, Any] = {
    "target": pl.String, "kind": pl.String, "within": pl.String, "scope": pl.String, "bought_key": pl.String,
    "bought_within": pl.String, "personal": pl.Boolean, "bought": pl.Boolean,
    **dict.fromkeys(("top_category_1", "top_category_2", "top_category_3"), pl.String),
    **dict.fromkeys(
        ("bought_ms", "view_ms", "cart_ms", "asof_ms", "orders", "orders_total", "exposures_total", "pair_orders",
         "pair_recency_days", "basket_median_cents", "basket_p90_cents", "min_spend_cents", "gap_days", "due_in_days",
         "recency_days", "cadence_days", "tenure_days", "redemption_recency_days"), pl.Float64,
    ),
}  # fmt: skip
_CONDITIONS: dict[Angle, pl.Expr] = {
    # of a whole basket one good says little about the next offer, so a plan names it for an offer on one product alone
    "just_bought": (_DAYS >= 0) & (_DAYS < JUST_DAYS) & (pl.col("scope") == "product")
    & (pl.col("bought_key") != pl.col("target")),
    "viewed_not_bought": (_VIEWED >= 1) & (_VIEWED <= 24 * VIEW_DAYS),
    "cart_left": (_CART >= 1) & (_CART <= CART_HOURS),
    "replenish_due": _REGULAR
    & pl.col("due_in_days").is_between(-pl.col("gap_days"), pl.max_horizontal(pl.lit(2.0), pl.col("gap_days") / 4)),
    "pair_you_buy": pl.col("target").str.contains(CATEGORY_SEPARATOR, literal=True) & (pl.col("pair_orders") >= 3)
    & (pl.col("pair_recency_days") <= PAIR_DAYS),
    "favourite": _TOPS & pl.col("bought"),
    "lapsed_category": (pl.col("orders") >= 3) & (pl.col("due_in_days") < -pl.col("gap_days")),
    "win_back": pl.col("recency_days") > pl.max_horizontal(pl.lit(30.0), 3 * pl.col("cadence_days")),
    "loyalty_thanks": (pl.col("tenure_days") >= 365) & (pl.col("orders_total") >= 50),
    "coupon_returner": pl.col("redemption_recency_days") <= RETURNER_DAYS,
    "first_coupon": pl.col("exposures_total") == 0,
    "basket_nudge": (pl.col("min_spend_cents") > pl.col("basket_median_cents"))
    & (pl.col("min_spend_cents") <= pl.col("basket_p90_cents")),
    "try_new": pl.col("target").is_not_null() & (pl.col("bought") == False),  # noqa: E712 - null is no answer
}  # fmt: skip


# When time alone makes an angle untrue, and which purchases do: any, or one of what the offer is on.
_ENDS_MS = ("bought_ms", "view_ms", "cart_ms", "due_in_days", "gap_days", "redemption_recency_days")
_ANGLE_END: dict[Angle, pl.Expr] = {
    "just_bought": pl.col("bought_ms") + JUST_DAYS * DAY_MS - 1,
    "viewed_not_bought": pl.col("view_ms") + VIEW_DAYS * DAY_MS,
    "cart_left": pl.col("cart_ms") + CART_HOURS * HOUR_MS,
    "replenish_due": pl.col("asof_ms") + (pl.col("due_in_days") + pl.col("gap_days")) * DAY_MS,
    "coupon_returner": pl.col("asof_ms") + (RETURNER_DAYS - pl.col("redemption_recency_days")) * DAY_MS,
}
_FIRST_DAY_MS = pl.col("asof_ms") + DAY_MS - 1  # on which the plan's messages go out
_ENDED_BY_PURCHASE = frozenset[Angle](("win_back", "first_coupon"))
_ENDED_BY_TARGET = frozenset[Angle](("viewed_not_bought", "cart_left", "replenish_due", "lapsed_category", "try_new"))


def angle_holds(angle: Angle, until_ms: int | None, now_ms: int, bought: bool, bought_target: bool) -> bool:
    """Whether the angle of a plan is still true at a moment, if the customer has bought something since, or something
    of what the offer is on.
    """
    if until_ms is not None and now_ms > until_ms:
        return False
    return not ((bought and angle in _ENDED_BY_PURCHASE) or (bought_target and angle in _ENDED_BY_TARGET))


def _private(key: str | None, kind: str | None, within: str | None) -> bool:
    """Whether a category, a product or the category it is in must not be named by itself."""
    named: NameKind = "product" if kind == "product" else "category"
    return bool(key and is_sensitive(key, named)) or bool(within and is_sensitive(within))


class SeenItem(NamedTuple):
    """A product or category a customer met, as it is keyed, its category, and the moment."""

    key: str | None
    category: str | None
    ts_ms: int


class LiveReason(NamedTuple):
    """The angle of the last minutes, and what was bought where that is said."""

    angle: Angle
    bought: SeenItem | None = None


def find_live_angle(
    targets: Sequence[str],
    bought: Sequence[SeenItem],
    viewed: Sequence[SeenItem],
    cart: Sequence[SeenItem],
    now_ms: int,
) -> LiveReason | None:
    """The reason that a customer's own events of the last minutes give for an offer on `targets`; None for none.

    Each sequence in order of time. Just bought counts at once; the cart and what was looked at if the offered thing was
    not bought since. The purchase named is the last one that may be named and is not itself on offer.
    """
    offered = set(targets)
    had = {name for seen in bought for name in (seen.key, seen.category) if name}
    for seen in reversed(bought):
        mine = {name for name in (seen.key, seen.category) if name}
        fresh = 0 <= now_ms - seen.ts_ms < JUST_DAYS * DAY_MS
        if seen.key and fresh and not mine & offered and not _private(seen.key, "product", seen.category):
            return LiveReason("just_bought", seen)
    for angle, several in (("cart_left", cart), ("viewed_not_bought", viewed)):
        met = {name for seen in several for name in (seen.key, seen.category) if name}
        if met & offered and not offered & had:
            return LiveReason(angle)  # type: ignore[arg-type]
    return None


def may_give_reason(target: str | None, kind: str, within: str | None = None, personal: bool | None = None) -> bool:
    """Whether an offer may have a reason: not on a private matter, nor for one who refused personal decisions."""
    return personal is not False and not any(_private(part, kind, within) for part in covered_targets(target))


def event_reason(angle: str | None, name: str, bought: str | None = None) -> str | None:
    """What just happened, for people of the shop in their language; None where the angle is no event."""
    message = EVENT_REASONS.get(angle or "")
    return gettext(message, name=name, bought=bought) if message else None
