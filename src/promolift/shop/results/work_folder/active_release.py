"""The release that was approved; kept in the work folder for the plans that follow."""

import json

from promolift.core.decisions.decision_rule import ReleaseTerms
from promolift.foundation.storage.local_store import Store

NOTE = "release"  # notes/release.json: the part `release` of a proposal


def approved(store: Store, campaign_id: str) -> ReleaseTerms | None:
    """The approved release of a campaign, None if there is none. Raises ConfigError if its file is not one."""
    if not store.has_json(NOTE):
        return None
    release = ReleaseTerms.parse(store.load_json(NOTE), str(store.root / "notes" / f"{NOTE}.json"))
    return release if release.campaign_id == campaign_id else None


def approve(store: Store, release: ReleaseTerms) -> None:
    """Let the next plan start from this release."""
    store.save_json(NOTE, release.model_dump(mode="json"))


def forget(store: Store) -> None:
    """Let the next plan start anew."""
    store.remove_json(NOTE)


def taken_over(own: ReleaseTerms, found: ReleaseTerms | None) -> ReleaseTerms:
    """A plan's own terms, with what was learned before it: version, draws, the share of random ones, effects."""
    if found is None:
        return own
    names = ("policy_version", "seed", "holdout_salt", "explore", "effects")
    return own.model_copy(update={name: getattr(found, name) for name in names})


def mark(store: Store, campaign_id: str) -> str:
    """A text that changes when the approved release does; empty if there is none."""
    found = approved(store, campaign_id)
    return "" if found is None else json.dumps(found.model_dump(mode="json"), sort_keys=True)
