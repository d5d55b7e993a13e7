"""Convert offers proposed beyond the menu to menu lines and candidate rows for exactly their customers."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from promolift.core.offers.menu import MenuItem, list_candidates
from promolift.core.offers.settings import OfferProposalSettings, OfferRules
from promolift.core.offers.terms import Benefit
from promolift.foundation.errors import InputError
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.tables.contract import Column, Int, Table, Text

PROPOSALS = Table(
    "proposals",
    "One row per customer and offer proposed for them beyond the shop's menu.",
    ("customer_id", "scope", "target", "benefit", "percent", "amount_cents", "min_spend_cents"),
    (
        Column("customer_id", Text, "who", required=True),
        Column("scope", Text, "all, category or product", required=True),
        Column("target", Text, "the category or product it covers; missing for everything"),
        Column("benefit", Text, "percent_off, amount_off or free_shipping", required=True),
        Column("percent", Int, "percent off; 0 for the other benefits", "percent", required=True, low=0, high=100),
        Column("amount_cents", Int, "amount off; 0 for the other benefits", "minor units", required=True, low=0),
        Column("min_spend_cents", Int, "spend it asks for", "minor units", required=True, low=0),
    ),
)
TERM_COLUMNS = ("scope", "benefit", "percent", "amount_cents", "min_spend_cents")


def menu_line_id(
    scope: str, benefit: str, percent: int, amount_cents: int, min_spend_cents: int, valid_days: int
) -> str:
    """A menu id that says its terms, the same for the same terms, such as `pr-category-15-14d`."""
    if benefit == "percent_off":
        head = f"pr-{scope}-{percent}" + (f"-from-{min_spend_cents}" if min_spend_cents else "")
    elif benefit == "amount_off":
        head = f"pr-spend-{min_spend_cents}-save-{amount_cents}"
    else:
        head = f"pr-delivery-{min_spend_cents}"
    return f"{head}-{valid_days}d"


def proposed_menu_items(proposals: pl.DataFrame, menu: Sequence[MenuItem], valid_days: int) -> list[MenuItem]:
    """One menu line for each kind of offer among the proposals, in order of id.

    Who pays, how it is redeemed and what telling costs is as in the first menu line of the same benefit and scope. A
    supplier pays for no other scope than the shop agreed with them; a benefit the menu lacks is none of the shop's
    (InputError).
    """
    PROPOSALS.check(proposals)
    terms = proposals.select(TERM_COLUMNS).unique().sort(TERM_COLUMNS)
    made = [_line(row | {"valid_days": valid_days}, menu) for row in terms.iter_rows(named=True)]
    return sorted(made, key=lambda item: item.id)


def _line(terms: dict[str, Any], menu: Sequence[MenuItem]) -> MenuItem:
    benefit, scope = terms["benefit"], terms["scope"]
    like = [item for item in menu if item.benefit.type == benefit]
    if not like:
        raise InputError(
            "benefit_unknown",
            gettext_lazy(
                "proposals: {benefit} is not on the shop's menu; add a line of it or leave it out", benefit=benefit
            ),
        )
    same = [item for item in like if item.scope == scope]
    item = (same or like)[0]
    return MenuItem(
        id=menu_line_id(**terms),
        benefit=Benefit(type=benefit, percent=terms["percent"], amount_cents=terms["amount_cents"]),
        scope=scope,
        activation=item.activation,
        min_spend_cents=terms["min_spend_cents"],
        valid_days=terms["valid_days"],
        supplier_share=item.supplier_share if same else 0.0,
        send_cost_cents=item.send_cost_cents,
        online_only=item.online_only,
    )


def with_menu_ids(proposals: pl.DataFrame, valid_days: int) -> pl.DataFrame:
    """Proposals with the `menu_id` of each."""
    return proposals.with_columns(
        pl.struct(TERM_COLUMNS)
        .map_elements(lambda row: menu_line_id(**row, valid_days=valid_days), return_dtype=pl.String)
        .alias("menu_id")
    )


class OfferInputs(NamedTuple):
    """Customers, what an offer could be about for each, and what is not offered to them again yet.

    As `list_candidates` takes them.
    """

    profiles: pl.DataFrame
    targets: pl.DataFrame
    resting: pl.DataFrame


class NewLines(NamedTuple):
    """Lines beyond the menu that are worth having: their ids, the price of a cent of budget at which they are, and the
    weakest evidence that a candidate of theirs may have.
    """

    ids: tuple[str, ...]
    price: float
    floor: str


class MenuCandidates(NamedTuple):
    """CANDIDATES rows, the menu lines that they come from, and those of them that were found beyond the menu."""

    rows: pl.DataFrame
    menu: tuple[MenuItem, ...]
    beyond: NewLines | None = None


def propose_candidates(
    proposals: pl.DataFrame, menu: Sequence[MenuItem], people: OfferInputs, rules: OfferRules, valid_days: int
) -> MenuCandidates:
    """The lines and the rows of the proposals, open or closed by the same rules as the menu's.

    A proposal whose terms the menu already has is left to the menu.
    """
    known = {_terms(item) for item in menu}
    items = [item for item in proposed_menu_items(proposals, menu, valid_days) if _terms(item) not in known]
    rows = list_candidates(people.profiles, people.targets, items, rules, people.resting).filter(
        pl.col("menu_id") != "none"
    )
    wanted = with_menu_ids(proposals, valid_days).select("customer_id", "menu_id", "target").unique()
    rows = rows.join(wanted, on=["customer_id", "menu_id", "target"], how="semi", nulls_equal=True)
    return MenuCandidates(rows, tuple(items))


def _terms(item: MenuItem) -> tuple[object, ...]:
    return item.scope, item.benefit, item.min_spend_cents


def grid_lines(settings: OfferProposalSettings, menu: Sequence[MenuItem], scopes: Sequence[str]) -> list[MenuItem]:
    """A menu line for every printable percentage on every scope in `scopes`."""
    terms = [
        {"customer_id": "", "scope": scope, "target": None, "benefit": "percent_off", "percent": percent,
         "amount_cents": 0, "min_spend_cents": 0}
        for scope in scopes
        for percent in settings.print.percents
    ]  # fmt: skip
    return proposed_menu_items(pl.DataFrame(terms, schema=PROPOSALS.schema), menu, settings.valid_days)


def best_rows_per_line(valued: pl.DataFrame, price: float, per_line: int) -> pl.DataFrame:
    """Of valued CANDIDATES the open ones of each customer and line with the largest gain - price x cost.

    One would do if nothing but the budget were short; where a limit closes the best category, the next ones are there.
    """
    net = pl.col("gain_cents") - price * pl.col("cost_cents")
    rows = valued.filter(pl.col("eligible") & (pl.col("offer_id") != "none") & net.is_not_null())
    order = pl.struct(-net, "offer_id").rank("ordinal").over("customer_id", "menu_id")
    return rows.filter(order <= per_line).sort("customer_id", "offer_id")


def select_lines(menu: pl.DataFrame, proposed: pl.DataFrame, price: float, most: int, least_share: float) -> list[str]:
    """At most `most` lines of valued `proposed`, one after the other the one that adds most to what is there already.

    At a price p of a cent of budget a customer's offers are worth the largest gain - p cost, or nothing; a line must
    add at least `least_share` of what the menu's are worth to everybody together. Greedy: within 1 - 1/e of the best
    choice of so many lines, as each adds the less the more there are (Nemhauser, Wolsey & Fisher 1978).
    """
    net = pl.col("gain_cents") - price * pl.col("cost_cents")
    sides = [
        rows.filter(pl.col("eligible") & (pl.col("offer_id") != "none"))
        .with_columns(net.alias("net"))
        .filter(pl.col("net") > 0)
        for rows in (menu, proposed)
    ]
    had = sides[0].group_by("customer_id").agg(pl.col("net").max().alias("had"))
    best = sides[1].group_by("customer_id", "menu_id").agg(pl.col("net").max())
    wide = best.sort("menu_id", "customer_id").pivot("menu_id", index="customer_id", values="net")
    wide = wide.join(had, on="customer_id", how="left").fill_null(0.0)
    names = [name for name in wide.columns if name not in ("customer_id", "had")]
    worth_NL, had_N = wide.select(names).to_numpy(), wide["had"].to_numpy()
    least, chosen = least_share * float(had["had"].sum()), list[str]()
    for _ in range(min(most, len(names))):
        more_L = np.maximum(worth_NL - had_N[:, None], 0.0).sum(axis=0)
        at = int(more_L.argmax())
        if more_L[at] <= least:
            break
        chosen.append(names[at])
        had_N = np.maximum(had_N, worth_NL[:, at])
    return chosen
