"""Whatever is revoked, in whichever order and at the same time, an admin key is left that can make others."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serve_helpers import Api, serving

from promolift.server.api.api_keys import load_keys
from promolift.server.ledger.audit_log import list_records


def admins(api: Api) -> set[str]:
    with api.server.ledger.read() as db:
        return {key.key_id for key in load_keys(db).values() if key.scope == "admin"}


def new_key(api: Api, scope: str) -> tuple[str, str]:
    made = api("POST", "/v1/keys", {"scope": scope, "name": "drawn"}, 201)
    return made["key_id"], made["key"]


def test_the_last_admin_key_stays(tmp_path: Path) -> None:
    with serving(tmp_path) as api:
        (mine,) = admins(api)
        new_key(api, "decide")
        refused = api("DELETE", f"/v1/keys/{mine}", status=409)
        assert refused["code"] == "last_admin_key"
        assert set(refused["reason"]) == {"zh", "en"}
        other, secret = new_key(api, "admin")
        api("DELETE", f"/v1/keys/{other}")
        api("DELETE", f"/v1/keys/{other}")  # once more: nothing changes
        assert api("DELETE", f"/v1/keys/{mine}", status=409)["code"] == "last_admin_key"
        other, secret = new_key(api, "admin")
        api("DELETE", f"/v1/keys/{mine}")
        api.key = secret
        assert api("DELETE", f"/v1/keys/{other}", status=409)["code"] == "last_admin_key"


@settings(deadline=None, max_examples=6, suppress_health_check=list(HealthCheck))
@given(scopes=st.lists(st.sampled_from(["admin", "admin", "decide", "write"]), min_size=1, max_size=6), data=st.data())
def test_requests_that_race_leave_an_admin_key(
    tmp_path_factory: pytest.TempPathFactory, scopes: list[str], data: st.DataObject
) -> None:
    """Law: over drawn keys and orders of requests that run at the same time, one valid admin key is left."""
    with serving(tmp_path_factory.mktemp("keys")) as api:
        made = [(next(iter(admins(api))), api.key), *(new_key(api, scope) for scope in scopes)]
        able = [secret for (_, secret), scope in zip(made, ["admin", *scopes], strict=True) if scope == "admin"]
        asked = data.draw(st.permutations([(id_, key) for id_, _ in made for key in able]))

        def revoke(one: tuple[str, str]) -> int:
            path, headers = f"/v1/keys/{one[0]}", {"authorization": f"Bearer {one[1]}"}
            return int(api.client.request("DELETE", path, headers=headers).status_code)

        with ThreadPoolExecutor(8) as threads:
            statuses = list(threads.map(revoke, asked))
        assert set(statuses) <= {200, 401, 409}
        assert len(admins(api)) == 1
        with api.server.ledger.read() as db:
            assert len(list_records(db, "key")) == len(made)
