"""Back up and restore a server, verify its data and delete what exceeds its retention period.

A backup is a folder with `ledger.db`, `releases/`, `secret.key` (from which codes are made) and a manifest of hashes.
It is written under a temporary name and renamed when all is on disk, so a folder with the final name is complete.
PostgreSQL has its own backup tools.
"""

import os
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path
from time import time
from typing import Any, NamedTuple

from sqlalchemy import Connection, Table, create_engine, delete, select
from sqlalchemy.sql.elements import ColumnElement

from promolift.foundation.errors import ConfigError, InputError, PromoError
from promolift.foundation.hashing import sha256_of_file
from promolift.foundation.i18n.catalogue import gettext, pgettext, pgettext_noop
from promolift.foundation.i18n.lazy_message import LINES, LazyMessage, gettext_lazy, join_messages
from promolift.foundation.progress import StepSummary
from promolift.foundation.settings import Settings
from promolift.foundation.storage.artifacts import remember_output
from promolift.foundation.storage.local_store import Store
from promolift.foundation.time.clock import DAY_MS
from promolift.foundation.version import __version__
from promolift.server.decisions.release_storage import load_shared_release, open_shared_releases
from promolift.server.ledger.audit_log import first_break
from promolift.server.ledger.engines import check_file, find_damage, is_local_file
from promolift.server.ledger.ledger import Ledger
from promolift.server.ledger.limits import inconsistent_cells
from promolift.server.ledger.migrations import open_tables
from promolift.server.ledger.records import Campaign
from promolift.server.ledger.schema import ACCEPTED_OFFERS, DECISIONS, EVENTS, OUTBOX, PURCHASES, REDEMPTIONS, REJECTS
from promolift.server.settings import ServeSettings
from promolift.server.tasks.audited_state import find_unaudited
from promolift.shop.results.line_tests import purge_draws

ROWS_PER_CHANGE = 2000  # rows that go in one change, so that a server goes on meanwhile
KEY_FILE, LEDGER_FILE, RELEASES_FOLDER, MANIFEST_FILE = "secret.key", "ledger.db", "releases", "manifest.json"
# A part of a path that is a plain name on every system, Windows included: it may be drawn from a manifest by a stranger
PLAIN_NAME = re.compile(
    r"(?!(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])\s*(?:\.|$))[^\x00-\x1f\x7f/\\:*?\"<>|]*[^\x00-\x20\x7f/\\:*?\"<>|.]",
    re.IGNORECASE,
)


class BackupNote(Settings):
    """What a backup says of itself: the hash of every file."""

    form: int = 1
    code: str
    made_ms: int
    files: dict[str, str]


def backup(settings: ServeSettings, to: Path) -> StepSummary:
    """Copy the ledger as of one moment, while a server may run, and all that belongs to it."""
    source = _file_of(settings)
    if to.exists():
        raise InputError("file_exists", gettext_lazy("{to}: is there already; name a folder that is not", to=to))
    check_file(source)
    draft = to.with_name(f"{to.name}.part")
    shutil.rmtree(draft, ignore_errors=True)  # of a backup that did not come to its end
    draft.mkdir(parents=True, mode=0o700)
    uri = f"{source.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True)) as here, closing(sqlite3.connect(draft / LEDGER_FILE)) as there:
        here.backup(there, pages=4096)
        there.execute("pragma journal_mode = delete")
    home = settings.work / "serve" / RELEASES_FOLDER
    if home.is_dir():
        shutil.copytree(home, draft / RELEASES_FOLDER, ignore=shutil.ignore_patterns("draft.*"))
    shutil.copy(settings.work / KEY_FILE, draft / KEY_FILE)
    files = {path.relative_to(draft).as_posix(): sha256_of_file(path) for path in sorted(_files(draft))}
    note = BackupNote(code=__version__, made_ms=round(time() * 1000), files=files)
    (draft / MANIFEST_FILE).write_text(note.model_dump_json(indent=1), encoding="utf-8")
    _sync(draft)
    draft.rename(to)
    remember_output(settings.work, to)
    size = sum(path.stat().st_size for path in _files(to))
    figures = {"step": "ledger backup", "backup": str(to), "files": len(files), "bytes": size}
    return StepSummary(
        gettext_lazy("{to}: {files} files, {size} bytes", to=to, files=len(files), size=f"{size:,}"), figures
    )


def restore(settings: ServeSettings, source: Path) -> StepSummary:
    """Put a backup where a server looks for it; refused where a ledger is, or where the backup is not whole."""
    place = settings.work / "serve"
    if place.is_symlink():
        raise InputError(
            "file_exists",
            gettext_lazy("{place}: is a link; move it away first, a backup is not put where it leads", place=place),
        )
    taken = [_file_of(settings, there=False), *(place.iterdir() if place.exists() else ())]
    if there := [path for path in taken if path.exists() or path.is_symlink()]:
        raise InputError(
            "file_exists",
            gettext_lazy("{there}: is there already; move {place} away first", there=there[0], place=place),
        )
    try:
        note = BackupNote.model_validate_json((source / MANIFEST_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            "backup_invalid",
            gettext_lazy(
                "{source}: is no whole backup ({name}); name the folder of one",
                source=source,
                name=type(error).__name__,
            ),
        ) from None
    if wrong := sorted({LEDGER_FILE, KEY_FILE} - note.files.keys()) or _foreign_names(source, note.files):
        raise InputError(
            "backup_invalid",
            gettext_lazy(
                "{source}: {wrong} is missing, or is no file that a backup has; use another backup",
                source=source,
                wrong=repr(wrong[0]),
            ),
        )
    for name, digest in note.files.items():
        if not (source / name).is_file() or sha256_of_file(source / name) != digest:
            raise InputError(
                "file_changed",
                gettext_lazy("{source}: is missing or was changed; use another backup", source=source / name),
            )
    if damage := find_damage(source / LEDGER_FILE):
        raise InputError(
            "ledger_damaged",
            gettext_lazy(
                "{source}: is damaged ({damage}); use another backup", source=source / LEDGER_FILE, damage=damage[0]
            ),
        )
    key = settings.work / KEY_FILE
    if key.exists() and key.read_bytes() != (source / KEY_FILE).read_bytes():
        raise InputError(
            "secret_differs",
            gettext_lazy(
                "{key}: differs from the backup's, which its codes and secrets are made with; move it away", key=key
            ),
        )
    draft = settings.work / "serve.part"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True, mode=0o700)
    for name in note.files:
        (draft / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / name, draft / name)
    _sync(draft)
    (draft / KEY_FILE).replace(key)
    if place.exists():
        place.rmdir()  # it is empty
    draft.rename(place)
    figures = {"step": "ledger restore", "restored": str(place), "files": len(note.files), "made_ms": note.made_ms}
    return StepSummary(gettext_lazy("{place}: {files} files put back", place=place, files=len(note.files)), figures)


def _foreign_names(source: Path, names: Iterable[str]) -> list[str]:
    """Names in a manifest that a backup does not have: they lead out of its folder, or are or pass a link."""
    home = source.resolve()
    return [
        name for name in names
        if not (name in (LEDGER_FILE, KEY_FILE) or name.startswith(f"{RELEASES_FOLDER}/"))
        or not all(map(PLAIN_NAME.fullmatch, name.split("/")))
        or (source / name).resolve() != home / name
    ]  # fmt: skip


def verify(settings: ServeSettings) -> StepSummary:
    """Whether all is sound; `faults` names what is not.

    The database itself, the audit chain, every limit as the sum of its redemptions, redemptions and rules as the audit
    log says them, and each release that a campaign or a decision refers to. Nothing more is looked at where the
    database is damaged.
    """
    faults, referred = list[LazyMessage](), set[str]()
    if is_local_file(settings.ledger_url):
        faults += [gettext_lazy("database: {fault}", fault=line) for line in find_damage(_file_of(settings))]
    if not faults:
        faults, referred = _verify_rows(settings)
    for release_id in sorted(referred):
        try:
            load_shared_release(settings.releases, settings.work, release_id)
        except Exception as error:
            faults.append(gettext_lazy("release {release_id}: {error}", release_id=release_id, error=_reason(error)))
    figures = {"step": "ledger verify", "sound": not faults, "faults": faults, "releases": len(referred)}
    sound = gettext_lazy("all is sound; {referred} releases are referred to", referred=len(referred))
    return StepSummary(join_messages(LINES, *faults) if faults else sound, figures)


def _reason(error: Exception) -> str:
    return error.message if isinstance(error, PromoError) else str(error)


class RowCheck(NamedTuple):
    """The faults of what the database holds, and the releases that it refers to."""

    faults: list[LazyMessage]
    referred: set[str]


def _verify_rows(settings: ServeSettings) -> RowCheck:
    with Ledger(settings.ledger_url, open_tables) as ledger:
        return _check_rows(ledger.read)


def find_row_faults(ledger: str) -> list[str]:
    """Return what the rows of a ledger say against each other, in a process of its own: a database without checksums
    does not see it."""
    engine = create_engine(ledger)
    try:
        return [*_check_rows(engine.connect).faults]
    finally:
        engine.dispose()


def _check_rows(read: Callable[[], AbstractContextManager[Connection]]) -> RowCheck:
    faults, referred = list[LazyMessage](), set[str]()

    def check_audit(db: Connection) -> None:
        if broken := first_break(db):
            faults.append(gettext_lazy("audit: row {row} does not follow from the one before", row=broken))

    def check_limits(db: Connection) -> None:
        faults.extend(gettext_lazy("limits: {cell}", cell=cell) for cell in inconsistent_cells(db))

    def find_releases(db: Connection) -> None:
        referred.update(_referred(db))

    def check_state(db: Connection) -> None:
        faults.extend(gettext_lazy("not as the audit log says: {name}", name=name) for name in find_unaudited(db))

    checks = {"audit": check_audit, "limits": check_limits, "state": check_state, "releases": find_releases}
    for name, check in checks.items():
        try:
            with read() as db:
                check(db)
        except Exception as error:  # whatever a changed byte leads to
            why = error.message if isinstance(error, PromoError) else type(error).__name__
            faults.append(gettext_lazy("{name}: cannot be read ({why})", name=name, why=why))
    return RowCheck(faults, referred)


pgettext_noop("expired", "events"), pgettext_noop("expired", "bought"), pgettext_noop("expired", "messages")
pgettext_noop("expired", "rejects"), pgettext_noop("expired", "taken"), pgettext_noop("expired", "decisions")
pgettext_noop("expired", "releases"), pgettext_noop("expired", "shared releases"), pgettext_noop("expired", "draws")


def purge(settings: ServeSettings) -> StepSummary:
    """Delete what is older than the settings keep it, a part at a time, and old releases that nobody refers to; draws
    of tests, in the work folder, are kept as long as decisions."""
    keep, gone = settings.keep, dict[str, int]()
    now_ms = round(time() * 1000)
    with Ledger(settings.ledger_url, open_tables) as ledger:
        for name, table, old in _outdated(settings, now_ms):
            gone[name] = sum(iter(lambda t=table, o=old: ledger.write(_delete_part(t, o)), 0))  # type: ignore[misc]
        with ledger.read() as db:
            referred = _referred(db)
    home = settings.work / "serve" / RELEASES_FOLDER
    old_ms = now_ms - round((keep.releases_days or 0) * DAY_MS)
    unused = [
        path
        for path in (sorted(home.iterdir()) if keep.releases_days is not None and home.is_dir() else [])
        if path.name not in referred and path.stat().st_mtime * 1000 < old_ms
    ]
    for path in unused:
        shutil.rmtree(path)
    gone["releases"] = len(unused)
    if keep.releases_days is not None and settings.releases is not None:
        gone["shared releases"] = open_shared_releases(settings.releases).remove(referred, old_ms / 1000)
    if keep.decisions_days is not None and settings.work.is_dir():
        with Store(settings.work) as store:
            gone["draws"] = purge_draws(store, now_ms - round(keep.decisions_days * DAY_MS))
    said = gettext(", ").join(
        gettext("{number} {name}", number=f"{number:,}", name=pgettext("expired", name))
        for name, number in gone.items()
    )
    return StepSummary(gettext("deleted: {rows}", rows=said), {"step": "ledger purge", "deleted": gone})


class ExpiredRows(NamedTuple):
    """Which rows of a table are older than they are kept."""

    name: str
    table: Table
    old: ColumnElement[bool]


def _outdated(settings: ServeSettings, now_ms: int) -> Iterator[ExpiredRows]:
    keep = settings.keep
    used = select(REDEMPTIONS.c.decision_id).where(REDEMPTIONS.c.decision_id.is_not(None))
    over = OUTBOX.c.status != "waiting"
    for name, table, days, when, more in (
        ("events", EVENTS, keep.events_days, EVENTS.c.received_ms, None),
        ("bought", PURCHASES, keep.events_days, PURCHASES.c.ts_ms, None),
        ("messages", OUTBOX, keep.events_days, OUTBOX.c.ts_ms, over),
        ("rejects", REJECTS, keep.rejects_days, REJECTS.c.received_ms, None),
        ("taken", ACCEPTED_OFFERS, keep.decisions_days, ACCEPTED_OFFERS.c.ts_ms, None),
        ("decisions", DECISIONS, keep.decisions_days, DECISIONS.c.ts_ms, DECISIONS.c.decision_id.not_in(used)),
    ):
        if days is not None:
            old = when < now_ms - round(days * DAY_MS)
            yield ExpiredRows(name, table, old if more is None else old & more)


def _delete_part(table: Table, old: ColumnElement[bool]) -> Callable[[Connection, list[Any]], list[int]]:
    (key,) = table.primary_key
    part = select(key).where(old).limit(ROWS_PER_CHANGE)

    def work(db: Connection, some: list[Any]) -> list[int]:
        return [db.execute(delete(table).where(key.in_(part))).rowcount for _ in some]

    return work


def _referred(db: Connection) -> set[str]:
    """The releases that campaigns and decisions need; those with lists of their own need none."""
    needed = select(DECISIONS.c.release_id).where(DECISIONS.c.candidates.is_(None)).distinct()
    campaigns = Campaign.all(db).values()
    live = {name for each in campaigns for name in (*each.releases, each.previous) if name}
    return live | set(db.execute(needed).scalars())


def _file_of(settings: ServeSettings, there: bool = True) -> Path:
    if not is_local_file(settings.ledger_url):
        raise ConfigError(
            "ledger_not_file",
            gettext_lazy("ledger: it is on a server; use pg_dump and pg_restore, and copy the work folder beside it"),
        )
    path = Path(settings.ledger_url.removeprefix("sqlite:///"))
    if there and not path.exists():
        raise InputError(
            "ledger_missing", gettext_lazy("{path}: there is no ledger; run `promolift serve` first", path=path)
        )
    return path


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and path != folder / MANIFEST_FILE)


def _sync(folder: Path) -> None:
    for path in (*folder.rglob("*"), folder):
        handle = os.open(path, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)
