"""Routes of the API that go through FastAPI, one module per subject; and the context that each route receives."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from inspect import iscoroutinefunction, signature
from typing import Annotated, Any, Self, TypeVar

from fastapi import Depends, Header, Query, Request, Response
from fastapi.routing import APIRoute
from sqlalchemy import Connection
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.responses import JSONResponse

from promolift.foundation.hashing import sha256_of
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.server.api.server import Change, Server
from promolift.server.ledger.audit_log import AuditAction, append_audit, canonical_json
from promolift.server.ledger.schema import Refused
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


def version_tag(value: Any) -> str:
    """Return the ETag of what a PUT replaces."""
    return f'"{sha256_of(canonical_json(value))[:32]}"'


def names_version(if_match: str | None) -> bool:
    """Return whether an If-Match says which version was read: `*` says only that there is one (RFC 9110, 13.1.1)."""
    return if_match is not None and if_match.strip() != "*"


def check_version(if_match: str | None, present: Any, lost: bool, what: str) -> None:
    """Refuse a change of `present` (None: there is none) by who read an older version, or none where something is lost.

    Raises Refused: `version_changed` for a stale If-Match, and for any where nothing is there; `version_needed` where
    it is missing or `*` and `lost` is true.
    """
    named = {each.strip() for each in (if_match or "").split(",")}
    if if_match is not None and (present is None or (names_version(if_match) and version_tag(present) not in named)):
        raise Refused(
            "version_changed", gettext_lazy("{what} was changed; GET it again and repeat your change", what=what)
        )
    if lost and not names_version(if_match):
        raise Refused(
            "version_needed",
            gettext_lazy("this would drop or replace {what}: GET it and send its ETag as If-Match", what=what),
        )


class RouteContext:
    """What a route knows of its request: server, API key, and Idempotency-Key and Accept-Language, if any."""

    def __init__(self, server: Server, who: str, key: str | None = None, accepts: str = "") -> None:
        """`who` is named in the audit log."""
        self.server, self.who, self.key, self.accepts = server, who, key, accepts

    @classmethod
    def of(cls, request: Request, key: str | None = None) -> Self:
        """A key counts for one path, whichever API key it comes with, since those are replaced."""
        whole = None if key is None else f"{request.url.path}\n{key}"
        accepts = request.headers.get("accept-language", "").strip()
        return cls(request.app.state.server, str(request.scope["promolift"].key.key_id), whole, accepts)

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


Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])
SLOW_ATTRIBUTE = "promolift_slow"


def slow(endpoint: Endpoint) -> Endpoint:
    """Mark a plain function that may take seconds; a router with the class ServerRoute runs it in the pool of these."""
    setattr(endpoint, SLOW_ATTRIBUTE, True)
    return endpoint


class ServerRoute(APIRoute):
    """A route whose function runs in the server's pool for slow requests where it is marked as `slow`."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **given: Any) -> None:
        """As FastAPI makes it; also once more, with the same function, when its router is included."""
        super().__init__(path, _in_pool(endpoint) if hasattr(endpoint, SLOW_ATTRIBUTE) else endpoint, **given)


def _in_pool(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    assert not iscoroutinefunction(endpoint), "only a plain function needs a thread"

    async def run(**given: Any) -> Any:
        context = next(value for value in given.values() if isinstance(value, RouteContext))
        return await context.server.slow.run(partial(endpoint, **given))

    run.__signature__ = signature(endpoint)  # type: ignore[attr-defined]
    run.__name__, run.__doc__, run.__module__ = endpoint.__name__, endpoint.__doc__, endpoint.__module__
    return run


Route = Annotated[RouteContext, Depends(_called)]
IdempotentRoute = Annotated[RouteContext, Depends(_keyed)]  # a POST that changes something
