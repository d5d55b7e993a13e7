"""Score candidates: order them, say how sure the best one is from 0 to 1, and give it the role.

In: the candidates of a role (`role_candidates.propose`). Out: a guess with its certainty and runner-up, or None.
"""

from collections.abc import Sequence

from promolift.shop.configuration.column_mapping import REQUIRED_ROLES
from promolift.shop.ingest.schema_matching.customer_identity import KINDS, person_kind
from promolift.shop.ingest.schema_matching.role_matching.mapping_draft import MappingDraft, RoleGuess
from promolift.shop.ingest.schema_matching.role_matching.role_candidates import ID_ROLES, Candidate, propose

SURE, LIKELY, BY_VALUES = 0.95, 0.8, 0.5  # of a name of the trade, of a part of one, of what the values look like
CONFIRM_BELOW = 0.6  # below that a person is asked


def find(draft: MappingDraft, role: str) -> None:
    """Give a role the free column that scores best; leave it open where no column is a candidate."""
    guess = score(draft, role, propose(draft, role))
    if guess:
        draft.take(role, guess.column, guess.sure, guess.runner_up)


def score(draft: MappingDraft, role: str, candidates: Sequence[Candidate]) -> RoleGuess | None:
    """Return the best candidate. Of customers, an id stands before a login and a login before a name; a column that is
    mostly empty names few, and stands behind one that is filled.
    """
    if not candidates:
        return None
    ranked = list(candidates)
    unkeyed = role not in draft.keys  # no other table says what its column is called
    if role == "customer_id" and unkeyed:
        ranked.sort(key=lambda each: KINDS.index(person_kind(each.column, draft.values(each.column))))
    if role in ID_ROLES and unkeyed:
        most = max(draft.filled(each.column) for each in ranked)
        ranked.sort(key=lambda each: draft.filled(each.column) < 0.5 * most)
    best = ranked[0]
    sure = SURE if best.rank < 100 else LIKELY
    sure -= 0.2 * (role in REQUIRED_ROLES[draft.table] and draft.filled(best.column) < 0.5)
    return RoleGuess(best.column, sure, ranked[1].column if len(ranked) > 1 else "", ())
