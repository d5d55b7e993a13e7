"""The server's app in; the same with pages for people under `/console` beside it, out.

Handlers are plain functions in a few threads of their own, so no decision waits for a page. Every one is closed to who
is not signed in; whoever changes something brings the form's token from the same site, and the role that it needs.
"""

import asyncio
import contextvars
import gzip
import json
import logging
import secrets
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from http import HTTPStatus
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import compile_path
from starlette.types import Receive, Scope, Send

from promolift.console import entrance
from promolift.console.people import Visitor
from promolift.console.rehearsal import rehearse, serve_the_plan
from promolift.console.screens import SCREENS
from promolift.console.state import Console
from promolift.console.view import HEADERS, TYPES, Frame, assets, html
from promolift.console.visit import (
    Denied,
    Download,
    PageRoute,
    PageVisit,
    Redirect,
    Reply,
    SaidNote,
    Screen,
    as_json,
    missing,
)
from promolift.errors import PromoError
from promolift.progress import Tell
from promolift.serve.app import Dressed
from promolift.serve.problems import REFUSALS, ApiError
from promolift.serve.server import Server
from promolift.serve.worded import all_worded
from promolift.store.ledger_schema import Refused
from promolift.words import Tongue, pick, speaking

LOG = logging.getLogger("promolift.console")
ROOT = "/console"
COOKIE, BEFORE = "promolift_console", "promolift_before"
THREADS = 4
FORM_BYTES, PIECE_BYTES = 100_000, 5_000_000  # of a form, and of a piece of a file that somebody signed in sends
PIECE = "application/octet-stream"
HTML = "text/html; charset=utf-8"


class Match(NamedTuple):
    """The door of a request and what its path holds."""

    door: PageRoute
    params: Mapping[str, str]


def dressed(app: Any, demo: bool = False, file: Path | None = None, play: Tell | None = None) -> Dressed:
    """The app of `serve.app.create` with the console beside it, and the path by which the first person enters.

    `file`: promolift.toml, which the console may change. `demo`: the plan of the work folder is frozen and decides,
    where no release does yet, and the link asks for nothing. With `play`, which hears how far that is, weeks are
    simulated that end now.
    """
    pages = Pages(app.server, file)
    pages.console.openapi = app.openapi
    if demo and play:
        rehearse(app.server, play)
    if demo:
        serve_the_plan(app.server)

    async def beside(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] == "http" and (path == ROOT or path.startswith(f"{ROOT}/")):
            await pages(scope, receive, send)
        else:
            if scope["type"] == "lifespan":
                pages.console.loop = asyncio.get_running_loop()
            await app(scope, receive, send)

    whole: Any = beside
    whole.server, whole.openapi, whole.console = app.server, app.openapi, pages.console
    return Dressed(whole, entrance.first_path(app.server, demo))


class Pages:
    """ASGI: all that lies under `/console`."""

    def __init__(self, server: Server, file: Path | None = None) -> None:
        """Nothing is read yet."""
        self.server, self.console = server, Console(server, file)
        self._threads = ThreadPoolExecutor(THREADS, "console")
        server.closing.append(self._threads.shutdown)
        self._doors = [(compile_path(ROOT + door.path)[0], door) for door in SCREENS]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        started = perf_counter()
        request = Request(scope, receive)
        try:
            reply = await self._answer(request)
        except Exception as error:
            LOG.error("console failed", exc_info=error)
            reply = Response(b"Something failed inside; the server's log has more.", 500, media_type="text/plain")
        for name, value in HEADERS.items():
            reply.headers.setdefault(name, value)
        reply.headers.setdefault("cache-control", "no-store")
        self.server.metrics.answered("/console", reply.status_code, perf_counter() - started)
        await reply(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        path, method = request.url.path, request.method
        if path.startswith(f"{ROOT}/static/") and method in ("GET", "HEAD"):
            return static(path.rpartition("/")[2], request.headers.get("accept-encoding", ""))
        body, loop = b"", asyncio.get_running_loop()
        if method == "POST":
            known: Visitor | None = None
            if request.headers.get("content-type") == PIECE:
                known = await loop.run_in_executor(self._threads, self._visitor, request)
            async for part in request.stream():
                body += part
                if len(body) > (PIECE_BYTES if known else FORM_BYTES):
                    return Response(b"", 413)
        elif method not in ("GET", "HEAD", "POST"):
            return Response(b"", 405, {"allow": "GET, HEAD, POST"})
        context = contextvars.copy_context()
        return await loop.run_in_executor(self._threads, context.run, self._in_thread, request, body)

    def _visitor(self, request: Request) -> Visitor | None:
        cookie = request.cookies.get(COOKIE, "")
        return self.console.visitor(cookie) if cookie else None

    def _in_thread(self, request: Request, body: bytes) -> Response:
        server, visitor = self.server, self._visitor(request)
        query, piece = dict(request.query_params), request.headers.get("content-type") == PIECE
        text = b"" if piece else body
        form = dict(parse_qsl(text.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=2000))
        if piece:
            form["token"] = request.headers.get("x-token", "")
        language: Tongue = visitor.language if visitor else _preferred(request.headers.get("accept-language", ""))
        with speaking(language):
            plain = query.get("format") == "json"
            if visitor is None:
                before = request.cookies.get(BEFORE) or secrets.token_urlsafe(18)
                arrived = entrance.Newcomer(
                    server,
                    self.console,
                    request.method,
                    request.url.path.removeprefix(ROOT) or "/",
                    query,
                    form,
                    before,
                    _address(request),
                    _same_site(request),
                )
                return self._entering(entrance.enter(arrived), request, before, plain)
            return self._visit(request, visitor, query, form, body if piece else b"")

    def _visit(
        self, request: Request, visitor: Visitor, query: Mapping[str, str], form: Mapping[str, str], piece: bytes
    ) -> Response:
        path, plain = request.url.path, query.get("format") == "json"
        method = "GET" if request.method == "HEAD" else request.method
        found = self._door(method, path)
        here = path.removeprefix(ROOT) or "/"
        try:
            if found is None and here.startswith(("/sign-in", entrance.ENTER)):
                return self._said(Redirect("/"), visitor, here, plain)
            if found is None:
                raise missing("page")
            visit = PageVisit(self.server, visitor, here, query, form, found.params, self.console, piece)
            if method == "POST":
                check_form(visit, _same_site(request))
            visit.need(found.door.role)
            reply = found.door.handler(visit)
        except Exception as error:
            reply = refusal(error)
        return self._said(reply, visitor, here, plain)

    def _door(self, method: str, path: str) -> Match | None:
        """The one of this method and path."""
        for pattern, door in self._doors:
            if door.method == method and (match := pattern.match(path.rstrip("/") or path)):
                return Match(door, match.groupdict())
        return None

    def _said(self, reply: Reply, visitor: Visitor, here: str, plain: bool) -> Response:
        if isinstance(reply, Redirect):
            if reply.said:
                self.console.tell(visitor.session, SaidNote(reply.said, reply.tone))
            if plain and here.endswith("/upload"):  # a script sends files
                return Response(json.dumps({"go": ROOT + reply.path}), media_type="application/json")
            return Response(b"", 303, {"location": ROOT + reply.path})
        if isinstance(reply, Download):
            named = f"attachment; filename*=UTF-8''{quote(reply.name)}"
            return Response(reply.content, headers={"content-disposition": named}, media_type=reply.type)
        if plain:
            return Response(as_json(reply), reply.status, media_type="application/json")
        said = self.console.notes(visitor.session) if reply.whole else []
        shop = self.console.shop
        nav = {at: name for at, name in all_worded("nav").items() if at != "/people" or visitor.may("admin")}
        around = (self.console.left_out(), self.console.played()) if reply.whole else ()
        frame = Frame(visitor, here, nav, said, shop.name, shop.currency, shop.zone, *around)
        return Response(html(reply, frame), reply.status, media_type=HTML)

    def _entering(self, entered: entrance.Entered, request: Request, before: str, plain: bool) -> Response:
        """What somebody sees who is not signed in; and the cookie, once they are."""
        reply, secure = entered.reply, self.server.settings.console.secure
        if plain and entered.sign_in is None:
            return Response(
                json.dumps({"title": reply.title if isinstance(reply, Screen) else "sign in"}),
                401,
                media_type="application/json",
            )
        if isinstance(reply, Redirect):
            answer = Response(b"", 303, {"location": ROOT + reply.path})
        else:
            assert isinstance(reply, Screen)
            shop = self.console.shop
            frame = Frame(None, request.url.path, {}, [], shop.name, shop.currency, shop.zone)
            answer = Response(html(reply, frame), reply.status, media_type=HTML)
        if entered.sign_in is not None:
            answer.set_cookie(
                COOKIE, entered.sign_in.cookie, path=ROOT, secure=secure, httponly=True, samesite="strict"
            )
            answer.delete_cookie(BEFORE, path=ROOT)
        else:
            answer.set_cookie(BEFORE, before, path=ROOT, secure=secure, httponly=True, samesite="strict")
        return answer


def check_form(visit: PageVisit, same_site: bool) -> None:
    """ApiError unless the form is of this site and brings the token of this session."""
    given = visit.form.get("token", "")
    if not same_site or not secrets.compare_digest(given.encode(), visit.visitor.token.encode()):
        why = pick(
            "This form is too old or comes from another page. Load the page again and repeat it.",
            "表单已过期或来自其他页面。请刷新后重试。",
        )
        raise ApiError(403, "form_foreign", why)


def _same_site(request: Request) -> bool:
    """Whether a form came from a page of this server, by what the browser says of it."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        return site == "same-origin"
    return origin is not None and origin.partition("://")[2] == request.headers.get("host")


def _address(request: Request) -> str:
    return request.client.host if request.client else "?"


def _preferred(accepted: str) -> Tongue:
    return "zh" if accepted.strip().lower().startswith("zh") else "en"


def refusal(error: Exception) -> Screen:
    """The page of an error: what happened, and what to do."""
    title, status, more = pick("This did not work", "操作未完成"), 422, {"role": ""}
    match error:
        case Denied():
            status, more["role"] = 403, error.role
            title, text = pick("Not for your role", "您的角色不能这样做"), ""
        case Refused(code=code):
            status = REFUSALS[code].status if code in REFUSALS else 422
            text = pick(str(error), REFUSALS[code].zh if code in REFUSALS else str(error))
        case ApiError():
            status, text = error.status, str(error)
        case ValidationError():
            first = error.errors()[0]
            text = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        case PromoError():
            text = str(error)
        case _:
            LOG.error("console failed", exc_info=error)
            status, text = (
                500,
                pick(
                    "Something failed inside; the server's log has more. Nothing was changed.",
                    "内部出错，详情见服务器日志。没有任何更改。",
                ),
            )
    if status == 404:
        title = pick("Nothing here", "这里没有内容")
    return Screen("error.html", title, {"text": text, "status": HTTPStatus(status).phrase, **more}, status=status)


@cache
def _zipped(name: str) -> bytes:
    return gzip.compress(assets()[name])


def static(name: str, accepts: str) -> Response:
    """A file, kept by the browser for a year: a changed one has another name."""
    content = assets().get(name)
    if content is None:
        return Response(b"", 404)
    headers = {"cache-control": "public, max-age=31536000, immutable"}
    if "gzip" in accepts and not name.endswith("woff2"):
        headers |= {"content-encoding": "gzip", "vary": "accept-encoding"}
        content = _zipped(name)
    return Response(content, headers=headers, media_type=TYPES[name.rpartition(".")[2]])
