"""Allocation: gap, CPU and memory of our method beside linear and integer programming, on the same instances.

    python benchmarks/core/allocate.py [--quick]              # our figures, N = 10,000 to 1,000,000
    python benchmarks/core/allocate.py --peers peers-folder     # HiGHS and PDLP too, in a venv of their own made there
    python benchmarks/core/allocate.py --engine [--quick] [--sizes N] [--workers W]  # by rounds over parts on disk

Prints one JSON object a line. CPU is that of the process (all threads), without reading or making the instance.
`broken` is the largest share by which a limit is missed. Two families: `response` has a concave answer to depth with
a lognormal sensitivity and one in ten customers who loses; `correlated` is Pisinger's strongly correlated family of
the multiple-choice knapsack (Pisinger 1995, European Journal of Operational Research 83(2)).

With `--engine` customers lie on disk in parts of 200,000 and the plan is made as the product makes it, by rounds that
worker processes go through; CPU is that of all processes, their start and compiled kernels' loading included, without
making and laying out the instance. Beside it, up to a million, the same in memory.
"""

import argparse
import json
import pickle
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

OFFERS, CLASSES = 10, 20
PEERS = ("highs-simplex", "highs-ipm", "pdlp")


def instance(family, n, start=0, seed=0):
    """Gain, cost and class of customers `start` to `start + n`; every customer depends on seed and position alone."""
    return MAKERS[family](np.arange(start, start + n, dtype=np.uint64), seed)


def _uniform(key_N, seed, salt):
    from promolift.core.allocation.algorithms import kernels

    return kernels.hash_all(key_N, np.uint64(1_000_003 * seed + salt))


def _normal(key_N, seed, salt):
    radius = np.sqrt(-2 * np.log(1 - _uniform(key_N, seed, salt)))
    return radius * np.cos(2 * np.pi * _uniform(key_N, seed, salt + 1))


def response(key_N, seed):
    depth_K = np.arange(1, OFFERS + 1) / OFFERS / 2
    size_N = np.exp(3 + _normal(key_N, seed, 1))
    eager_N = np.exp(0.7 * _normal(key_N, seed, 3))
    sign_N = np.where(_uniform(key_N, seed, 5) < 0.1, -1.0, 1.0)
    gain_NK = size_N[:, None] * (eager_N[:, None] * (1 - np.exp(-4 * depth_K)) - 0.6 * depth_K)
    gain_NK = np.where(sign_N[:, None] < 0, -np.abs(gain_NK), gain_NK)
    cost_NK = (size_N * (0.3 + 0.3 * _uniform(key_N, seed, 6)))[:, None] * depth_K
    return 100 * gain_NK, 100 * cost_NK, (CLASSES * _uniform(key_N, seed, 7)).astype(np.int32)


def correlated(key_N, seed):
    weight_NK = np.column_stack([1 + np.floor(1000 * _uniform(key_N, seed, 10 + k)) for k in range(OFFERS)])
    cost_NK = np.cumsum(np.sort(weight_NK, axis=1), axis=1)
    gain_NK = cost_NK + 10 * np.arange(1, OFFERS + 1)
    return gain_NK, cost_NK, (CLASSES * _uniform(key_N, seed, 7)).astype(np.int32)


MAKERS = {"response": response, "correlated": correlated}


def fifty(n, budget):
    """Fifty mixed limits: stock, budgets of classes, floors, shares, a return and a cap."""
    from promolift.core.allocation import Limit

    out = [
        Limit(name=f"stock {j}", measure="count", offers=(j,), at_most=int(n * (0.01 + 0.01 * j))) for j in range(10)
    ]
    out += [
        Limit(name=f"class {s}", measure="cost", labels=(s,), at_most=budget / 20 * (0.8 + 0.03 * s)) for s in range(20)
    ]
    out += [
        Limit(name=f"floor {s}", measure="count", labels=(s, s + 1), at_least=int(n / 20 * FLOOR))
        for s in range(0, 20, 4)
    ]
    out += [Limit(name=f"fair {s}", measure="cost_share", labels=(s, s + 10), at_most=0.12) for s in range(10)]
    out += [
        Limit(name=f"band {s}", measure="count_share", labels=tuple(range(5 * s, 5 * s + 5)), at_least=0.2)
        for s in range(3)
    ]
    out += [Limit(name="return", measure="return", at_least=1.001)]
    return [*out, Limit(name="cap", measure="count", offers=(7, 8, 9), at_most=int(n * 0.1))]


FLOOR = 0.02  # of a class: low enough for a small budget in either family


def say(figure, value, n, peer=None, peer_value=None, **detail):
    """One line in the format of all benchmarks, with what else was seen behind it."""
    detail["peak_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    line = {
        "figure": figure, "value": value, "se": None, "unit": "CPU s", "peer": peer, "peer_value": peer_value, "n": n,
        "data": f"made-up instances, {OFFERS} offers",
    } | detail  # fmt: skip
    print(json.dumps({k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in line.items()}), flush=True)


def timed(call):
    cpu, wall = time.process_time(), time.perf_counter()
    value = call()
    return value, time.process_time() - cpu, time.perf_counter() - wall


def broken(gain_NK, cost_NK, label_N, choice_N, budget, limits):
    """Largest share by which budget or a limit is missed, counted anew from the slots."""
    row = np.flatnonzero(choice_N >= 0)
    slot, who = choice_N[row], label_N[row]
    amount = {"count": np.ones(len(row)), "cost": cost_NK[row, slot], "gain": gain_NK[row, slot]}
    worst = max(0.0, amount["cost"].sum() / budget - 1)
    for lim in limits:
        inside = (np.isin(who, lim.labels) if lim.labels else True) & (
            np.isin(slot, lim.offers) if lim.offers else True
        )
        if lim.measure == "return":
            used = amount["gain"].sum() / amount["cost"].sum()
        else:
            column = amount[lim.measure.removesuffix("_share")]
            used = (column * inside).sum() / (column.sum() if lim.measure.endswith("share") else 1.0)
        if lim.at_most is not None:
            worst = max(worst, used / lim.at_most - 1)
        if lim.at_least is not None:
            worst = max(worst, 1 - used / lim.at_least)
    return float(worst) if worst > 1e-12 else 0.0


def ours(family, n, part, many, peers=None):
    from promolift.core.allocation import solve

    gain_NK, cost_NK, label_N = instance(family, n)
    full = solve(gain_NK, cost_NK, 1e300).cost
    budget = part * full
    limits = fifty(n, budget) if many else ()
    plan, cpu, wall = timed(lambda: solve(gain_NK, cost_NK, budget, limits, label_N=label_N if many else None))
    figure = f"allocation, {family}, {part:.0%} of all spend, {len(limits)} limits"
    say(
        figure, cpu, n, wall_s=wall, gap=plan.gap,
        broken=broken(gain_NK, cost_NK, label_N, plan.choice_N, budget, limits), gain=plan.gain, bound=plan.bound,
        moved=plan.moved,
    )  # fmt: skip
    if peers and n <= LARGEST:
        compare(peers, (gain_NK, cost_NK, label_N, budget, limits), plan, cpu, figure)


def compare(peers, problem, plan, cpu, figure):
    """Each peer in a process of its own, on the same problem as a linear programme."""
    from promolift.core.allocation.algorithms.choice import ChoiceRows
    from promolift.core.allocation.algorithms.constraints import compile_constraints
    from promolift.core.allocation.solver import coefficients

    gain_NK, cost_NK, label_N, budget, limits = problem
    i_P, k_P = np.nonzero(gain_NK >= 0)
    rules = compile_constraints(budget, limits, CLASSES, OFFERS)
    coef_MP = coefficients(ChoiceRows.of(gain_NK, cost_NK, label_N=label_N), rules, i_P, k_P)
    m_E, p_E = np.nonzero(coef_MP)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "problem.npz"
        np.savez(file, gain=gain_NK[i_P, k_P], who=i_P, m=m_E, p=p_E, value=coef_MP[m_E, p_E], bound=rules.bound_M)
        del coef_MP, m_E, p_E
        for peer in PEERS if len(gain_NK) <= SIMPLEX else PEERS[1:]:
            command = [str(peers / "bin" / "python"), __file__, "--peer", peer, "--problem", str(file)]
            try:
                done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=True)
                found = json.loads(done.stdout.strip().splitlines()[-1])
            except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as error:
                say(figure, cpu, len(gain_NK), peer, None, failed=type(error).__name__)
                continue
            theirs = {f"peer_{key}": value for key, value in found.items() if key != "cpu_s"}
            times = {"times": found["cpu_s"] / cpu, "objective_to_our_bound": found["objective"] / plan.bound}
            say(figure, cpu, len(gain_NK), peer, found["cpu_s"], **times, **theirs)


TIMEOUT = 3600
LARGEST = 100_000  # customers up to which peers are run at all
SIMPLEX = 20_000  # customers up to which the simplex method is run: at 100,000 it takes ten minutes and more


def peer(name, file):
    """Solve the linear relaxation; prints CPU, objective and the largest relative break of a limit."""
    from scipy.sparse import csc_array

    data = np.load(file)
    customers, pairs, rows = int(data["who"].max()) + 1, len(data["gain"]), len(data["bound"])
    index = np.concatenate([data["who"], customers + data["m"]])
    column = np.concatenate([np.arange(pairs), data["p"]])
    value = np.concatenate([np.ones(pairs), data["value"]])
    matrix = csc_array((value, (index, column)), shape=(customers + rows, pairs))
    upper = np.concatenate([np.ones(customers), data["bound"]])
    (x, objective), cpu, wall = timed(lambda: (pdlp if name == "pdlp" else highs)(name, data["gain"], matrix, upper))
    used = matrix @ x
    flow = abs(matrix[customers:]) @ np.abs(x)
    scale = np.maximum(np.abs(upper[customers:]), 1e-3 * flow)
    miss = float(np.max((used - upper)[customers:] / scale))
    peak = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    found = {"cpu_s": round(cpu, 2), "wall_s": round(wall, 2), "objective": objective, "broken": max(miss, 0.0)}
    print(json.dumps({**found, "peak_mb": peak}))


def highs(name, gain, matrix, upper):
    import highspy

    solver = highspy.Highs()
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("solver", name.removeprefix("highs-"))
    if name == "highs-ipm":
        solver.setOptionValue("run_crossover", "off")
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = len(gain), len(upper)
    lp.col_cost_, lp.col_lower_, lp.col_upper_ = -gain, np.zeros(len(gain)), np.ones(len(gain))
    lp.row_lower_, lp.row_upper_ = np.full(len(upper), -highspy.kHighsInf), upper
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.start_, lp.a_matrix_.index_, lp.a_matrix_.value_ = matrix.indptr, matrix.indices, matrix.data
    solver.passModel(lp)
    solver.run()
    return np.array(solver.getSolution().col_value), -float(solver.getInfo().objective_function_value)


def pdlp(name, gain, matrix, upper):
    from ortools.pdlp import solve_log_pb2, solvers_pb2
    from ortools.pdlp.python import pdlp as library
    from scipy.sparse import csc_matrix

    assert solve_log_pb2
    programme = library.QuadraticProgram()
    programme.resize_and_initialize(len(gain), len(upper))
    programme.objective_vector = -gain
    programme.constraint_matrix = csc_matrix(matrix)
    programme.constraint_lower_bounds, programme.constraint_upper_bounds = np.full(len(upper), -np.inf), upper
    programme.variable_lower_bounds, programme.variable_upper_bounds = np.zeros(len(gain)), np.ones(len(gain))
    wish = solvers_pb2.PrimalDualHybridGradientParams()
    wish.termination_criteria.simple_optimality_criteria.eps_optimal_relative = 1e-4
    wish.termination_criteria.simple_optimality_criteria.eps_optimal_absolute = 1e-4
    wish.num_threads = 1
    result = library.primal_dual_hybrid_gradient(programme, wish)
    return np.asarray(result.primal_solution), float(gain @ np.asarray(result.primal_solution))


def extras(n=1_000_000):
    """The curve beside one solve."""
    from promolift.core.allocation import solve, solve_frontier

    gain_NK, cost_NK, _ = instance("response", n)
    full = solve(gain_NK, cost_NK, 1e300).cost
    _, one, _ = timed(lambda: solve(gain_NK, cost_NK, 0.2 * full))
    _, curve, _ = timed(lambda: solve_frontier(gain_NK, cost_NK))
    say("allocation, curve of 101 budgets", curve, n, "one solve", one)


PART = 200_000  # customers of a part on disk


def laid(job, number, shelf, family, n):
    """Make a part of an instance and lay it out as the plan does; its part of all useful spend at price 0."""
    from promolift.core.allocation.algorithms.choice import ChoiceRows
    from promolift.core.allocation.candidate_table import CandidateMatrices

    start = number * PART
    gain_NK, cost_NK, label_N = instance(family, min(PART, n - start), start)
    keys = np.arange(start, start + len(gain_NK), dtype=np.uint64)
    rows = ChoiceRows.of(gain_NK, cost_NK, label_N=label_N, key_N=keys)
    shelf.put_slots("made", number, CandidateMatrices(rows, np.zeros((len(rows), 0), np.int64)).hashed(0))
    best_N = np.argmax(np.where(gain_NK > 0, gain_NK, 0), axis=1)
    return float(np.where((gain_NK > 0).any(axis=1), cost_NK[np.arange(len(gain_NK)), best_N], 0).sum())


def used_up(job, number, shelf, choice, offers):
    """Cost, count, and gain of what a part's customers got, by class and offer."""
    rows = shelf.get_slots("made", number).rows
    choice_N = choice.of(rows, number)
    at, sums = np.flatnonzero(choice_N >= 0), np.zeros((CLASSES, offers, 3))
    slot = choice_N[at]
    for m, amount in enumerate((rows.cost_NK[at, slot], np.ones(len(at)), rows.gain_NK[at, slot])):
        np.add.at(sums, (rows.label_N[at], slot, m), amount)
    return sums


def missed(sums, budget, limits):
    """Largest share by which budget or a limit is missed, from sums of the chosen slots."""
    every, worst = sums.sum(axis=(0, 1)), sums[:, :, 0].sum() / budget - 1
    for lim in limits:
        mine = sums[list(lim.labels) or slice(None)][:, list(lim.offers) or slice(None)].sum(axis=(0, 1))
        column = {"cost": 0, "count": 1, "gain": 2}.get(lim.measure.removesuffix("_share"))
        if lim.measure == "return":
            amount = mine[2] / mine[0]
        else:
            amount = mine[column] / (every[column] if lim.measure.endswith("share") else 1.0)
        if lim.at_most is not None:
            worst = max(worst, amount / lim.at_most - 1)
        if lim.at_least is not None:
            worst = max(worst, 1 - amount / lim.at_least)
    return float(worst) if worst > 1e-12 else 0.0


class Clocked(NamedTuple):
    """What a task found, its CPU seconds, and the most memory that its process has had, in MiB."""

    found: Any
    cpu_s: float
    peak_mb: float


def clocked(rows, task, given, named):
    start = time.process_time()
    found = task(rows, *given, **named)
    return Clocked(found, time.process_time() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


class ClockedRounds:
    """Rounds with the CPU seconds of each task and the bytes that came back of it."""

    def __init__(self, rounds):
        self.rounds, self.tasks, self.peak_mb = rounds, [], 0.0

    def each(self, task, *given, **named):
        mine = []
        for found in self.rounds.each(clocked, task, given, named):
            mine.append((found.cpu_s, len(pickle.dumps(found.found))))
            self.peak_mb = max(self.peak_mb, found.peak_mb)
            yield found.found
        self.tasks.append(mine)


def spent():
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in both)


def by_rounds(family, n, workers, many, folder, times=None, part=0.2):
    """One plan by rounds over parts on disk."""
    from promolift.core.allocation.algorithms.constraints import compile_constraints
    from promolift.core.allocation.solver import solve_parts
    from promolift.foundation.executors.executor import ExecutorSettings, open_executor
    from promolift.foundation.storage.local_store import Store
    from promolift.shop.pipeline.pipeline import demo_config
    from promolift.shop.pipeline.planning.partitions import PartitionStore, StoredRounds
    from promolift.shop.results.work_folder.run_context import Job

    parts, config = -(-n // PART), demo_config()
    with Store(folder, memory="1GB") as store, store.scratch() as disk:
        shelf = PartitionStore(disk)
        with open_executor(ExecutorSettings(workers=workers)) as engine:
            job = Job(config, store, lambda *_: None, engine=engine)
            budget = part * sum(shelf.each(job, parts, laid, shelf, family, n))
        limits = fifty(n, budget) if many else []
        rules = compile_constraints(budget, limits, CLASSES, OFFERS)
        cpu, wall = spent(), time.perf_counter()
        with open_executor(ExecutorSettings(workers=workers)) as engine:
            rounds = ClockedRounds(
                StoredRounds(Job(config, store, lambda *_: None, engine=engine), shelf, "made", parts)
            )
            plan = solve_parts(rounds, rules)
        cpu, wall = spent() - cpu, time.perf_counter() - wall
        sums = sum(shelf.each(Job(config, store, lambda *_: None), parts, used_up, shelf, plan.choice, OFFERS))
        size = sum(path.stat().st_size for path in disk.folder.rglob("*.npy"))
    every = [each for mine in rounds.tasks for each in mine]
    if times:
        times.write_text(json.dumps({"customers": n, "part": PART, "tasks": rounds.tasks}))
    figure = f"allocation by rounds, {family}, {part:.0%} of all spend, {len(limits)} limits, {workers} processes"
    say(
        figure, cpu, n, wall_s=wall, gap=plan.gap, broken=missed(sums, budget, limits), gain=plan.gain,
        bound=plan.bound, moved=plan.moved, rounds=len(rounds.tasks), parts=parts, disk_mb=size / 1e6,
        worker_peak_mb=rounds.peak_mb, tasks_cpu_s=sum(cpu for cpu, _ in every), back_mb=sum(b for _, b in every) / 1e6,
    )  # fmt: skip


def engine(args):
    """The plan by rounds at each size, beside the same in memory up to a million."""
    for family in args.families:
        for n in [500_000] if args.quick else args.sizes:
            for many in (False, True):
                with tempfile.TemporaryDirectory() as folder:
                    by_rounds(family, n, args.workers, many, folder, args.times)
                if n <= 1_000_000:
                    ours(family, n, 0.2, many)


def warm_up(n=60_000):
    """Compile or load all kernels, so that no figure holds it; says how long it took."""
    from promolift.core.allocation import Limit, solve

    gain_NK, cost_NK, label_N = instance("response", n)
    _, cpu, _ = timed(lambda: solve(gain_NK[:999], cost_NK[:999], 1e5))
    say("allocation, kernels of one budget compiled or loaded", cpu, n)
    cap = [Limit(name="cap", measure="count", labels=(0,), at_most=n // 100)]
    _, cpu, _ = timed(
        lambda: (solve(gain_NK, cost_NK, 1e6, cap, label_N=label_N), solve(gain_NK[:99], cost_NK[:99], 1e3))
    )
    say("allocation, kernels of limits compiled or loaded", cpu, n)


def main():
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--quick", action="store_true", help="10,000 customers, no peers")
    asked.add_argument("--sizes", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    asked.add_argument("--families", nargs="*", default=list(MAKERS))
    asked.add_argument("--extras", action="store_true")
    asked.add_argument("--engine", action="store_true", help="by rounds over parts on disk")
    asked.add_argument("--workers", type=int, default=2)
    asked.add_argument("--times", type=Path, help="where the tasks' times of the last plan are kept, for stragglers.py")
    asked.add_argument("--peers", type=Path)
    asked.add_argument("--peer")
    asked.add_argument("--problem")
    args = asked.parse_args()
    if args.peer:
        return peer(args.peer, args.problem)
    if args.peers and not (args.peers / "bin" / "python").exists():
        subprocess.run([sys.executable, "-m", "venv", str(args.peers)], check=True)
        subprocess.run([str(args.peers / "bin" / "pip"), "install", "-q", "highspy", "ortools", "scipy"], check=True)
    warm_up()
    if args.extras:
        return extras()
    if args.engine:
        return engine(args)
    for family in args.families:
        for n in args.sizes[:1] if args.quick else args.sizes:
            for part in (0.05, 0.2):
                for many in (False, True):
                    ours(family, n, part, many, args.peers if part == 0.2 else None)
    return None


if __name__ == "__main__":
    main()
