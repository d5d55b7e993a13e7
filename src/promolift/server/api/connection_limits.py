"""Limit the size and the duration of a request while it is being received, before any API key is checked.

The parser of uvicorn collects headers without a limit. This protocol closes a connection whose head is too large, or
whose head or body takes too long.
"""

import asyncio
import json
import threading
from http import HTTPStatus
from secrets import token_hex
from typing import Any

from starlette.types import Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

HEAD_BYTES = 32_768  # the request line and all headers
MAX_HEADERS = 100
HEAD_S, BODY_S = 10.0, 30.0  # how long each may take; a kept connection that says nothing is closed by uvicorn


class _TooLargeError(Exception):
    """Raised within the parser, which ends with it."""


class LimitedHttpProtocol(HttpToolsProtocol):
    """One connection. `most`: connections that are kept at the same time; one more is closed at once. Once it is
    `draining`, each ends with the next answer, which says so.
    """

    def __init__(self, most: int, draining: threading.Event, **given: Any) -> None:
        """As uvicorn makes it."""
        super().__init__(**given)
        self.most, self.draining = most, draining
        self._in_head, self._head_bytes, self._large = True, 0, False
        self._requests = 0  # that are there whole
        self._since: float | None = self.loop.time()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take it, or refuse it."""
        super().connection_made(transport)
        if len(self.connections) > self.most:
            self._refuse(503, "too_many_connections", "too many connections; try again later")

    def data_received(self, data: bytes) -> None:
        """Read on, unless the head is too large already."""
        if self._since is None and self._in_head:
            self._since = self.loop.time()
        before = self._requests
        super().data_received(data)
        if self._in_head and self._requests == before and self.parser is not None:  # else it was the end of a body
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self._large = True
                self.send_400_response("")

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0

    def on_url(self, url: bytes) -> None:
        """Some of the path."""
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """One more header."""
        super().on_header(name, value)
        self._count(len(name) + len(value))

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > HEAD_BYTES or len(self.headers) > MAX_HEADERS:
            self._large = True
            raise _TooLargeError

    def on_headers_complete(self) -> None:
        """A body begins."""
        super().on_headers_complete()
        if self.draining.is_set() and self.cycle is not None:
            self.cycle.keep_alive = False
        self._in_head, self._head_bytes, self._since = False, 0, self.loop.time()

    def on_message_complete(self) -> None:
        """The request is there."""
        super().on_message_complete()
        self._in_head, self._head_bytes, self._since, self._requests = True, 0, None, self._requests + 1

    def send_400_response(self, msg: str) -> None:
        """What could not be read, or is too large."""
        if self._large:
            self._refuse(431, "headers_too_large", f"a head may have {HEAD_BYTES} bytes and {MAX_HEADERS} headers")
        else:
            self._refuse(400, "http_invalid", "this is no HTTP request")

    def close_if_late(self, now_s: float) -> None:
        """Close the connection if what it sends takes too long; `now_s` as the event loop counts."""
        if self._since is not None and now_s - self._since > (HEAD_S if self._in_head else BODY_S):
            self._since = None
            if self._in_head and self._head_bytes == 0:
                self.transport.close()  # it never said anything
            elif self._in_head:
                self._refuse(408, "too_slow", "the request did not arrive in time")
            else:
                self.transport.abort()  # its answer may be under way

    def _refuse(self, status: int, code: str, detail: str) -> None:
        said = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "code": code}
        body = json.dumps(said | {"detail": detail, "request_id": f"req_{token_hex(8)}", "errors": []})
        head = f"content-type: application/problem+json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        self.transport.write(STATUS_LINE[status] + head.encode() + body.encode())
        self.transport.close()


def send_in_one_write(send: Send, status: int, head: bytes, body: bytes) -> bool:
    """Send head and body in one write to the socket; uvicorn makes two, each as slow as a decision's own work.

    `head` are header lines. False where nothing was sent: `send` is not uvicorn's own, or the connection must wait.
    """
    cycle = getattr(send, "__self__", None)
    if type(cycle) is not RequestResponseCycle or cycle.flow.write_paused or cycle.response_started:
        return False
    cycle.response_started = cycle.response_complete = True
    if cycle.disconnected:
        return True
    own = b"".join(b"%b: %b\r\n" % pair for pair in cycle.default_headers)
    last = b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n"
    cycle.transport.write(b"".join((STATUS_LINE[status], own, head, last, body)))
    cycle.message_event.set()
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()
    return True
