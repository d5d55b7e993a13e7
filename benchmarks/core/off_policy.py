"""Logs in; how far each estimate of another policy's value is from the truth, beside obp's on the same logs, out.

    python benchmarks/core/off_policy.py [--quick] [--data FOLDER] [--peers PYTHON] [--only PART ...]

Prints JSON lines: figure, value, se, unit, peer, peer_value, n, data. PYTHON is the interpreter of an environment with
`pip install sb-obp 'numpy<2'`; it runs off_policy_peers.py, which says exactly what is simulated, and keeps one npz a
log in FOLDER. Without --peers the logs already in FOLDER are used, and a part whose logs are absent says so.

Parts: `synthetic` (obp's SyntheticBanditDataset; 20 seeds as obp's own example, and more for a smaller standard error),
`coverage` (500 logs of our own simulation), `obd` (the small Open Bandit Dataset inside obp).
"""

import argparse
import json
import subprocess
import time
from pathlib import Path

import numpy as np
from scipy.special import expit, softmax

from promolift.core.experiments.off_policy.estimators import OffPolicySettings, off_policy_value

PEER = "obp"
HERE = Path(__file__).parent


def tell(figure: str, value: float | None, **rest: object) -> None:
    line = {"figure": figure, "value": value, "se": None, "unit": "", "peer": None, "peer_value": None, "n": None}
    print(json.dumps(line | rest, default=float), flush=True)


def made(given: argparse.Namespace, *arguments: str) -> None:
    """Let the peers make what is missing."""
    if given.peers:
        subprocess.run(
            [given.peers, HERE / "off_policy_peers.py", arguments[0], given.data, *arguments[1:]], check=True
        )


def synthetic(given: argparse.Namespace) -> None:
    """Relative error of the chosen estimate and coverage of its interval, beside every estimator of obp."""
    for rows in (1_000,) if given.quick else (1_000, 10_000):
        for beta in (-3, -1):
            made(given, "synthetic", "--rows", f"{rows}", "--beta", f"{beta}", "--seeds", f"{given.seeds}")
            paths = [given.data / f"synthetic_{rows}_{beta}_{seed}.npz" for seed in range(given.seeds)]
            paths = [path for path in paths if path.exists()]
            if not paths:
                tell("skipped: no logs of obp; give --peers", None, data=f"synthetic {rows} {beta}")
                continue
            one_setting([dict(np.load(path)) for path in paths], f"obp synthetic, beta {beta}, {rows} rows")


def one_setting(logs: list[dict], data: str) -> None:
    found, start = [], time.process_time()
    for log in logs:
        found.append(
            off_policy_value(log["action"], log["reward"], log["logging"], log["policy"], context_NF=log["context"])
        )
    cpu = (time.process_time() - start) / len(logs)
    truth = np.array([float(log["truth"]) for log in logs])
    everyone = np.array([float(log["truth_all"]) for log in logs])
    ours = np.abs(np.array([value.value for value in found]) / truth - 1)
    peers = np.abs(np.array([log["values"] for log in logs]) / truth[:, None] - 1)
    names = [str(name) for name in logs[0]["names"]]
    best = int(peers.mean(axis=0).argmin())
    for count in sorted({min(20, len(logs)), len(logs)}):
        part = slice(0, count)
        for name, column in zip(names, peers.T, strict=True):
            tell(
                "relative error", ours[part].mean(), se=spread(ours[part]), peer=f"{PEER} {name}",
                peer_value=column[part].mean(), peer_se=spread(column[part]),
                difference=(ours - column)[part].mean(), difference_se=spread((ours - column)[part]),
                unit="|estimate / truth - 1|", n=count, data=data, best=names[best],
            )  # fmt: skip
        inside = [v.low <= t <= v.high for v, t in zip(found[part], everyone[part], strict=True)]
        same = [v.low <= t <= v.high for v, t in zip(found[part], truth[part], strict=True)]
        tell("95% interval holds the value over all customers", np.mean(inside), se=spread(inside), n=count, data=data)
        tell(
            "95% interval holds the value over the log's own customers",
            np.mean(same),
            se=spread(same),
            n=count,
            data=data,
        )
    each = {e.name: np.abs([v.estimates[i].value for v in found] / truth - 1) for i, e in enumerate(found[0].estimates)}
    for name, errors in each.items():
        tell(
            f"relative error of {name}",
            errors.mean(),
            se=spread(errors),
            unit="|estimate / truth - 1|",
            n=len(logs),
            data=data,
        )
    floor = np.abs([oracle(log) / t - 1 for log, t in zip(logs, truth, strict=True)])
    tell("relative error of dr given the true reward function", floor.mean(), se=spread(floor), n=len(logs), data=data)
    tell("the same", floor[:20].mean(), se=spread(floor[:20]), n=min(20, len(logs)), data=data)
    peer_cpu = np.mean([float(log["cpu"]) for log in logs])
    tell(
        "time of one log",
        cpu,
        unit="CPU s",
        peer=f"{PEER}, all estimators",
        peer_value=peer_cpu,
        n=len(logs),
        data=data,
    )


def oracle(log: dict) -> float:
    """Doubly robust with the reward function the data were made with: what no fitted model can be expected to beat."""
    rows, action = np.arange(len(log["action"])), log["action"]
    weight = log["policy"][rows, action] / log["prob"]
    miss = weight * (log["reward"] - log["expected"][rows, action])
    return float(((log["policy"] * log["expected"]).sum(axis=1) + miss).mean())


def simulated(rows: int, seed: int, amounts: bool = False) -> dict:
    """Our own log: 10 offers, 5 features, logged chances softmax(-2 q), the policy softmax(4 q), logistic rewards.

    With `amounts` a reward is what was spent: nothing for most, else log-normal with a long tail.
    """
    truth = np.random.default_rng(1)
    slope, level = truth.normal(size=(5, 10)) / 2, truth.normal(size=10) / 2 - 0.5
    generator = np.random.default_rng(seed)
    context = generator.normal(size=(rows, 5))
    expected = expit(level + context @ slope)
    logging, policy = softmax(-2 * expected, axis=1), softmax(4 * expected, axis=1)
    action = np.minimum((generator.random((rows, 1)) > np.cumsum(logging, axis=1)).sum(axis=1), 9)
    reward = (generator.random(rows) < expected[np.arange(rows), action]).astype(np.float64)
    if amounts:
        reward *= generator.lognormal(2.5, 1.0, rows)
        expected = expected * np.exp(3.0)
    value = float((policy * expected).sum(axis=1).mean())
    return {
        "action": action,
        "reward": reward,
        "logging": logging,
        "policy": policy,
        "context": context,
        "truth": value,
    }


def coverage(given: argparse.Namespace) -> None:
    """How often 95% intervals hold the value over all customers, in logs of our own."""
    runs, rows = (40, 2_000) if given.quick else (500, 10_000)
    for amounts in (False, True):
        truth = np.mean([simulated(1_000_000, 10**6 + i, amounts)["truth"] for i in range(1 if given.quick else 4)])
        held, width, errors = [], [], []
        for seed in range(runs):
            log = simulated(rows, seed, amounts)
            value = off_policy_value(
                log["action"], log["reward"], log["logging"], log["policy"], context_NF=log["context"]
            )
            held.append([value.low <= truth <= value.high, *(e.low <= truth <= e.high for e in value.estimates)])
            width.append((value.high - value.low) / truth)
            errors.append(abs(value.value / log["truth"] - 1))
        names = ["the printed interval", *(f"the normal interval of {e.name}" for e in value.estimates)]
        data = f"own simulation, {'amounts' if amounts else 'clicks'}, {rows} rows"
        for name, column in zip(names, np.array(held).T, strict=True):
            tell(f"coverage of {name}", column.mean(), se=spread(column), unit="share of logs", n=runs, data=data)
        tell("width of the interval", np.mean(width), se=spread(width), unit="of the value", n=runs, data=data)
        tell("relative error", np.mean(errors), se=spread(errors), n=runs, data=data)


def obd(given: argparse.Namespace) -> None:
    """What the Bernoulli TS policy earns, from logs of the uniformly random one; the policy goes by place and item."""
    made(given, "obd")
    for campaign in ("all", "men", "women"):
        path = given.data / f"obd_{campaign}.npz"
        if not path.exists():
            tell("skipped: no logs of obp; give --peers", None, data=f"Open Bandit Dataset (small), {campaign}")
            continue
        log = dict(np.load(path))
        policy = log["table"].T[log["place"]]
        context = np.column_stack([np.eye(3)[log["place"]][:, :2], log["context"].astype(np.float64)])
        settings = OffPolicySettings(interval="bootstrap")
        value = off_policy_value(
            log["action"], log["reward"], log["prob"], policy / policy.sum(axis=1, keepdims=True),
            context_NF=context, settings=settings,
        )  # fmt: skip
        truth, peers = log["online"].mean(), dict(zip(log["names"].tolist(), log["values"].tolist(), strict=True))
        data = f"Open Bandit Dataset (small), {campaign}; {int(log['reward'].sum())} clicks logged"
        shown = {"the chosen estimate": (value.value, value.low, value.high)}
        shown |= {e.name: (e.value, e.low, e.high) for e in value.estimates}
        same = {"ips": "ipw", "snips": "snipw"}
        for name, (mean, low, high) in shown.items():
            peer = same.get(name, name)
            theirs = abs(peers[peer] / truth - 1) if peer in peers else None
            tell(
                f"relative error of {name}", abs(mean / truth - 1), unit="|estimate / online mean - 1|", interval=[low, high],
                online=truth, online_se=spread(log["online"]), peer=f"{PEER} {peer}" if theirs is not None else None,
                peer_value=theirs, n=len(policy), data=data,
            )  # fmt: skip
        tell("rows with a click, in effect", value.rewarded, n=len(policy), data=data, warning=value.warning)


def spread(values: object) -> float:
    numbers = np.asarray(values, dtype=np.float64)
    return float(numbers.std(ddof=1) / np.sqrt(len(numbers))) if len(numbers) > 1 else float("nan")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--data", type=Path, default=Path("off_policy_logs"))
    parser.add_argument("--peers", default="")
    parser.add_argument("--seeds", type=int, default=0)
    parser.add_argument("--only", nargs="*", default=["synthetic", "coverage", "obd"])
    given = parser.parse_args()
    given.seeds = given.seeds or (5 if given.quick else 100)
    for part in given.only:
        globals()[part](given)


if __name__ == "__main__":
    main()
