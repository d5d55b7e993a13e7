"""Build the ASGI application from the server settings (`create`) and run it with uvicorn (`serve`)."""

import asyncio
import gc
import json
import logging
import re
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import cache, partial
from importlib.resources import files
from multiprocessing import current_process
from time import monotonic
from typing import Any, NamedTuple

import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from promolift.foundation.errors import ConfigError, PromoError
from promolift.foundation.extension import listed, load_reference
from promolift.foundation.i18n.catalogue import gettext, use_locale
from promolift.foundation.i18n.lazy_message import LazyMessage, gettext_lazy
from promolift.foundation.version import __version__
from promolift.server.admin_responses import Ready, answers
from promolift.server.api import observability
from promolift.server.api.api_keys import OPEN_PATHS, SNIPPET_PATH
from promolift.server.api.connection_limits import LimitedHttpProtocol
from promolift.server.api.middleware import ApiMiddleware
from promolift.server.api.problems import ApiError, Problem, problem_response, validation_error
from promolift.server.api.request_examples import REQUEST_EXAMPLES
from promolift.server.api.routes import (
    IdempotencyKey,
    admin,
    annotations,
    batch,
    campaign_summary,
    carts,
    data_subject_rights,
    experiments,
    export,
    fast_routes,
    lists,
    redemptions,
)
from promolift.server.api.routes.fast_routes import FastRoute
from promolift.server.api.server import Server
from promolift.server.delivery import outbox
from promolift.server.settings import ServeSettings
from promolift.shop.configuration.configuration import Config

GC_THRESHOLD = 20_000  # new objects before they are looked through; at Python's 700 every few requests
STARTUP_FAILED = 3  # exit code of a server that could not start, as uvicorn has it
THREAD_SWITCH_S = 0.001  # two threads share the interpreter: at Python's 5 ms every answer sent could wait so long
LOG = logging.getLogger("promolift.server")


class WrappedApp(NamedTuple):
    """The application with the console mounted, and the path where the first user signs in (None if users exist)."""

    app: Any
    first_path: str | None


AppWrapper = Callable[[Any], WrappedApp]


def create(settings: ServeSettings, config: Config | None = None) -> Any:
    """Build the ASGI application. `app.server` is its state; it closes with the app's lifespan.

    Exports run in a process of their own, which imports the script that was started: call it under
    `if __name__ == "__main__":`. Raises ConfigError in that process if it is not.
    """
    if getattr(current_process(), "_inheriting", False):  # as multiprocessing itself asks
        guard = gettext_lazy('put what starts the server under `if __name__ == "__main__":`')
        raise ConfigError(
            "main_guard_missing",
            gettext_lazy("serve: a process that reads for the server ran the whole script again; {guard}", guard=guard),
        )
    server = Server(settings, config)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        server.tasks.start()
        try:
            yield
        finally:
            await server.tasks.stop()
            await server.outbox.stop()
            await server.scheduler.stop()
            await asyncio.to_thread(server.close)

    traced = observability.tracing_options()
    app = FastAPI(
        title="promolift", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None,
        responses={"default": {"model": Problem, "description": "A problem (RFC 9457)"}}, **traced,
    )  # fmt: skip
    app.state.server = server
    for kind in (PromoError, ValidationError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, _problem)
    routes = fast_routes.add_fast_routes(app, server)
    for each in (
        redemptions,
        lists,
        batch,
        carts,
        admin,
        export,
        data_subject_rights,
        campaign_summary,
        experiments,
        annotations,
    ):
        app.include_router(each.router)
    for router in listed("routes"):
        app.include_router(load_reference(router))
    _operations(app, server)
    add_openapi(app, routes)
    # FastAPI traces what passes through it: then decisions and events do too, and cost more
    guarded: Any = ApiMiddleware(app, server, {} if traced else {route.path: route.endpoint for route in routes})
    guarded.server, guarded.openapi = server, app.openapi
    return guarded


def serve(
    settings: ServeSettings, config: Config | None, host: str, port: int, as_json: bool = False,
    console: AppWrapper | None = None,
) -> None:  # fmt: skip
    """Run the server until it is stopped; requests under way are finished.

    The admin key of a new ledger is printed at once, the address when requests are taken there; `as_json`: each as a
    line of JSON. `console` puts pages for people beside the API; the link by which the first person enters is printed.
    """
    observability.set_up_logs()
    app = create(settings, config)
    draining = app.server.draining
    if key := app.server.first_key:
        print(
            json.dumps({"admin_key": key}) if as_json else gettext("admin key, shown once: {key}", key=key), flush=True
        )
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    if console is not None:
        dressed = console(app)
        app = dressed.app
        if dressed.first_path:
            link = f"{url}{dressed.first_path}"
            print(
                json.dumps({"console": link}) if as_json else gettext("console, opens once: {link}", link=link),
                flush=True,
            )
    said = json.dumps({"ready": True, "url": url}) if as_json else gettext("ready: {url}", url=url)
    with use_locale("en"):  # a request says which language it wants
        run_uvicorn(app, host, port, said, settings.connections, Drain(settings.drained_s, draining))


class Drain(NamedTuple):
    """How long requests are still answered once the server is to end, and what says so meanwhile."""

    seconds: float
    begun: threading.Event


def run_uvicorn(
    app: Any, host: str, port: int, ready: str = "", connections: int = 2000, drain: Drain | None = None
) -> None:
    """Run an ASGI app as the server is run; `ready` is printed once requests are taken."""
    sys.setswitchinterval(THREAD_SWITCH_S)
    gc.collect()
    gc.freeze()  # releases and code live as long as the process: looking through them again would stop it for long
    gc.set_threshold(GC_THRESHOLD, 20, 20)
    server = HttpServer(uvicorn_config(app, host, port, connections, drain and drain.begun), ready, drain)
    with suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        raise SystemExit(STARTUP_FAILED)


def uvicorn_config(
    app: Any, host: str, port: int, connections: int = 2000, draining: threading.Event | None = None
) -> uvicorn.Config:
    """Return the uvicorn configuration with limited connections."""
    plain = uvicorn.Config(
        app, host=host, port=port, lifespan="on", log_config=None, access_log=False, server_header=False,
        proxy_headers=False,
    )  # fmt: skip
    if plain.http == "auto":
        plain.http = partial(LimitedHttpProtocol, connections, draining or threading.Event())  # type: ignore[assignment]
    return plain


class HttpServer(uvicorn.Server):
    """A uvicorn server that reports when it is ready, closes slow connections and drains before it ends."""

    def __init__(self, config: uvicorn.Config, line: str = "", drain: Drain | None = None) -> None:
        """Not started yet."""
        super().__init__(config)
        self._line, self._drain = line, drain or Drain(0.0, threading.Event())
        self._until_s: float | None = None

    def handle_exit(self, sig: int, frame: Any) -> None:
        """SIGTERM once: drain, then end. Again, or any other signal: end."""
        if sig == signal.SIGTERM and self._drain.seconds and self.started and not self._drain.begun.is_set():
            self._drain.begun.set()
        else:
            super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take what has connected already, then close: what the system has accepted for us would be reset."""
        for _ in range(3):
            await asyncio.sleep(0.001)
        await super().shutdown(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        if self.started and self._line:
            print(self._line, flush=True)

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second."""
        if self._drain.begun.is_set() and not self.should_exit:
            self._until_s = self._until_s or monotonic() + self._drain.seconds
            if monotonic() >= self._until_s:
                super().handle_exit(signal.SIGTERM, None)
        if counter % 10 == 0:
            now_s = asyncio.get_running_loop().time()
            for connection in list(self.server_state.connections):
                if isinstance(connection, LimitedHttpProtocol):
                    connection.close_if_late(now_s)
        return await super().on_tick(counter)


def _operations(app: FastAPI, server: Server) -> None:
    @app.get("/health/live", tags=["operations"])
    async def live() -> dict[str, str]:  # in the event loop, as `ready`: no thread and no commit may be missing for it
        """The process runs."""
        return {"status": "live"}

    @app.get(SNIPPET_PATH, tags=["events"], response_class=Response)
    def script() -> Response:
        """The script that sends a web page's events here."""
        kept = {"cache-control": "public, max-age=3600", "cross-origin-resource-policy": "cross-origin"}
        return Response(load_snippet(), headers=kept, media_type="text/javascript; charset=utf-8")

    @app.get("/health/ready", tags=["operations"], **answers(Ready))
    async def ready() -> JSONResponse:
        """The ledger keeps changes, all work on the side is done, the releases in use are loaded, and the server is not
        about to end; else 503. What it says is at most some seconds old.
        """
        why = ["the server is about to end"] if server.draining.is_set() else []
        why += [f"the ledger is damaged: {fault}; see `promolift ledger verify`" for fault in server.row_faults[:1]]
        if not (why or server.keeps_changes):
            why = ["the ledger takes no changes"]
        if not why:
            why = [f"release {name} is not loaded" for name in server.missing_releases]
            why += [f"duty {name} fails" for name in server.tasks.dead]
            why += ["the clock jumped"] * server.clock.skewed
        if why:
            return JSONResponse({"status": "not ready", "why": why}, 503)
        return JSONResponse({"status": "ready", "releases": sorted(server.decider.releases)})

    @app.get("/metrics", tags=["operations"], response_class=Response)
    def metrics() -> Response:
        """Prometheus counters; needs an admin key, as they show how the business goes."""
        with server.ledger.read() as db:
            server.metrics.waiting.set(outbox.count_waiting(db))
        for duty in server.tasks.all:
            server.metrics.duties.labels(duty.name).set(duty.failed)
        return Response(server.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


@cache
def load_snippet() -> str:
    """Return promolift.js as pages load it: without indentation and comment lines."""
    text = files("promolift.server.api").joinpath("promolift.js").read_text("utf-8")
    lines = map(str.strip, text.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("//"))


def _methods(request: Request) -> set[str]:
    paths = request.app.openapi()["paths"]
    mine = (each for each in paths if re.fullmatch(re.sub(r"\\{\w+\\}", "[^/:]+", re.escape(each)), request.url.path))
    return {method.upper() for each in mine for method in paths[each]}


async def _problem(request: Request, error: Exception) -> Response:
    request_id = request.scope["promolift"].request_id
    if isinstance(error, RequestValidationError):
        errors = error.errors()
        broken = any(each["type"] == "json_invalid" for each in errors)
        error = (
            ApiError(400, "json_invalid", gettext_lazy("the body is not valid JSON"))
            if broken
            else validation_error(errors)
        )
    elif isinstance(error, HTTPException):
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "http_error")
        reply = problem_response(
            ApiError(error.status_code, code, LazyMessage.untranslated(str(error.detail))), request_id
        )
        reply.headers.update(error.headers or {})
        if error.status_code == 405:  # Starlette names those of the first route that has this path
            reply.headers["allow"] = ", ".join(sorted(_methods(request)))
        return reply
    elif not isinstance(error, ApiError):
        LOG.info("refused", extra={"request_id": request_id, "kind": type(error).__name__})
    return problem_response(error, request_id)


def add_openapi(app: FastAPI, plain: Sequence[FastRoute]) -> None:
    """Replace the app's `openapi` by one that says what the app does, routes outside FastAPI included."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:  # the routes, too, are made when somebody asks: a start does not wait for them
            routes = [
                APIRoute(
                    each.path, _stub(each), methods=["POST"], response_model=each.answer, status_code=each.status,
                    summary=each.text, description=each.text, tags=[each.tag], responses=app.router.responses,
                    operation_id=each.path.strip("/").replace("/", "_").replace(":", "_"),
                )
                for each in plain
            ]  # fmt: skip
            document = get_openapi(title=app.title, version=app.version, routes=[*app.routes, *routes])
            problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
            for operations in document["paths"].values():
                for operation in operations.values():
                    operation["responses"].pop("422", None)
                    operation["responses"]["default"] = {"description": "A problem (RFC 9457)", "content": problem}
            schemas = document["components"]["schemas"]
            for name, body in REQUEST_EXAMPLES.items():
                schemas[name]["examples"] = [body]
            merge = document["paths"]["/v1/campaigns/{campaign_id}"]["patch"]["requestBody"]["content"]
            fields = schemas["CampaignIn"]["properties"].items()
            nullable = {name: {"anyOf": [each, {"type": "null"}]} for name, each in fields}
            merge["application/json"]["schema"] |= {
                "properties": nullable,
                "additionalProperties": False,
                "examples": [{"paused": True}],
            }
            keys = {"type": "http", "scheme": "bearer"}, {"type": "http", "scheme": "basic"}
            document["components"]["securitySchemes"] = dict(zip(("key", "writeKey"), keys, strict=True))
            document["security"] = [{"key": []}, {"writeKey": []}]
            for path in OPEN_PATHS & document["paths"].keys():
                for operation in document["paths"][path].values():
                    operation["security"] = []
            app.openapi_schema = document
        return dict(app.openapi_schema)

    app.openapi = openapi  # type: ignore[method-assign]


def _stub(route: FastRoute) -> Callable[..., Any]:
    """What FastAPI would be given for a route: its signature is read for the document, it is never called."""
    if route.tag == "events":

        def stub(body: Any, dry_run: bool = False) -> Any: ...
    else:

        def stub(body: Any, idempotency_key: IdempotencyKey = None) -> Any: ...  # type: ignore[misc]

    stub.__annotations__["body"] = route.body
    return stub
