"""A campaign's next release in; the campaign served from it, webhooks called, and the next plan prepared, out."""

import logging
from collections.abc import Callable
from typing import Any, Protocol

from sqlalchemy import Connection

from promolift.config import Config
from promolift.errors import PromoError
from promolift.results.approved import approve, forget
from promolift.serve import outbox
from promolift.serve.clock import Clock
from promolift.serve.live import Decider
from promolift.serve.settings import Policy, ServeSettings
from promolift.serve.things import Campaign
from promolift.store import Store
from promolift.store.ledger import Ledger
from promolift.store.ledger_audit import Act, HttpAnswer, audit
from promolift.store.ledger_schema import Refused

LOG = logging.getLogger("promolift.serve")
Change = Callable[[Connection, int], HttpAnswer]  # from the connection and now_ms
NEW = Campaign(paused=False, policy=Policy(), policy_version=1)


class Serving(Protocol):
    """What of the server a change of release needs: its settings, ledger and the releases it has loaded."""

    settings: ServeSettings
    config: Config | None
    ledger: Ledger
    decider: Decider
    clock: Clock

    def change(self, do: Change, key: str | None = None, request: Any = None) -> HttpAnswer:
        """Run a change in the ledger, once per key."""


def activate(db: Connection, now_ms: int, actor: str, campaign_id: str, release_id: str) -> None:
    """Serve a campaign from this release from the next decision on; it must be loaded before."""
    old = Campaign.find(db, campaign_id) or NEW
    if old.release != release_id:
        _switch(db, now_ms, Act(actor, "release.activate", campaign_id), old, release_id)


def roll_back(db: Connection, now_ms: int, actor: str, campaign_id: str) -> None:
    """Back to the release before the present one, which then is the one before. Refused if there is none."""
    old = Campaign.find(db, campaign_id) or NEW
    if not old.previous:
        raise Refused("previous_missing", "there is no release before the present one")
    _switch(db, now_ms, Act(actor, "release.rollback", campaign_id), old, old.previous)


def remember(server: Serving, release_id: str) -> None:
    """Let the next plan start from what was learned for the release that is live.

    If the work folder is busy, that is logged and no more: the plan that is being made has started already.
    """
    terms = server.decider.ensure(release_id).terms
    try:
        with Store(server.settings.work) as store:
            approve(store, terms) if terms.recalibration else forget(store)
    except PromoError as error:
        LOG.warning("what is live was not noted for the next plan", extra={"detail": str(error)})


def _switch(db: Connection, now_ms: int, act: Act, old: Campaign, release_id: str) -> None:
    new = old.served_from(release_id).keep(db, act.subject, now_ms)
    body = {"campaign_id": act.subject, "release": new.release, "previous": new.previous}
    outbox.announce(db, "release.activated", body, now_ms)
    audit(db, now_ms, act, {"release": old.release}, body)
