"""Store the approved release in the work folder, where the next plan reads it."""

import json

from promolift.core.decisions.decision_rule import ReleaseTerms
from promolift.foundation.storage.local_store import Store

NOTE = "release"  # notes/release.json: the part `release` of a proposal


def load_approved_release(store: Store, campaign_id: str) -> ReleaseTerms | None:
    """Load the approved release of a campaign, None if there is none. Raises ConfigError if its file is invalid."""
    if not store.has_json(NOTE):
        return None
    release = ReleaseTerms.parse(store.load_json(NOTE), str(store.root / "notes" / f"{NOTE}.json"))
    return release if release.campaign_id == campaign_id else None


def save_approved_release(store: Store, release: ReleaseTerms) -> None:
    """Save a release from which the next plan starts."""
    store.save_json(NOTE, release.model_dump(mode="json"))


def remove_approved_release(store: Store) -> None:
    """Remove the approved release, so that the next plan starts without one."""
    store.remove_json(NOTE)


def inherit_terms(own: ReleaseTerms, found: ReleaseTerms | None) -> ReleaseTerms:
    """Return a plan's own terms with version, seed, salt, exploration and effects of the approved release."""
    if found is None:
        return own
    names = ("policy_version", "seed", "holdout_salt", "explore", "effects")
    return own.model_copy(update={name: getattr(found, name) for name in names})


def approved_release_fingerprint(store: Store, campaign_id: str) -> str:
    """Return a text that changes with the approved release; empty if there is none."""
    found = load_approved_release(store, campaign_id)
    return "" if found is None else json.dumps(found.model_dump(mode="json"), sort_keys=True)
