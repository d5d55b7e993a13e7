"""Open candidates and a budget in; a trial's release and decisions out: who gets which offer is drawn by lot.

For a shop whose log cannot tell what an offer adds: no offer is planned because of what is assumed of it.
"""

import polars as pl

from promolift import deliver

STEP = 0.95  # the share of draws shrinks by this factor until what was drawn keeps the budget


def drawn(
    valued: pl.DataFrame,
    free: pl.DataFrame,
    consent: pl.DataFrame,
    release: deliver.Release,
    asof_ms: int,
    budget_cents: int,
) -> tuple[deliver.Release, pl.DataFrame]:
    """`free` are the open candidates of those who may get an offer. With one chance for all of them a customer draws
    evenly from his open offers and none; nobody else gets one.

    The chance is the largest at which the expected cost of the draws, and that of the offers drawn, keep the budget;
    it stands in the release (`explore`) and in every record, so that what was drawn can be judged afterwards.
    """
    mine = free.group_by("customer_id").agg(pl.col("cost_cents").sum() / (pl.len() + 1))
    even = float(mine["cost_cents"].sum())
    best = (
        free.filter((pl.col("gain_cents") > 0) & (pl.col("cost_cents") > 0))
        .select((pl.col("gain_cents") / pl.col("cost_cents")).max())
        .item()
    )
    share = min(1.0, budget_cents / even) if even > 0 else 1.0
    terms = release.model_copy(update={"policy_id": "trial", "price": 2 * (best or 0.0)})
    while True:
        terms = terms.model_copy(update={"explore": share if share > 1e-6 else 0.0})
        decisions = deliver.decide(valued, consent, terms, asof_ms)
        key = ["customer_id", "offer_id"]
        cost = free.join(decisions.select(key), on=key, how="semi")["cost_cents"].sum()
        if cost <= budget_cents or not terms.explore:
            return terms, decisions
        share *= STEP
