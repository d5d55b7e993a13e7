"""Decide which customers may get marketing messages, and give the reason where one may not."""

import re

import polars as pl

from promolift.core.customers.reason_text import TOO_YOUNG
from promolift.core.customers.settings import MAX_AGE, ConsentSettings
from promolift.foundation.errors import InputError
from promolift.foundation.i18n.catalogue import gettext_noop
from promolift.foundation.i18n.lazy_message import gettext_lazy

CONSENT_SCHEMA = {"customer_id": pl.String, "may_send": pl.Boolean, "reason": pl.String}
OPTED_OUT_REASON = gettext_noop("the customer refused personal decisions")
BELOW_AGE = re.compile(r"under|below|less|younger|以下|未满|<|≤", re.IGNORECASE)


def may_send(customer_ids: pl.Series, customers: pl.DataFrame, settings: ConsentSettings | None = None) -> pl.DataFrame:
    """One row per distinct id, sorted: customer_id, may_send, reason (null where sending is allowed).

    Who refused personal decisions, by a column `personal`, gets none; the shop's promotions for everybody are no such
    decision. A stated yes or no beats the default. Age is checked after consent, and a band that reaches below the
    minimum counts as below: `15-19` may be a child of 15. An age that is missing or unreadable bars nobody. Raises
    InputError if `customers` lists someone twice, since two answers are no answer.
    """
    rules = settings or ConsentSettings()
    known = customers.select(
        "customer_id",
        consent=pl.col("consent") if "consent" in customers.columns else pl.lit(None, pl.Boolean),
        age=pl.col("age").cast(pl.String) if "age" in customers.columns else pl.lit(None, pl.String),
        personal=personalisation_consent(customers),
    )
    if known["customer_id"].is_duplicated().any():
        raise InputError(
            "rows_duplicate",
            gettext_lazy("customers: a customer_id stands twice; merge the rows before asking for consent"),
        )
    asked = pl.DataFrame({"customer_id": customer_ids.cast(pl.String).unique().drop_nulls().sort()})
    joined = asked.join(known, on="customer_id", how="left").sort("customer_id")
    said = joined.select("consent", "age", "personal").iter_rows()
    reasons = [_barred(consent, age, own, rules) for consent, age, own in said]
    flags = {"may_send": [reason is None for reason in reasons], "reason": reasons}
    return pl.DataFrame({"customer_id": joined["customer_id"], **flags}, schema=CONSENT_SCHEMA)


def personalisation_consent(customers: pl.DataFrame) -> pl.Series:
    """Return by row false where a customer opted out of personal decisions, null where nothing is recorded."""
    if "personal" not in customers.columns:
        return pl.Series("personal", [None] * customers.height, pl.Boolean)
    said = customers["personal"].cast(pl.String).str.to_lowercase().str.strip_chars()
    no, yes = said.is_in(["no", "n", "false", "0", "否", "不"]), said.is_in(["yes", "y", "true", "1", "是"])
    return pl.select(pl.when(no).then(False).when(yes).then(True).alias("personal")).to_series()


def apply_consent_updates(customers: pl.DataFrame, said: pl.DataFrame) -> pl.DataFrame:
    """Return `customers` updated with the consent that the server has recorded since.

    `said` has customer_id, consent and personal (0 no, 1 yes; consent 2 is a yes from a web page, which overrides no
    earlier no). Unknown customers are added.
    """
    new = pl.concat(
        [customers, said.select("customer_id").join(customers, on="customer_id", how="anti")], how="diagonal"
    )
    words = said.select("customer_id", _consent="consent", _personal="personal")
    told, own = pl.col("_consent"), pl.col("consent") if "consent" in new.columns else pl.lit(None, pl.Boolean)
    by_page = pl.when(told == 2).then(pl.coalesce(own, pl.lit(True))).otherwise(told != 0)
    return (
        new.join(words, on="customer_id", how="left", maintain_order="left")
        .with_columns(
            consent=pl.coalesce(by_page, own),
            personal=pl.coalesce(pl.col("_personal") != 0, personalisation_consent(new)),
        )
        .drop("_consent", "_personal")
    )


def lowest_age(text: str | None) -> int | None:
    """The youngest age a text allows: '34' 34, '25-34' 25, '65+' 65, 'under 18' 0, '18岁以下' 0; unreadable: None."""
    numbers = [int(n) for n in re.findall(r"\d+", text or "")]
    if not numbers or max(numbers) > MAX_AGE:
        return None
    return 0 if len(numbers) == 1 and BELOW_AGE.search(text or "") else min(numbers)


def _barred(consent: bool | None, age: str | None, personal: bool | None, rules: ConsentSettings) -> str | None:
    if consent is False:
        return gettext_noop("the customer said no")
    if personal is False:
        return OPTED_OUT_REASON
    if consent is None and not rules.default:
        return gettext_noop("the customer was not asked, and the default is no")
    youngest = lowest_age(age)
    if youngest is not None and youngest < rules.minimum_age:
        return TOO_YOUNG.format(age=rules.minimum_age)
    return None
