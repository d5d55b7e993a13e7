"""Past campaigns in; how much more the targeted had spent before, and so why no uplift is claimed from them, out.

A comparison of targeted and other customers would measure who was chosen. Unless they were alike before, the uplift of
a campaign is refused, and this says by how much they differed.
"""

from dataclasses import dataclass

import polars as pl
from duckdb import DuckDBPyRelation

from promolift.sql import DAY_MS, bind, fetch

ALIKE = 0.1  # relative difference in earlier spend up to which a campaign might have been aimed at nobody
SPENT = """
with sent as (select campaign_id, min(start_ms) as start_ms from exposures group by campaign_id),
people as (select customer_id, min(ts_ms) as first_ms from events group by customer_id),
before as (
    select s.campaign_id, e.customer_id, sum(e.revenue_cents) as cents
    from sent s join events e on e.ts_ms < s.start_ms and e.ts_ms >= s.start_ms - $window
    group by all
)
select s.campaign_id, x.customer_id is not null as targeted, count(*) as customers,
    coalesce(sum(b.cents), 0)::bigint as cents
from sent s join people p on p.first_ms < s.start_ms
left join exposures x on x.campaign_id = s.campaign_id and x.customer_id = p.customer_id
left join before b on b.campaign_id = s.campaign_id and b.customer_id = p.customer_id
group by all order by all
"""


@dataclass(frozen=True)
class Targeting:
    """Mean spend in the weeks before a campaign, of the targeted over that of the others; `refusal` None if alike."""

    ratio: float | None
    campaigns: int
    weeks: int
    refusal: str | None


def spent_before(events: DuckDBPyRelation, exposures: DuckDBPyRelation, weeks: int = 8) -> pl.DataFrame:
    """Sums that add over shards: campaign_id, targeted, customers, cents (spent in the `weeks` before its start)."""
    return fetch(events.query("events", bind(SPENT, window=weeks * 7 * DAY_MS)))


def judge_targeting(sums: pl.DataFrame, weeks: int = 8) -> Targeting:
    """Whether past campaigns reached customers like the others; a campaign needs both sorts of customers to count."""
    total = sums.group_by("campaign_id", "targeted").agg(pl.col("customers", "cents").sum())
    wide = total.filter(pl.col("targeted")).join(total.filter(~pl.col("targeted")), on="campaign_id")
    sizes = wide.select("cents", "customers", "cents_right", "customers_right").to_numpy().sum(axis=0)
    if not wide.height or not sizes[2]:
        return Targeting(None, wide.height, weeks, "there is nobody to compare the targeted customers with")
    ratio = float(sizes[0] / sizes[1] / (sizes[2] / sizes[3]))
    told = f"the targeted had spent {ratio:.1f} times as much in the {weeks} weeks before as the others"
    return Targeting(ratio, wide.height, weeks, None if abs(ratio - 1) <= ALIKE else told)
