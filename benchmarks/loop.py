"""The closed loop on simulated shops beside the best that full knowledge could do: one JSON object per line.

    python benchmarks/loop.py            # 20 shops of 4,000 customers, 60 days
    python benchmarks/loop.py --quick    # 4 shops of 2,000 customers

Everything here is simulated. `share` is what the decisions add in truth over what the best decisions at the same true
spend would; `covered` is the share of releases whose off-policy 95 % interval, made before the release, holds what the
release then added per decision, in truth.
"""

import argparse
import json
import resource
from dataclasses import replace

import numpy as np

from promolift.allocate import solve
from promolift.results.loop import LoopSettings
from promolift.simulate import SimulationSettings
from promolift.simulate.truth import true_effects
from promolift.simulate.world import World
from promolift.steps.loop import Day, Loop, Release, run_loop
from promolift.steps.loop_model import Cohort, shelf_of
from promolift.steps.loop_words import against


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer and smaller shops")
    quick = parser.parse_args().quick
    seeds, customers = (4, 2000) if quick else (20, 4000)
    loops = [run_loop(LoopSettings(seed=seed, customers=customers)) for seed in range(1, seeds + 1)]
    data = f"simulated shop, {customers} customers, 60 days, drift x {loops[0].settings.drift} on day 36"
    told = {"n": seeds, "data": data}
    for name, first, last in (
        ("exploration, days 0 to 13", 0, 13),
        ("days 24 to 30", 24, 30),
        ("after the drift, days 36 to 43", 36, 43),
        ("recovered, days 50 to 59", 50, 59),
    ):
        shares = [share(loop, first, last) for loop in loops]
        say(
            figure=f"gain over the best possible at equal spend: {name}",
            **mean(shares),
            peer="best possible",
            peer_value=1.0,
            **told,
        )
    shares = [share(loop, 24, 30) for loop in loops]
    alike = [everybody_alike(loop, 24, 30) for loop in loops]
    lead = np.array(shares) - np.array(alike)
    say(
        figure="days 24 to 30: lead over a plan that takes everybody's response for the same, equal spend",
        **mean(lead.tolist()),
        peer="the same response for everybody",
        peer_value=float(np.mean(alike)),
        **told,
    )
    say(
        figure="shops in which days 24 to 30 reach 90 % of the best possible",
        value=float(np.mean(np.array(shares) >= 0.9)),
        se=None,
        unit="share",
        peer="aim",
        peer_value=1.0,
        **told,
    )
    held = [hit for loop in loops for hit in covered(loop)]
    say(
        figure="releases whose off-policy interval holds the value then realised",
        **mean(held),
        peer="nominal",
        peer_value=0.95,
        **(told | {"n": len(held)}),
    )
    calm = [hit for loop in loops for hit in covered(loop, calm=True)]
    say(
        figure="the same, releases whose days saw no drift",
        **mean(calm),
        peer="nominal",
        peer_value=0.95,
        **(told | {"n": len(calm)}),
    )
    words = [against(loop.told) for loop in loops]
    for name, peer in (("over wordings drawn evenly", "even"), ("of the best wording for all from day one", "best")):
        gain = [w["chosen"] / w[peer] - (peer == "even") for w in words]
        figure = f"clicks a message in truth, wordings learnt by Thompson sampling: {name}"
        say(figure=figure, **mean(gain), peer=peer, peer_value=float(np.mean([w[peer] for w in words])), **told)
    lags = [alarm.day - 36 for loop in loops for alarm in loop.alarms[:1]]
    say(
        figure="days from the drift to the alarm",
        value=float(np.mean(lags)) if lags else None,
        se=None,
        unit="days",
        peer="soonest possible: a week is known after 7 days",
        peer_value=7,
        **(told | {"n": len(lags)}),
    )
    false = sum(alarm.day < 43 for loop in loops for alarm in loop.alarms)
    say(
        figure="alarms before the drift could be seen",
        value=false,
        se=None,
        unit="alarms",
        peer="",
        peer_value=None,
        **told,
    )
    cpu = resource.getrusage(resource.RUSAGE_SELF)
    say(
        figure="CPU of one loop",
        value=(cpu.ru_utime + cpu.ru_stime) / seeds,
        se=None,
        unit="CPU s",
        peer="",
        peer_value=None,
        **told,
    )


def share(loop: Loop, first: int, last: int) -> float:
    days = [day for day in loop.days if first <= day.day <= last]
    return sum(day.true_gain for day in days) / sum(day.best_gain for day in days)


def everybody_alike(loop: Loop, first: int, last: int) -> float:
    """Share of the best possible that a plan with one response for all reaches, its true spend made equal each day."""
    won = best = 0.0
    s, shop = (
        loop.settings,
        SimulationSettings(
            customers=loop.settings.customers, weeks=loop.settings.history_weeks, seed=loop.settings.seed
        ),
    )
    for day in (d for d in loop.days if first <= d.day <= last):
        believed = next(r for r in loop.releases if r.version == day.version).believed
        alike = replace(believed, response_N=np.full_like(believed.response_N, believed.response_N.mean()))
        mine = Cohort(day.cohort.number_N[~day.held_N], day.cohort.week)
        world = World(shop, mine.number_N)
        gain, cost, _ = alike.offers(mine, shelf_of(world, mine.week), s.depths)
        true_gain, true_cost = true_effects(world, s.depths, mine.week)
        low, high = 0.0, 20 * day.true_spend
        for _ in range(20):
            budget = (low + high) / 2
            choice = solve(gain, cost, budget).choice_N
            rows = np.flatnonzero(choice >= 0)
            spent = float(true_cost[rows, choice[rows]].sum())
            low, high = (low, budget) if spent > day.true_spend else (budget, high)
        won += float(true_gain[rows, choice[rows]].sum())
        best += day.best_gain
    return won / best


def covered(loop: Loop, calm: bool = False) -> list[bool]:
    return [inside(release, days) for release, days in released(loop) if not (calm and any(d.day >= 36 for d in days))]


def released(loop: Loop) -> list[tuple[Release, list[Day]]]:
    pairs = [(r, [d for d in loop.days if d.version == r.version]) for r in loop.releases if r.proposal]
    return [(release, days) for release, days in pairs if days]


def inside(release: Release, days: list[Day]) -> bool:
    assert release.proposal is not None
    low, high = release.proposal.value.interval
    return low <= sum(d.true_gain for d in days) / sum(len(d.action_N) for d in days) <= high


def mean(values: list[float] | list[bool]) -> dict[str, float | str]:
    found = np.array(values, dtype=float)
    return {"value": float(found.mean()), "se": float(found.std(ddof=1) / np.sqrt(found.size)), "unit": "share"}


def say(**figure: object) -> None:
    print(json.dumps({k: round(v, 4) if isinstance(v, float) else v for k, v in figure.items()}), flush=True)


if __name__ == "__main__":
    main()
