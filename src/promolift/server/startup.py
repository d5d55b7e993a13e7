"""Start a server from promolift.toml or a work folder, as `promolift serve` does."""

import os
import signal
import threading
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("POLARS_MAX_THREADS", "1")  # small frames: handing them to other threads costs more than it saves

import polars as pl

from promolift.core.decisions.decision_rule import NONE
from promolift.foundation.errors import ConfigError
from promolift.foundation.i18n.catalogue import gettext
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.storage.local_store import Store
from promolift.foundation.storage.remote_storage import on_this_machine, url_of
from promolift.server.settings import ServeSettings
from promolift.shop.configuration.configuration import Config, load_config
from promolift.shop.configuration.extension_sections import read_project
from promolift.shop.results.plan import Plan

if TYPE_CHECKING:
    from promolift.server.api.app import AppWrapper


def read_settings(path: Path | None, work: Path) -> ServeSettings:
    """The server's settings from a TOML file, the work folder from the command line. Raises ConfigError."""
    values: dict[str, object] = {}
    if path is not None:
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            code = "file_not_found" if isinstance(error, FileNotFoundError) else "file_unreadable"
            raise ConfigError(
                code,
                gettext_lazy(
                    "{path}: cannot be read ({error}); see docs/serve.md for an example", path=path, error=error
                ),
            ) from None
    if url := url_of(str(values.get("work", work))):
        raise ConfigError(
            "url_unsupported",
            gettext_lazy(
                "{url}: a server keeps ledger and releases in a folder of its machine; name one by --work", url=url
            ),
        )
    if ledger := os.environ.get("PROMOLIFT_LEDGER"):
        values["ledger"] = ledger
    return ServeSettings.parse({"work": on_this_machine(work)} | values, str(path or "promolift serve"))


def run_server(
    config: Path, work: Path, settings: Path | None, host: str, port: int, as_json: bool = False,
    console: "AppWrapper | None" = None,
) -> None:  # fmt: skip
    """Serve until stopped. Without promolift.toml no new release can be made, but all else works."""
    shop = load_config(config) if config.is_file() and read_project(config) is None else None
    _serve(read_settings(settings, work), shop, host, port, as_json, console)


def serve_planned(shop: Config, work: Path, as_json: bool = False, console: "AppWrapper | None" = None) -> None:
    """Serve a work folder that was planned just now on port 8080; a customer whom the plan gives an offer is named."""
    with Store(work) as store:
        given = Plan.load(store).decisions.filter(pl.col("offer_id") != NONE)["customer_id"].sort()
    if not as_json:
        who = gettext("the plan gives nobody an offer")
        if given.len():
            who = gettext("customer {customer_id} is planned an offer", customer_id=given[0])
        if console is None:
            said = gettext("next: docs/serve.md from POST /v1/releases on; {who}", who=who)
        else:  # a console's demo has its release active
            said = gettext("next: docs/serve.md from the keys on; {who}", who=who)
        print(said, flush=True)
    _serve(read_settings(None, work), shop, "127.0.0.1", 8080, as_json, console)


def _serve(
    settings: ServeSettings, shop: Config | None, host: str, port: int, as_json: bool, console: "AppWrapper | None"
) -> None:
    try:
        from promolift.server.api.app import serve
    except ImportError as error:
        raise ConfigError(
            "extra_missing", gettext_lazy("serve needs {name}; pip install 'promolift[serve]'", name=error.name)
        ) from None
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the server drains, then ends by it: no interruption of a step
    serve(settings, shop, host, port, as_json, console)
