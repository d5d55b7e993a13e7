"""Run one console job in a process of its own: read the task from stdin, write progress and result as JSON lines.

`background_jobs` starts it as `python -m promolift.server.console.job_process`. It runs at low priority, so that
decisions do not wait.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from promolift.foundation.errors import PromoError
from promolift.foundation.i18n.lazy_message import LazyMessage
from promolift.foundation.storage.local_store import Store
from promolift.foundation.storage.next_version import next_version
from promolift.server.settings import ServeSettings
from promolift.server.tasks import audit_archive
from promolift.shop.configuration.configuration import Config
from promolift.shop.pipeline.release import build_release
from promolift.shop.pipeline.shop import Shop
from promolift.shop.pipeline.steps.evaluate import compare_groups
from promolift.shop.results.work_folder.run_context import Job
from promolift.trials import work_folder
from promolift.trials.analysis.settings import TrialSettings


def print_progress(step: str, share: float, note: str = "") -> None:
    """Print a line of progress."""
    print(json.dumps({"step": step, "share": share, "note": stored_text(note)}), flush=True)


def stored_text(text: str) -> str:
    """Return a text as the jobs of the console are stored: a message with its arguments."""
    return text.to_text() if isinstance(text, LazyMessage) else text


def run_job(task: dict[str, Any]) -> dict[str, Any]:
    """Run a task and return its result."""
    if task["kind"] == "trial":
        return run_trial(Path(task["work"]) / "trials", task["asked"])
    if task["kind"] == "evidence":
        return write_evidence(task)
    with Shop.of(Config.parse(task["config"], "promolift.toml"), Path(task["work"]), print_progress) as shop:
        return SHOP_JOBS[task["kind"]](shop, task["asked"])


def run_plan(shop: Shop, asked: dict[str, Any]) -> dict[str, Any]:
    """Plan at another budget and freeze the plan as a release."""
    shop.store.lock()
    with next_version(shop.store.root) as draft, Shop.of(shop.config, draft, print_progress) as changed:
        changed.plan(budget_cents=asked["budget_cents"])
        changed.evaluate()
        changed.step("message")
        release_id = build_release(changed.store)
    return {"release_id": release_id}


def run_pipeline(shop: Shop, _: dict[str, Any]) -> dict[str, Any]:
    """All from the files to the words of the plan; what is up to date is skipped. What is read of the files is kept if
    the job is stopped; the plan with all that belongs to it is replaced as a whole.
    """
    shop.step("ingest", "profile", "effect")
    shop.store.lock()
    with next_version(shop.store.root) as draft, Shop.of(shop.config, draft, print_progress) as changed:
        changed.step("plan", "evaluate", "message")
    return {}


def run_trial(folder: Path, asked: dict[str, Any]) -> dict[str, Any]:
    """Read a trial from its file to its plan and page, or plan it anew within a budget."""
    root = folder / asked["trial"]
    with Store(root / "found") as store:
        if "settings" in asked:
            work_folder.run_trial(
                store,
                root / asked["file"],
                TrialSettings.parse(asked["settings"], "trial"),
                root / "out",
                print_progress,
            )
        else:
            work_folder.write(store, work_folder.load_trial(store, print_progress), root / "out", asked["budget"])
    return {"trial": asked["trial"]}


def run_fairness(shop: Shop, _: dict[str, Any]) -> dict[str, Any]:
    """Compare groups of customers; what is found is kept in the work folder."""
    compare_groups(Job(shop.config, shop.store, print_progress))
    return {}


def write_evidence(task: dict[str, Any]) -> dict[str, Any]:
    """Write the archive of evidence beside the ledger; its mark."""
    work, config = Path(task["work"]), Config.parse(task["config"], "promolift.toml")
    said = {"ledger": task["ledger"]} if task["ledger"] else {}
    with Store(work) as store:
        server = ServeSettings.parse({"work": work} | said, "promolift serve")
        made = audit_archive.write_archive(
            Job(config, store, print_progress), config.plan.campaign, server, work / "serve" / "evidence.zip"
        )
    return {"mark": made.figures["mark"]}


SHOP_JOBS = {"plan": run_plan, "run": run_pipeline, "fairness": run_fairness}


def main() -> None:
    """What goes wrong is a line, too, in words for people."""
    getattr(os, "nice", abs)(10)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # temporary files go when a job is stopped, too
    task = json.loads(sys.stdin.read())
    try:
        print(json.dumps({"result": run_job(task)}), flush=True)
    except PromoError as error:
        print(json.dumps({"error": error.message.to_text()}), flush=True)


if __name__ == "__main__":
    main()
