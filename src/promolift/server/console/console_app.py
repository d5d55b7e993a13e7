"""Mount the web console under `/console` beside the API application.

Handlers are plain functions in a small thread pool, so that decisions do not wait for a page. Every page needs a
signed-in user. Every form needs the user's role, a token and a request from the same site.
"""

import asyncio
import contextvars
import gzip
import json
import logging
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import compile_path
from starlette.types import Receive, Scope, Send

from promolift.foundation.errors import PromoError
from promolift.foundation.executors.bounded_pool import RETRY_S, BoundedPool, PoolFullError
from promolift.foundation.i18n.formatting import use_locale
from promolift.foundation.i18n.lazy_message import LazyMessage, render_message
from promolift.server.api.app import WrappedApp
from promolift.server.api.problems import ApiError
from promolift.server.api.routes import admin
from promolift.server.api.server import Server
from promolift.server.console import login
from promolift.server.console.multipart import BOUNDARY, FormTooLargeError, MultipartForm
from promolift.server.console.pages.context import (
    FILE_BYTES,
    INVITATION_PATH,
    Click,
    Download,
    PageVisit,
    Redirect,
    Reply,
    Screen,
    as_json,
    missing_error,
    safe_redirect_path,
    sentence,
)
from promolift.server.console.pages.empty_page import unset_screen
from promolift.server.console.pages.error_page import error_screen, remedy
from promolift.server.console.pages.form_refill import RefusedForm
from promolift.server.console.pages.view import HEADERS, TYPES, PageFrame, assets, render_html
from promolift.server.console.screens import extension_navigation, load_screens
from promolift.server.console.screens.customers import prepare_customers
from promolift.server.console.sign_in_methods import MEMORY_MS, METHOD_PATH, sign_in_methods
from promolift.server.console.state.alert_check import AlertCheck
from promolift.server.console.state.console_state import Console, FlashMessage
from promolift.server.console.state.users import Visitor
from promolift.server.settings import ConsoleSettings
from promolift.server.tasks.background_tasks import BackgroundTask
from promolift.server.translations import translate_group

LOG = logging.getLogger("promolift.server.console")
ROOT = "/console"
SESSION_COOKIE, VISITOR_COOKIE, BROWSER_COOKIE = "promolift_console", "promolift_before", "promolift_browser"
MEMORY_COOKIE = "promolift_provider"  # of a sign-in by a provider, from whose site the browser comes back
BROWSER_COOKIE_S = 365 * 24 * 3600
SIGN_INS, SIGN_INS_WAITING = 2, 30  # passwords that are checked at a time, and that wait: pages have other threads
THREADS = 4
PREPARE_EVERY_S = 60.0
FORM_BYTES, UPLOAD_PART_BYTES = 100_000, 5_000_000  # of a form, and of a piece of a file that somebody signed in sends
UPLOAD_TYPE = "application/octet-stream"
HTML = "text/html; charset=utf-8"


def with_console(
    app: Any, demo: bool = False, file: Path | None = None, play: Callable[[Server], object] | None = None
) -> WrappedApp:
    """Return the app of `serve.app.create` with the console beside it, and the path by which the first person enters.

    `file` is promolift.toml, which the console may change. With `demo` the link asks for nothing, and the plan of the
    work folder decides unless a release does already. `play` is called then: it may fill the ledger with a history.
    """
    sign_in_methods(app.server.settings)  # one that cannot work ends the start
    pages = ConsoleApp(app.server, file)
    pages.console.openapi = app.openapi
    app.server.tasks.add(AlertCheck(pages.console).task)
    app.server.tasks.add(BackgroundTask("customer list", PREPARE_EVERY_S, pages.prepare))
    if demo:
        admin.release_first_plan(app.server)
    if demo and play:
        play(app.server)

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
    return WrappedApp(whole, login.first_login_path(app.server, demo))


class ConsoleApp:
    """ASGI: all that lies under `/console`."""

    def __init__(self, server: Server, file: Path | None = None) -> None:
        """Nothing is read yet."""
        self.server, self.console = server, Console(server, file)
        self._threads = ThreadPoolExecutor(THREADS, "console")
        self._sign_ins = BoundedPool("sign-ins", SIGN_INS, SIGN_INS_WAITING)
        server.closing += [self._sign_ins.close, self._threads.shutdown, self.console.close]
        self._doors = [(compile_path(door.path)[0], door) for door in load_screens()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        started = perf_counter()
        request = Request(scope, receive)
        try:
            reply = await self._answer(request)
        except PoolFullError as error:  # too many sign in at once
            reply = Response(str(error), 503, {"retry-after": str(RETRY_S)}, "text/plain")
        except Exception as error:
            LOG.error("console failed", exc_info=error)
            reply = Response(b"Something failed inside; the server's log has more.", 500, media_type="text/plain")
        for name, value in HEADERS.items():
            reply.headers.setdefault(name, value)
        reply.headers.setdefault("cache-control", "no-store")
        self.server.metrics.count_response("/console", reply.status_code, perf_counter() - started)
        await reply(scope, receive, send)

    async def prepare(self) -> None:
        """Load what a page of a large shop would take long to load at its first click."""

        def loading() -> None:
            with suppress(PromoError):  # a plan that is being replaced; the next round comes
                prepare_customers(self.console)

        await asyncio.get_running_loop().run_in_executor(self._threads, loading)

    async def _answer(self, request: Request) -> Response:
        path, method = request.url.path, request.method
        if path.startswith(f"{ROOT}/static/") and method in ("GET", "HEAD"):
            return static_response(path.rpartition("/")[2], request.headers.get("accept-encoding", ""))
        body, loop = b"", asyncio.get_running_loop()
        if method == "POST":
            known: Visitor | None = None
            kind = request.headers.get("content-type", "")
            boundary = BOUNDARY.match(kind)
            if kind == UPLOAD_TYPE or boundary:
                known = await loop.run_in_executor(self._threads, self._visitor, request)
            if boundary and known and known.may("editor") and is_same_site(request):
                return await self._answer_files(request, boundary[1])
            async for part in request.stream():
                body += part
                if len(body) > (UPLOAD_PART_BYTES if known and not boundary else FORM_BYTES):
                    return Response(b"", 413)
        elif method not in ("GET", "HEAD", "POST"):
            return Response(b"", 405, {"allow": "GET, HEAD, POST"})
        asks_provider = path.startswith(f"{ROOT}{METHOD_PATH}")
        if asks_provider or (method == "POST" and path.rstrip("/") == f"{ROOT}/sign-in"):
            return await self._sign_ins.run(partial(self._in_thread, request, body))
        context = contextvars.copy_context()
        return await loop.run_in_executor(self._threads, context.run, self._in_thread, request, body)

    async def _answer_files(self, request: Request, boundary: str) -> Response:
        """Answer a form with files, which lie in a folder of their own until it is answered."""
        loop = asyncio.get_running_loop()
        self.server.settings.work.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".form-", dir=self.server.settings.work) as folder:
            form = MultipartForm(boundary, Path(folder), FORM_BYTES, FILE_BYTES)
            try:
                async for part in request.stream():
                    await loop.run_in_executor(self._threads, form.feed, part)
                form.end()
            except FormTooLargeError:
                return Response(sentence("file_too_large", most=FILE_BYTES >> 30), 413, media_type="text/plain")
            finally:
                form.close()
            context = contextvars.copy_context()
            return await loop.run_in_executor(self._threads, context.run, self._in_thread, request, b"", form)

    def _visitor(self, request: Request) -> Visitor | None:
        cookie = request.cookies.get(SESSION_COOKIE, "")
        return self.console.visitor(cookie) if cookie else None

    def _in_thread(self, request: Request, body: bytes, sent: MultipartForm | None = None) -> Response:
        visitor = self._visitor(request)
        click = parse_click(request, body, self.server.settings.console)
        if sent is not None:
            click = click._replace(form=sent.fields, files=sent.files, back=sent.fields.pop("back", ""))
        wanted = visitor.language if visitor else request.headers.get("accept-language", "").strip()
        with use_locale(self.console.shop.nearest_language(wanted)):
            if visitor is not None:
                return self._said(self._visit(visitor, click), visitor, click)
            before = request.cookies.get(VISITOR_COOKIE) or secrets.token_urlsafe(18)
            browser = request.cookies.get(BROWSER_COOKIE, "")
            memory = request.cookies.get(MEMORY_COOKIE, "")
            return self._entering(login.LoginAttempt(self.server, self.console, click, before, browser, memory))

    def _visit(self, visitor: Visitor, click: Click) -> Reply:
        """What the door of this method and path answers."""
        method, path = "GET" if click.method == "HEAD" else click.method, click.path.rstrip("/") or "/"
        try:
            for pattern, door in self._doors:
                if door.method == method and (found := pattern.match(path)):
                    visit = PageVisit(self.server, visitor, click, found.groupdict(), self.console)
                    if method == "POST" and not click.trusted(visitor.token):
                        raise ApiError(403, "form_outdated", LazyMessage.untranslated(sentence("form_old")))
                    visit.require_role(door.role)
                    return (unset_screen(visit) if method == "GET" else None) or door.handler(visit)
            if method == "GET" and any(door.method == "POST" and pattern.match(path) for pattern, door in self._doors):
                return Redirect(path.rpartition("/")[0] or "/")  # a form that was refused, loaded again by its address
            if path.startswith(("/sign-in", INVITATION_PATH)):
                return Redirect("/")
            raise missing_error("page")
        except Exception as error:
            shown = error_screen(error)
            if method == "POST" and not click.plain and visitor and click.trusted(visitor.token):
                return self._form_again(visitor, click, shown)
            return shown

    def _form_again(self, visitor: Visitor, click: Click, refused: Screen) -> Screen:
        """The page that a refused form came from, filled in as it was sent; the error's own page where it has none."""
        if not click.back or refused.status >= 500 or refused.data["role"]:
            return refused
        where = urlsplit(safe_redirect_path(click.back))
        back = click._replace(method="GET", path=where.path, query=dict(parse_qsl(where.query)), form={}, files=())
        page = self._visit(visitor, back)
        if not isinstance(page, Screen) or not page.whole or page.status != 200:
            return refused
        form = RefusedForm(ROOT + click.path, click.form, refused.data["text"], remedy(refused.data["code"]))
        return replace(page, status=422, refused=form, page_address=back.page_address)

    def _said(self, reply: Reply, visitor: Visitor, click: Click) -> Response:
        if isinstance(reply, Redirect):
            if reply.message:
                self.console.add_message(visitor.session, FlashMessage(reply.message, reply.tone))
            if click.plain and click.path.endswith("/upload"):  # a script sends files
                return Response(json.dumps({"go": ROOT + reply.path}), media_type="application/json")
            return Response(b"", 303, {"location": ROOT + reply.path})
        if isinstance(reply, Download):
            named = f"attachment; filename*=UTF-8''{quote(reply.name)}"
            return Response(reply.content, headers={"content-disposition": named}, media_type=reply.type)
        if click.plain:
            return Response(as_json(reply), reply.status, media_type="application/json")
        nav = {at: name for at, name in translate_group("nav").items() if at != "/people" or visitor.may("admin")}
        nav |= extension_navigation()
        frame = PageFrame(visitor, reply.page_address or click.back or click.page_address, self.console.shop, nav)
        if reply.whole:
            frame = frame._replace(
                messages=self.console.pop_messages(visitor.session),
                left_out=self.console.excluded_days(),
                played=self.console.simulated_since(),
                notices=[render_message(each) for each in self.server.notices.values()],
            )
        return Response(render_html(reply, frame), reply.status, media_type=HTML)

    def _entering(self, arrived: login.LoginAttempt) -> Response:
        """What somebody sees who is not signed in; and the cookie, once they are."""
        reply, begun, browser, leave, memory = login.log_in(arrived)
        keep: Any = {
            "path": ROOT,
            "secure": self.server.settings.console.secure,
            "httponly": True,
            "samesite": "strict",
        }
        if arrived.click.plain and begun is None:
            title = {"title": reply.title if isinstance(reply, Screen) else "sign in"}
            return Response(json.dumps(title), 401, media_type="application/json")
        if leave:
            answer = Response(b"", 303, {"location": leave})
            kept = keep | {"path": f"{ROOT}{METHOD_PATH}", "samesite": "lax"}
            answer.set_cookie(MEMORY_COOKIE, memory, max_age=MEMORY_MS // 1000, **kept)
            return answer
        if isinstance(reply, Redirect):
            answer = Response(b"", 303, {"location": ROOT + reply.path})
        else:
            assert isinstance(reply, Screen)
            answer = Response(render_html(reply, PageFrame(None, "", self.console.shop)), reply.status, media_type=HTML)
        if arrived.memory:
            answer.delete_cookie(MEMORY_COOKIE, path=f"{ROOT}{METHOD_PATH}")
        if begun is not None:
            answer.set_cookie(SESSION_COOKIE, begun.cookie, **keep)
            answer.delete_cookie(VISITOR_COOKIE, path=ROOT)
            if browser:
                answer.set_cookie(BROWSER_COOKIE, browser, max_age=BROWSER_COOKIE_S, **keep)
        else:
            answer.set_cookie(VISITOR_COOKIE, arrived.before, **keep)
        return answer


def parse_click(request: Request, body: bytes, settings: ConsoleSettings) -> Click:
    """Parse a request; a form counts as ours if the browser says it comes from a page of this server."""
    piece = request.headers.get("content-type") == UPLOAD_TYPE
    text = "" if piece else body.decode("utf-8", "replace")
    form = dict(parse_qsl(text, keep_blank_values=True, max_num_fields=2000))
    if piece:
        form["token"] = request.headers.get("x-token", "")
    return Click(
        request.method, request.url.path.removeprefix(ROOT) or "/", dict(request.query_params), form,
        body if piece else b"",
        login.client_address(
            request.client.host if request.client else "?", request.headers.getlist("x-forwarded-for"), settings.proxies
        ), is_same_site(request), back=form.pop("back", ""),
        origin=f"{'https' if settings.secure else request.url.scheme}://{request.url.netloc}",
    )  # fmt: skip


def is_same_site(request: Request) -> bool:
    """Whether the browser says that a request comes from a page of this server."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin") or ""
    return site == "same-origin" if site is not None else origin.partition("://")[2] == request.headers.get("host")


@cache
def _zipped(name: str) -> bytes:
    return gzip.compress(assets()[name])


def static_response(name: str, accepts: str) -> Response:
    """Return a static file, cached by the browser for a year: a changed file has another name."""
    content = assets().get(name)
    if content is None:
        return Response(b"", 404)
    headers = {"cache-control": "public, max-age=31536000, immutable"}
    if "gzip" in accepts and not name.endswith("woff2"):
        headers |= {"content-encoding": "gzip", "vary": "accept-encoding"}
        content = _zipped(name)
    return Response(content, headers=headers, media_type=TYPES[name.rpartition(".")[2]])
