"""Routes of the API that go through FastAPI, one module per subject; and the context that each route receives."""

from contextlib import AbstractContextManager
from typing import Annotated, Any, Self

from fastapi import Depends, Header, Query, Request, Response
from sqlalchemy import Connection
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.responses import JSONResponse

from promolift.server.api.server import Change, Server
from promolift.server.ledger.audit_log import AuditAction, append_audit
from promolift.server.ledger.secrets import unseal

IdempotencyKey = Annotated[str | None, Header(min_length=1, max_length=255)]
IfMatch = Annotated[str | None, Header(max_length=100)]
Cursor = Annotated[int, Query(ge=0, le=2**53)]
PageSize = Annotated[int, Query(ge=1, le=1000)]


class _Name(StringConvertor):
    """A part of a path without a verb behind it."""

    regex = "[^/:]+"


register_url_convertor("name", _Name())
SECRET_FIELDS = ("key", "secret")  # kept sealed in an answer


class RouteContext:
    """What a route knows of its request: the server, the id of the API key and the Idempotency-Key, if any."""

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

    def change(self, do: Change, body: Any = None) -> Response:
        """Run a change once per Idempotency-Key; a repeated key must come with the same `body`."""
        payload = body.model_dump(mode="json") if hasattr(body, "model_dump") else body
        answer = self.server.change(do, self.key, payload)
        shown, secret = answer.body, self.server.secret
        if isinstance(shown, dict):
            shown = {name: unseal(secret, value) if name in SECRET_FIELDS else value for name, value in shown.items()}
        return JSONResponse(shown, answer.status)

    def append_audit(
        self, db: Connection, now_ms: int, action: str, subject: str, old: Any = None, new: Any = None
    ) -> None:
        """Append a row to the audit log."""
        append_audit(db, now_ms, AuditAction(self.who, action, subject), old, new)


async def _called(request: Request) -> RouteContext:
    return RouteContext.of(request)


async def _keyed(request: Request, idempotency_key: IdempotencyKey = None) -> RouteContext:
    return RouteContext.of(request, idempotency_key)


Route = Annotated[RouteContext, Depends(_called)]
IdempotentRoute = Annotated[RouteContext, Depends(_keyed)]  # a POST that changes something
