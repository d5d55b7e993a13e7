"""The release that a person, or the guardrails, approved; kept in the work folder for the plans that follow."""

import json
from typing import Any

from promolift.deliver import Release
from promolift.store import Store

NOTE = "release"  # notes/release.json: the part `release` of a proposal


def approved(store: Store, campaign_id: str) -> Release | None:
    """The approved release of a campaign, None if there is none. Raises ConfigError if its file is not one."""
    path = store.root / "notes" / f"{NOTE}.json"
    if not path.is_file():
        return None
    release = Release.parse(store.load_json(NOTE), str(path))
    return release if release.campaign_id == campaign_id else None


def approve(store: Store, release: Release) -> None:
    """Let the next plan start from this release."""
    store.save_json(NOTE, release.model_dump(mode="json"))


def forget(store: Store) -> None:
    """Let the next plan start anew."""
    (store.root / "notes" / f"{NOTE}.json").unlink(missing_ok=True)


def taken_over(own: Release, found: Release | None) -> Release:
    """A plan's own terms, with what was learned before it: version, draws and recalibration.

    The share left to chance is not among them: a plan fills its budget, and the server draws on top of it.
    """
    if found is None:
        return own
    names = ("policy_version", "seed", "holdout_salt", "recalibration")
    return own.model_copy(update={name: getattr(found, name) for name in names})


def mark(store: Store, campaign_id: str) -> str:
    """A text that changes when the approved release does; empty if there is none."""
    found = approved(store, campaign_id)
    return "" if found is None else json.dumps(found.model_dump(mode="json"), sort_keys=True)


def explored(found: Release | None) -> dict[str, Any]:
    """The approved share of draws left to chance, as the plan's facts hold it for the server."""
    return {} if found is None else {"explore": found.explore}
