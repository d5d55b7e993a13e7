"""Compare what the ledger holds of money and rules with what its audit log says was done last.

The chain of hashes protects the log; this check lets it protect the rows that money follows from: redemptions, limits,
policies and promotions. Rows about customers (events, decisions, messages, kept answers) have no digest, since an
erasure must be able to change them.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from promolift.server.ledger.limits import ALL_CAMPAIGNS, RELEASE_LIMIT_ID, own_limits
from promolift.server.ledger.records import Campaign, StoredPromotion
from promolift.server.ledger.schema import AUDIT, REDEMPTIONS

MONEY_ACTIONS = ("reserve", "confirm", "return", "rollback", "expire")
RULE_ACTIONS = ("limits.put", "campaign.put", "promotion.put", "promotion.delete")


class AuditedRedemption(NamedTuple):
    """A redemption as the audit log says that it stands."""

    campaign_id: str
    offer_id: str
    reserved_cents: int
    final_cents: int | None = None
    status: str = "reserved"

    def after(self, action: str, new: Any) -> "AuditedRedemption":
        """Return it after another action on it."""
        if action in ("confirm", "return"):
            return self._replace(status="confirmed", final_cents=new["spent"])
        return self._replace(status=new["status"])


class _AuditedState(NamedTuple):
    """What the log says last of each redemption and promotion, and of each campaign's policy and limits."""

    redemptions: dict[str, AuditedRedemption]
    promotions: dict[str, Any]
    campaigns: dict[str, dict[str, Any]]


def find_unaudited(db: Connection) -> Iterator[str]:
    """Yield which redemptions, promotions, policies and limits are not as the audit log says: changed past the server.

    It reads the log once and holds an entry for each redemption. A limit that follows from a release is not compared.
    """
    said = _read_log(db)
    for name, *found in db.execute(select(*(REDEMPTIONS.c[n] for n in ("redemption_id", *AuditedRedemption._fields)))):
        if said.redemptions.pop(name, None) != tuple(found):
            yield f"redemption {name}"
    yield from (f"redemption {name}" for name in said.redemptions)  # it is gone
    promotions = StoredPromotion.all(db)
    for name in sorted(said.promotions.keys() | promotions.keys()):
        stood = said.promotions.get(name)
        if (stood and StoredPromotion.model_validate(stood)) != promotions.get(name):
            yield f"promotion {name}"
    campaigns = Campaign.all(db)
    for name in sorted({ALL_CAMPAIGNS, *said.campaigns, *campaigns}):
        stood = said.campaigns.get(name, {})
        then, now = Campaign.model_validate(stood), campaigns.get(name, Campaign())
        if (then.paused, then.policy) != (now.paused, now.policy):
            yield f"policy of {name}"
        if _limits(stood.get("limits", ())) != _limits(own_limits(db, name)):
            yield f"limits of {name}"


def _read_log(db: Connection) -> _AuditedState:
    said = _AuditedState({}, {}, {})
    asked = select(AUDIT.c.action, AUDIT.c.subject, AUDIT.c.new).order_by(AUDIT.c.seq)
    for action, subject, text in db.execute(asked.where(AUDIT.c.action.in_((*MONEY_ACTIONS, *RULE_ACTIONS)))):
        new = json.loads(text)
        if action == "reserve":
            said.redemptions[subject] = AuditedRedemption(new["campaign"], new["offer"], new["cents"])
        elif action in MONEY_ACTIONS:
            said.redemptions[subject] = said.redemptions[subject].after(action, new)
        elif action.startswith("promotion."):
            said.promotions[subject] = new
        else:  # a change of the policy alone says nothing of limits
            said.campaigns.setdefault(subject, {}).update({"limits": new} if action == "limits.put" else new)
    return said


def _limits(rows: Iterable[Mapping[str, Any]]) -> list[tuple[object, ...]]:
    """Limits in comparable form, however their time zone is called."""
    fields = ("limit_id", "offer_id", "metric", "amount", "period", "per")
    own = [row for row in rows if row["limit_id"] != RELEASE_LIMIT_ID]
    return sorted((*(row[name] for name in fields), row.get("zone", row.get("timezone"))) for row in own)
