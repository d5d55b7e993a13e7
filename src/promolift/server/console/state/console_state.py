"""State of the console between requests: signed-in users, flash messages, cached results."""

import asyncio
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

from sqlalchemy import Connection

from promolift.foundation.errors import ConfigError
from promolift.foundation.i18n.formatting import current_locale, date
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.localized_text import LANGUAGES
from promolift.foundation.storage.local_store import Store
from promolift.foundation.storage.next_version import finish_switch
from promolift.server.api.api_keys import RateLimiter
from promolift.server.api.routes.campaign_summary import SimulatedPeriod
from promolift.server.api.server import Server
from promolift.server.console.state.background_jobs import BackgroundJobs
from promolift.server.console.state.users import LoginThrottle, Visitor, load_session, touch_session
from promolift.server.ledger.records import Annotation
from promolift.server.translations import translate_refusal
from promolift.shop.configuration.configuration import Config, ShopSettings, load_config
from promolift.shop.configuration.fragment import change_settings
from promolift.shop.results.plan_note import PlanNote
from promolift.shop.results.work_folder.run_context import Job

TEST_MESSAGES, TEST_MESSAGES_PER_S = 5, 1 / 60  # of alerts: at once by one person, and one more each minute


class _Kept(NamedTuple):
    """A result in memory, and the mark of what it was made from."""

    mark: Any
    value: Any


class FlashMessage(NamedTuple):
    """A message that the next page shows once: a sentence, and whether it is good or bad news."""

    text: str
    tone: str = "good"


class Console:
    """The console's state. One per server."""

    def __init__(self, server: Server, file: Path | None = None) -> None:
        """Nothing is read yet. `file`: promolift.toml, or where it would be; a demo has one once it is changed."""
        self.server, self.patience, self.jobs = server, LoginThrottle(), BackgroundJobs(server)
        self.test_messages = RateLimiter(TEST_MESSAGES_PER_S, TEST_MESSAGES)
        self.loop: asyncio.AbstractEventLoop | None = None  # the server's
        self.file, self._changing = file or server.settings.work / "promolift.toml", threading.Lock()
        self.reading_files = threading.Lock()  # files of a new shop are read by one page at a time
        if file is None and self.file.exists():
            server.config = load_config(self.file)
        self.openapi: Callable[[], dict[str, Any]] = dict  # what the API says of itself
        self._notes: dict[str, list[FlashMessage]] = defaultdict(list)
        self._kept: dict[Any, _Kept] = {}
        self._mine, self._stores = threading.local(), list[Store]()
        self._making: dict[Any, threading.Lock] = defaultdict(threading.Lock)

    @property
    def shop(self) -> ShopSettings:
        """Whose shop it is."""
        return self.server.config.shop if self.server.config else ShopSettings(languages=LANGUAGES)

    def visitor(self, cookie: str) -> Visitor | None:
        """Who is signed in with this cookie."""
        hours, now_ms = self.server.settings.console.idle_hours, self.server.clock.now_ms()
        with self.server.ledger.read() as db:
            found = load_session(db, cookie, now_ms, hours)
        if found and found.stale:
            session = found.visitor.session

            def seen(db: Connection, some: list[None]) -> list[None]:
                touch_session(db, session, now_ms, hours)
                return some

            self.server.ledger.submit(seen)
        return found.visitor if found else None

    def excluded_days(self) -> list[str]:
        """Describe the days that count in no result; every page shows them."""
        with self.server.ledger.read() as db:
            noted = [each for each in Annotation.all(db).values() if each.excluded]
        return [f"{each.first}{'' if each.first == each.last else f' – {each.last}'}: {each.text}" for each in noted]

    def simulated_since(self) -> str:
        """Return since when days of a demo were simulated; empty where none were. Every page shows it."""
        with self.server.ledger.read() as db:
            first = min((each.begun_ms for each in SimulatedPeriod.all(db).values()), default=None)
        return "" if first is None else date(first, self.shop.zone)

    def add_message(self, session: str, note: FlashMessage) -> None:
        """Show a message on the next page of a session."""
        self._notes[session].append(note)

    def pop_messages(self, session: str) -> list[FlashMessage]:
        """Return and remove the messages of a session."""
        return self._notes.pop(session, [])

    @property
    def store(self) -> Store:
        """The work folder, for reading: one for each thread, kept open, since opening one takes longer than a page."""
        if (found := getattr(self._mine, "store", None)) is None:
            found = self._mine.store = Store(self.server.settings.work)
            self._stores.append(found)
        return found

    def close(self) -> None:
        """Close what is open, once no page is made any more."""
        for store in self._stores:
            store.close()

    def job(self) -> Job:
        """The work folder's results, for reading. Refused where the server was started without promolift.toml."""
        return Job(self.config, self.store, lambda *_: None)

    @property
    def config(self) -> Config:
        """promolift.toml. Refused where there is none yet."""
        if self.server.config is None:
            raise translate_refusal("no_config")
        return self.server.config

    def change(self, parts: Callable[[Config], Mapping[str, Any]]) -> Config:
        """Other values for parts of the settings, by what stands there now; from the next click on they hold."""
        with self._changing:
            self.server.config = change_settings(self.file, self.config, parts(self.config))
            return self.server.config

    def set_up(self, write: Callable[[Path], object]) -> None:
        """Write promolift.toml where there is none, and work by it from then on. ConfigError where there is one."""
        with self._changing:
            if self.file.exists() or self.server.config is not None:
                raise ConfigError(
                    "file_exists", gettext_lazy("{name}: already there; the Data page changes it", name=self.file.name)
                )
            write(self.file)
            self.server.config = load_config(self.file)

    def cached_for(self, name: Any, make: Callable[[], Any], seconds: float = 60.0) -> Any:
        """Return what `make` returned in the last so many seconds; one thread computes it while others wait."""
        with self._making[name]:
            kept, now_s = self._kept.get(name), monotonic()
            if kept is None or now_s - kept.mark > seconds:
                kept = self._kept[name] = _Kept(now_s, make())
            return kept.value

    def cached_result(self, name: str, make: Callable[[Job], Any], *files: str) -> Any:
        """What `make` reads of the work folder; made again when one of its `files` (tables or notes) changed.

        Kept per language, since it may hold words; one makes it while others wait.
        """
        key = name, current_locale()
        names = (*files, f"notes/{PlanNote.NAME}.json")
        with self._making[key]:
            while True:
                finish_switch(self.server.settings.work)
                mark, kept = [self._stamp(each) for each in names], self._kept.get(key)
                if kept is not None and kept.mark == mark:
                    return kept.value
                value = make(self.job())
                finish_switch(self.server.settings.work)
                if mark == [self._stamp(each) for each in names]:  # else a job put another version in place meanwhile
                    self._kept[key] = _Kept(mark, value)

    def _stamp(self, file: str) -> int:
        path = self.server.settings.work / file
        return path.stat().st_mtime_ns if path.exists() else 0
