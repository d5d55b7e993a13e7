"""Files and an address in; a running server out. What `promolift serve` calls."""

import os
import tomllib
from pathlib import Path

os.environ.setdefault("POLARS_MAX_THREADS", "1")  # small frames: handing them to other threads costs more than it saves

from promolift.config import load_config
from promolift.errors import ConfigError
from promolift.serve.settings import ServeSettings


def read_settings(path: Path | None, work: Path) -> ServeSettings:
    """The server's settings from a TOML file, the work folder from the command line. Raises ConfigError."""
    values: dict[str, object] = {}
    if path is not None:
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"{path}: cannot be read ({error}); see docs/serve.md for an example") from None
    if ledger := os.environ.get("PROMOLIFT_LEDGER"):
        values["ledger"] = ledger
    return ServeSettings.parse({"work": work} | values, str(path or "promolift serve"))


def run_server(config: Path, work: Path, settings: Path | None, host: str, port: int, as_json: bool = False) -> None:
    """Serve until stopped. Without promolift.toml no new release can be made, but all else works."""
    stated, shop = read_settings(settings, work), load_config(config) if config.is_file() else None
    try:
        from promolift.serve.app import serve
    except ImportError as error:
        raise ConfigError(f"serve needs {error.name}; pip install 'promolift[serve]'") from None
    serve(stated, shop, host, port, as_json)
