"""ASGI middleware around the API: request id, API key, rate limit, body size, errors, log line and metrics."""

import logging
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from secrets import token_hex
from time import perf_counter, time

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from promolift.foundation.errors import PromoError
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.server.api.api_keys import EVENT_PATHS, SCOPE_GRANTS, Key, required_scope
from promolift.server.api.problems import ApiError, FieldError, problem_response
from promolift.server.api.server import Endpoint, Server

LOG = logging.getLogger("promolift.server")
PROCESS_ID, REQUEST_NUMBERS = token_hex(4), count()  # ids of requests: of this start of the process, and counted
MAX_GZIP_MEMBERS = 16  # parts that a gzip body may have
ANONYMOUS_KEY = Key("key_none", "write", "nobody")
SECURITY_HEADERS = {b"x-content-type-options": b"nosniff", b"cache-control": b"no-store"}
ALLOW_ORIGIN = b"access-control-allow-origin"
ALLOWED_HEADERS = (
    "authorization, content-type, content-encoding, idempotency-key, x-write-key, x-enable-debug, x-ip-policy"
)


@dataclass(slots=True)
class RequestContext:
    """What a route may know of its request: id, headers, API key and the whole body."""

    request_id: str
    headers: Mapping[bytes, bytes]
    key: Key = ANONYMOUS_KEY
    body: bytes = b""


class ApiMiddleware:
    """ASGI middleware. Every path needs a key except the few in `security`, so a new route is closed by default."""

    def __init__(self, app: ASGIApp, server: Server, hot: Mapping[str, Endpoint]) -> None:
        """`app` is what the requests reach that may pass; `hot` are endpoints called without the app around them."""
        self.app, self.server, self.hot = app, server, dict(hot)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it here. HEAD is answered as GET is, without the body (RFC 9110, 9.3.2)."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if scope["method"] == "HEAD":
            scope, send = {**scope, "method": "GET"}, _without_body(send)
        started, status = perf_counter(), 500
        headers = dict(scope["headers"])
        context = RequestContext(f"req_{PROCESS_ID}{next(REQUEST_NUMBERS):08x}", headers)
        extra = {b"x-request-id": context.request_id.encode(), **SECURITY_HEADERS}
        origin = headers.get(b"origin") if scope["path"] in EVENT_PATHS else None
        if origin is not None:
            extra |= self._shared_with(origin)
        begun = False

        async def sending(message: Message) -> None:
            nonlocal status, begun
            if message["type"] == "http.response.start":
                status, begun = message["status"], True
                given = message.get("headers", [])
                own = dict(given)
                message["headers"] = [*given, *(pair for pair in extra.items() if pair[0] not in own)]
            await send(message)

        scope["promolift"] = context
        try:
            if scope["method"] == "OPTIONS" and origin is not None:
                await _preflight(extra)(scope, receive, sending)
                return
            context.key = self._admit(scope, headers)
            context.body = await self._body(headers, receive)
            if b"content-encoding" in headers:
                scope["headers"] = [pair for pair in scope["headers"] if pair[0] != b"content-encoding"]
            endpoint = self.hot.get(scope["path"]) if scope["method"] == "POST" else None
            if endpoint is None:
                await self.app(scope, _replay(context.body, receive), sending)
            else:
                answer = await endpoint(Request(scope))
                status, begun = answer.status, True
                await answer.send(send, extra)
        except Exception as error:
            if not isinstance(error, PromoError | ValidationError):
                LOG.error("request failed", exc_info=error, extra={"request_id": context.request_id})
            if not begun:
                reply = problem_response(error, context.request_id)
                if isinstance(error, ApiError) and error.code == "encoding_unknown":
                    reply.headers["accept-encoding"] = "gzip, identity"
                if isinstance(error, ApiError) and error.status == 401:
                    reply.headers["www-authenticate"] = 'Bearer realm="promolift"'
                await reply(scope, receive, sending)
        finally:
            self._note(scope, context, status, perf_counter() - started)

    def _shared_with(self, origin: bytes) -> dict[bytes, bytes]:
        allowed = origin.decode("latin-1") in self.server.settings.origins
        return {b"vary": b"origin"} | ({ALLOW_ORIGIN: origin} if allowed else {})

    def _admit(self, scope: Scope, headers: dict[bytes, bytes]) -> Key:
        right = required_scope(scope["method"], scope["path"])
        if right is None:
            return ANONYMOUS_KEY
        header = headers.get(b"authorization", b"")
        if not header and scope["path"] in EVENT_PATHS:
            header = _key_beside(scope, headers)
        key = self.server.find_key(header)
        if key is None or (key.scope != "write" and b"authorization" not in headers):
            raise ApiError(401, "key_missing", gettext_lazy("send a valid API key: Authorization: Bearer <key>"))
        if right not in SCOPE_GRANTS[key.scope]:
            raise ApiError(
                403,
                "scope_missing",
                gettext_lazy("this key has scope {scope}; {right} is needed", scope=key.scope, right=right),
            )
        self.server.used[key.key_id] = round(time() * 1000)
        wait_s = self.server.rates.take(key.key_id)
        if wait_s:
            raise ApiError(
                429,
                "too_many_requests",
                gettext_lazy("too many requests with this key"),
                FieldError("retry-after", f"{wait_s}"),
            )
        return key

    async def _body(self, headers: dict[bytes, bytes], receive: Receive) -> bytes:
        """The whole body, unpacked if it is gzip; ApiError 413 as soon as it is too large."""
        most = self.server.settings.body_bytes
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length) > most:
            raise _too_large(most)
        message = await receive()
        first = message.get("body", b"")
        parts, size, more = [first], len(first), message.get("more_body", False)
        if size > most:
            raise _too_large(most)
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ApiError(400, "body_cut", gettext_lazy("the connection ended before the body did"))
            parts.append(message.get("body", b""))
            size, more = size + len(parts[-1]), message.get("more_body", False)
            if size > most:
                raise _too_large(most)
        body = first if len(parts) == 1 else b"".join(parts)
        packing = headers.get(b"content-encoding", b"identity").strip().lower()
        if packing == b"identity":
            return body
        if packing != b"gzip":
            raise ApiError(
                415, "encoding_unknown", gettext_lazy("send the body as it is or with content-encoding: gzip")
            )
        return _unpacked(body, most)

    def _note(self, scope: Scope, context: RequestContext, status: int, seconds: float) -> None:
        """Count, and log by the route's template (a path may hold a customer's id); decisions and events that go
        well are counted alone."""
        path = scope["path"]
        route = getattr(scope.get("route"), "path", None) or (path if path in self.hot else "other")
        self.server.metrics.count_response(route, status, seconds)
        if LOG.isEnabledFor(logging.INFO) and route not in UNLOGGED_PATHS and (status >= 400 or path not in self.hot):
            line: dict[str, object] = {"route": route, "method": scope["method"], "status": status}
            line |= {"ms": round(seconds * 1000, 2), "request_id": context.request_id, "key": context.key.key_id}
            LOG.info("request", extra={"clean": line})


def _without_body(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return sending


def _key_beside(scope: Scope, headers: Mapping[bytes, bytes]) -> bytes:
    """A write key where Authorization cannot be: of Jitsu's clients, which want a name and a colon before it, or in the
    address that a leaving page sends to.
    """
    in_url = re.search(rb"(?:^|&)key=([\w-]+)", scope["query_string"])
    found = headers.get(b"x-write-key", b"").rpartition(b":")[2] or (in_url[1] if in_url else b"")
    return b"Bearer " + found if found else b""


def _preflight(extra: Mapping[bytes, bytes]) -> Response:
    """The answer to a browser that asks before it sends; ApiError for an origin that the settings do not name."""
    if ALLOW_ORIGIN not in extra:
        raise ApiError(
            403, "origin_unknown", gettext_lazy("pages of this origin may not send events; name it in origins")
        )
    allowed = {"methods": "POST", "headers": ALLOWED_HEADERS}
    headers = {f"access-control-allow-{name}": value for name, value in allowed.items()}
    return Response(status_code=204, headers=headers | {"access-control-max-age": "600"})


UNLOGGED_PATHS = frozenset({"/health/live", "/health/ready", "/metrics"})


def _unpacked(body: bytes, most: int) -> bytes:
    """A gzip body of one or more members, up to its end; ApiError if it is cut, damaged or unpacks to too much."""
    plain, rest = bytearray(), body
    try:
        for _ in range(MAX_GZIP_MEMBERS):
            unpacker = zlib.decompressobj(31)
            plain += unpacker.decompress(rest, most - len(plain) + 1)
            if len(plain) > most:
                raise _too_large(most)
            rest = unpacker.unused_data
            if not unpacker.eof:
                break
            if not rest:
                return bytes(plain)
    except zlib.error:
        pass
    raise ApiError(
        400,
        "gzip_invalid",
        gettext_lazy(
            "the body is not valid gzip, is cut, or has more than {max_gzip_members} members",
            max_gzip_members=MAX_GZIP_MEMBERS,
        ),
    )


def _too_large(most: int) -> ApiError:
    return ApiError(413, "body_too_large", gettext_lazy("a body may have {most} bytes", most=most))


def _replay(body: bytes, receive: Receive) -> Receive:
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
