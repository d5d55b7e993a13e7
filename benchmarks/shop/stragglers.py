"""Measured tasks of a plan's rounds in; how long the rounds of a large shop take on a cluster with trouble out.

    python benchmarks/core/allocate.py --engine --families response --sizes 1000000 --times times.json
    python benchmarks/shop/stragglers.py [times.json] [--quick] [--customers N] [--nodes N] [--cores N] [--runs N]

Simulated, not measured: every task takes the CPU seconds of a measured one of the same round, times a lognormal factor;
a slow node takes SLOW times as long for all its tasks; a node that is lost is noticed after NOTICED_S, and what it
worked on is done again by others. Tasks are handed out in order by one process, SUBMIT_S each and at most two for each
core ahead of the first that is not done, as the engine does; a round begins when the one before has ended. Prints JSON
lines: figure, value (mean over the runs), se, unit, peer, peer_value, n, data.
"""

import argparse
import heapq
import json
import random
from pathlib import Path
from statistics import fmean, median_low, stdev

AHEAD = 2  # as in extensions/cluster/ray_executor.py
SUBMIT_S = 0.001  # for the process that hands tasks out
NOTICED_S = 30.0  # before a node that does not answer is given up
SPREAD = 0.25  # s.d. of the logarithm of a task's time
SLOW = 4.0


def round_s(tasks_s, speed_N, cores, lost, rng):
    """Seconds of one round: `tasks_s` as on a core of speed 1; node `lost` ends in the middle of it, None for none."""
    free = [(0.0, node) for node in range(len(speed_N)) for _ in range(cores)]
    heapq.heapify(free)
    window, again = AHEAD * len(free), rng.uniform(0, max(tasks_s)) if lost is not None else 0.0
    firsts = []  # until when all tasks up to each are done
    for place, work in enumerate(tasks_s):
        start = max((place + 1) * SUBMIT_S, firsts[place - window] if place >= window else 0.0)
        while True:
            at, node = heapq.heappop(free)
            if node == lost and at >= again:
                continue  # its cores never come back
            begin = max(at, start)
            end = begin + work * speed_N[node] * rng.lognormvariate(0, SPREAD)
            if node == lost and end > again:
                start = max(start, again + NOTICED_S)  # by others, once that is noticed
                continue
            heapq.heappush(free, (end, node))
            break
        firsts.append(max(end, firsts[-1]) if firsts else end)
    return firsts[-1]


def night_s(rounds, parts, nodes, cores, slow, losses, seed):
    """Seconds of all rounds, of which `losses` lose a node, with `slow` slow nodes."""
    rng = random.Random(seed)
    speed_N = [SLOW if node < slow else 1.0 for node in range(nodes)]
    hit = set(rng.sample(range(len(rounds)), losses))
    total = 0.0
    for number, measured in enumerate(rounds):
        tasks_s = [median_low([cpu for cpu, _ in measured])] * parts  # the first of a worker loads what is compiled
        lost = rng.randrange(len(speed_N)) if number in hit else None
        total += round_s(tasks_s, speed_N, cores, lost, rng)
        if lost is not None:
            speed_N.pop(lost)
    return total


def show(figure, values, n, unit="s"):
    se = stdev(values) / len(values) ** 0.5 if len(values) > 1 else None
    line = {"figure": f"rounds of a plan, simulated: {figure}", "value": fmean(values), "se": se, "unit": unit}
    line |= {"peer": None, "peer_value": None, "n": n, "data": "measured tasks, made-up instances"}
    print(json.dumps({k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in line.items()}), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("times", type=Path, nargs="?")
    parser.add_argument("--quick", action="store_true", help="a million customers, two runs")
    parser.add_argument("--customers", type=int, default=100_000_000)
    parser.add_argument("--nodes", type=int, default=50)
    parser.add_argument("--cores", type=int, default=16)
    parser.add_argument("--runs", type=int, default=20)
    asked = parser.parse_args()
    if asked.times is None:
        print(json.dumps({"skipped": "rounds of a plan: give the file that core/allocate.py --engine --times writes"}))
        return
    if asked.quick:
        asked.customers, asked.runs = 1_000_000, 2
    given = json.loads(asked.times.read_text())
    rounds, parts = given["tasks"], -(-asked.customers // given["part"])
    means = [median_low([cpu for cpu, _ in mine]) for mine in rounds]
    show("CPU seconds of all tasks", [parts * sum(means)], asked.customers)
    show("rounds", [float(len(rounds))], asked.customers, "rounds")
    show("handing out tasks, one process", [parts * len(rounds) * SUBMIT_S], asked.customers)
    for figure, slow, losses in (
        ("no trouble", 0, 0), ("one slow node", 1, 0), ("five slow nodes", 5, 0), ("one node lost", 0, 1),
        ("three nodes lost", 0, 3), ("five slow nodes and three lost", 5, 3),
    ):  # fmt: skip
        runs = range(asked.runs)
        nights = [night_s(rounds, parts, asked.nodes, asked.cores, slow, losses, seed) for seed in runs]
        show(f"seconds, {figure}", nights, asked.customers)


if __name__ == "__main__":
    main()
