"""A task on stdin; its work done on the work folder, its progress and result as lines of JSON on stdout.

`python -m promolift.server.console.job_process`; the console starts it, see `background_jobs`.
At low priority: no decision waits for it.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from promolift.foundation.errors import PromoError
from promolift.foundation.storage.local_store import Store
from promolift.server.settings import ServeSettings
from promolift.server.tasks import audit_archive
from promolift.shop.configuration.configuration import Config
from promolift.shop.pipeline.release import build
from promolift.shop.pipeline.shop import Shop
from promolift.shop.pipeline.steps.evaluate import compare_groups
from promolift.shop.results.work_folder.run_context import Job
from promolift.trials import work_folder
from promolift.trials.analysis.settings import TrialSettings


def tell(step: str, share: float, note: str = "") -> None:
    """A line of progress."""
    print(json.dumps({"step": step, "share": share, "note": note}), flush=True)


def do(task: dict[str, Any]) -> dict[str, Any]:
    """The work of this kind; its result."""
    if task["kind"] == "trial":
        return trial(Path(task["work"]) / "trials", task["asked"])
    if task["kind"] == "evidence":
        return evidence(task)
    with Shop.of(Config.parse(task["config"], "promolift.toml"), Path(task["work"]), tell) as shop:
        return KINDS[task["kind"]](shop, task["asked"])


def plan(shop: Shop, asked: dict[str, Any]) -> dict[str, Any]:
    """Plan at another budget and freeze the plan as a release."""
    shop.plan(budget_cents=asked["budget_cents"])
    shop.evaluate()
    shop.step("message")
    return {"release_id": build(shop.store)}


def run(shop: Shop, _: dict[str, Any]) -> dict[str, Any]:
    """All from the files to the words of the plan; what is up to date is skipped."""
    shop.step("ingest", "profile", "effect", "plan", "evaluate", "message")
    return {}


def trial(folder: Path, asked: dict[str, Any]) -> dict[str, Any]:
    """Read a trial from its file to its plan and page, or plan it anew within a budget."""
    root = folder / asked["trial"]
    with Store(root / "found") as store:
        if "settings" in asked:
            work_folder.whole(
                store, root / asked["file"], TrialSettings.parse(asked["settings"], "trial"), root / "out", tell
            )
        else:
            work_folder.write(store, work_folder.load(store, tell), root / "out", asked["budget"])
    return {"trial": asked["trial"]}


def fairness(shop: Shop, _: dict[str, Any]) -> dict[str, Any]:
    """Compare groups of customers; what is found is kept in the work folder."""
    compare_groups(Job(shop.config, shop.store, tell))
    return {}


def evidence(task: dict[str, Any]) -> dict[str, Any]:
    """Write the archive of evidence beside the ledger; its mark."""
    work, config = Path(task["work"]), Config.parse(task["config"], "promolift.toml")
    said = {"ledger": task["ledger"]} if task["ledger"] else {}
    with Store(work) as store:
        server = ServeSettings.parse({"work": work} | said, "promolift serve")
        made = audit_archive.write(
            Job(config, store, tell), config.plan.campaign, server, work / "serve" / "evidence.zip"
        )
    return {"mark": made.figures["mark"]}


KINDS = {"plan": plan, "run": run, "fairness": fairness}


def main() -> None:
    """What goes wrong is a line, too, in words for people."""
    getattr(os, "nice", abs)(10)
    task = json.loads(sys.stdin.read())
    try:
        print(json.dumps({"result": do(task)}), flush=True)
    except PromoError as error:
        print(json.dumps({"error": str(error)}), flush=True)


if __name__ == "__main__":
    main()
