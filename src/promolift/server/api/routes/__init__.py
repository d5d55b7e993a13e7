"""The routes with less traffic, by what they are about; and what each of them asks of its request."""

from contextlib import AbstractContextManager
from typing import Annotated, Any, Self

from fastapi import Depends, Header, Query, Request, Response
from sqlalchemy import Connection
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.responses import JSONResponse

from promolift.server.api.server import Change, Server
from promolift.server.ledger.audit_log import Act, audit
from promolift.server.ledger.secrets import unseal

IdempotencyKey = Annotated[str | None, Header(min_length=1, max_length=255)]
IfMatch = Annotated[str | None, Header(max_length=100)]
Cursor = Annotated[int, Query(ge=0, le=2**53)]
Page = Annotated[int, Query(ge=1, le=1000)]


class _Name(StringConvertor):
    """A part of a path without a verb behind it."""

    regex = "[^/:]+"


register_url_convertor("name", _Name())
SECRETS = ("key", "secret")  # kept sealed in an answer


class Call:
    """A request as a route sees it: the server, the id of the key that asks, and its Idempotency-Key if it has one."""

    def __init__(self, server: Server, who: str, key: str | None = None) -> None:
        """`who` is named in the audit log."""
        self.server, self.who, self.key = server, who, key

    @classmethod
    def of(cls, request: Request, key: str | None = None) -> Self:
        """A key counts for one path, whichever API key it comes with, since those are replaced."""
        whole = None if key is None else f"{request.url.path}\n{key}"
        return cls(request.app.state.server, str(request.scope["promolift"].key.key_id), whole)

    def read(self) -> AbstractContextManager[Connection]:
        """What is committed."""
        return self.server.ledger.read()

    def changed(self, do: Change, body: Any = None) -> Response:
        """Run a change, once per Idempotency-Key; `body` must come with that key again."""
        payload = body.model_dump(mode="json") if hasattr(body, "model_dump") else body
        answer = self.server.change(do, self.key, payload)
        shown, secret = answer.body, self.server.secret
        if isinstance(shown, dict):
            shown = {name: unseal(secret, value) if name in SECRETS else value for name, value in shown.items()}
        return JSONResponse(shown, answer.status)

    def note(self, db: Connection, now_ms: int, action: str, subject: str, old: Any = None, new: Any = None) -> None:
        """A row of the audit log."""
        audit(db, now_ms, Act(self.who, action, subject), old, new)


async def _called(request: Request) -> Call:
    return Call.of(request)


async def _keyed(request: Request, idempotency_key: IdempotencyKey = None) -> Call:
    return Call.of(request, idempotency_key)


Asked = Annotated[Call, Depends(_called)]
Keyed = Annotated[Call, Depends(_keyed)]  # a POST that changes something
