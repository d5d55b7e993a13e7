"""Keep a work folder at a URL such as s3://bucket/shop: download its files on first use and upload changes.

    URL/objects/<sha256>   the content of a file under its hash, never changed
    URL/manifest.json      the hash of every file; written last, and only if it is still the version that was read
    URL/lock.json          the current writer, and until when its lease is valid

An interrupted run therefore leaves the previous files, and unchanged files are not sent again. Tasks on machines that
share no folder with this one also read and write objects (node_files.py); the manifest never names temporary files.
"""

import json
import os
import re
import shutil
import socket
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from time import time
from typing import Any, NamedTuple
from uuid import uuid4

from promolift.foundation.errors import DISK_FULL, ConfigError, StepError
from promolift.foundation.hashing import sha256_of, sha256_of_file
from promolift.foundation.i18n.lazy_message import LazyMessage, gettext_lazy
from promolift.foundation.storage.remote_storage import OPEN_COPIES, PARTS, StoredFile

# Of the manifest, of nodes and of who asks them, what becomes a path: none may lead out of the work folder
FILE_NAME_PATTERN = re.compile(rf"(?:{'|'.join(map(re.escape, (*PARTS, 'tmp')))})(?:/(?!\.\.?(?:/|\Z))[^/\\\0]+)*")
HASH_PATTERN = re.compile(r"[0-9a-f]{64}")
RUN_FOLDER_PATTERN = re.compile(r"(\d+)-\w+-(.+)")  # a run's folder, by its process and machine
LEASE_S = 120.0  # a writer who was killed keeps others out so long
ABANDONED_S = 86_400  # of a run of another machine that did nothing for so long no more is expected
RETENTION_S = 3600  # files of before are there so long for those who read them
RESUME_HINT = gettext_lazy("finished steps are kept, so run the same command again to go on")
EXPIRED_PATTERN = re.compile(
    r"ExpiredToken|TokenRefreshRequired|RequestExpired|token\S* (has |is )?expired", re.IGNORECASE
)
# Who is asked for credentials last, where nobody has any: the machine's own account
NO_CREDENTIALS_PATTERN = re.compile(r"169\.254\.169\.254|metadata\.google|get_credentials|NoCredentials", re.IGNORECASE)
MAX_TRANSFERS = 8  # files that travel at the same time
CHUNK_BYTES = 8 << 20
# Credentials that the library finds by itself
CREDENTIAL_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")


class Content(NamedTuple):
    """A file of the manifest."""

    sha256: str
    size: int


class SyncedFile(NamedTuple):
    """A file of this machine as it was when it was last known to be the manifest's."""

    size: int
    mtime_ns: int
    content: Content


class ObjectStoreBucket:
    """Objects below a URL, in `store`, by the calls of `library`. Credentials are found as the storage's own tools find
    them, and stand in no message.
    """

    def __init__(self, url: str, then: LazyMessage = RESUME_HINT, at: str = "") -> None:
        """`then`: what to do after a failure, and `at` where it was, if not here. ConfigError where the library, the
        place or the right to it are missing, and where the URL itself holds a secret.
        """
        self.url, self.at, self.named, self._then = url, at, at + url, then
        if re.match(r"[a-z0-9]+://[^/@]*:[^/@]*@", url):
            raise ConfigError(
                "password_in_url",
                gettext_lazy("a URL of a storage holds no password; give it by the variables that its own tools read"),
            )
        try:
            import obstore
        except ImportError:
            raise ConfigError(
                "extra_missing",
                gettext_lazy("{named}: needs obstore; `pip install 'promolift[cloud]'`", named=self.named),
            ) from None
        self.library: Any = obstore
        with self.translated_errors():
            self.store = self._opened()

    def _opened(self) -> Any:
        from obstore.store import from_url

        if self.url.startswith("file:"):
            return from_url(self.url, mkdir=True)
        http = os.environ.get("AWS_ENDPOINT_URL", os.environ.get("AWS_ENDPOINT", "")).startswith("http://")
        more: dict[str, Any] = {"client_options": {"allow_http": True}} if http else {}
        more["retry_config"] = {"max_retries": 5, "retry_timeout": timedelta(seconds=30)}
        if self.url.startswith("s3") and not any(map(os.environ.get, CREDENTIAL_VARIABLES)):
            with suppress(ImportError):  # profiles and the rest of Amazon's chain, where its library is there
                from obstore.auth.boto3 import Boto3CredentialProvider

                more["credential_provider"] = Boto3CredentialProvider()
        return from_url(self.url, **more)

    @contextmanager
    def translated_errors(self) -> Iterator[None]:
        """What goes wrong within, as an error for people."""
        errors = self.library.exceptions
        try:
            yield
        except (errors.PermissionDeniedError, errors.UnauthenticatedError) as error:
            if EXPIRED_PATTERN.search(str(error)):
                raise self._expired() from None
            raise ConfigError(
                "permission_denied",
                gettext_lazy(
                    "{named}: no right to it ({reason}); check the credentials", named=self.named, reason=_reason(error)
                ),
            ) from None
        except FileNotFoundError as error:
            raise ConfigError(
                "bucket_missing",
                gettext_lazy(
                    "{named}: there is no such place ({reason}); make the bucket first",
                    named=self.named,
                    reason=_reason(error),
                ),
            ) from None
        except (errors.BaseError, OSError, ValueError) as error:
            if DISK_FULL.search(str(error)):  # the disk of this machine: see full_said
                raise
            if EXPIRED_PATTERN.search(str(error)):
                raise self._expired() from None
            if NO_CREDENTIALS_PATTERN.search(str(error)):
                raise ConfigError(
                    "credentials_missing",
                    gettext_lazy(
                        "{named}: no credentials are found there; give some; {then}", named=self.named, then=self._then
                    ),
                ) from None
            raise StepError(
                "connection_failed",
                gettext_lazy(
                    "{named}: the storage does not answer as it should ({reason}); {then}",
                    named=self.named,
                    reason=_reason(error),
                    then=self._then,
                ),
            ) from None

    def _expired(self) -> ConfigError:
        return ConfigError(
            "credentials_expired",
            gettext_lazy(
                "{named}: the token, or another part of the credentials, has expired; renew it; {then}",
                named=self.named,
                then=self._then,
            ),
        )

    def get(self, name: str, into: Path) -> None:
        """An object's content into a file. FileNotFoundError if there is none."""
        found = self.library.get(self.store, name)
        with into.open("wb") as file:
            for chunk in found.stream(min_chunk_size=CHUNK_BYTES):
                file.write(chunk)

    def put(self, name: str, content: Path | bytes, **how: Any) -> Any:
        """Keep an object; what the storage says of it."""
        return self.library.put(self.store, name, content, chunk_size=CHUNK_BYTES, **how)

    def exists(self, name: str) -> bool:
        """Return whether there is such an object."""
        with suppress(FileNotFoundError):
            self.library.head(self.store, name)
            return True
        return False

    def files(self) -> Iterator[StoredFile]:
        """Yield all objects."""
        for batch in self.library.list(self.store):
            for each in batch:
                yield StoredFile(each["path"], each["last_modified"].timestamp())

    def delete(self, name: str) -> None:
        """Delete an object."""
        self.library.delete(self.store, name)


class ObjectStorage:
    """Opens URLs of object stores: S3, Google Cloud Storage and Azure, and `file:` for a folder used as one."""

    @staticmethod
    def open_folder(url: str) -> "ObjectStoreFolder":
        """Open a work folder."""
        return ObjectStoreFolder(url)

    @staticmethod
    def open_bucket(url: str, remedy: LazyMessage) -> ObjectStoreBucket:
        """Open a place for files."""
        return ObjectStoreBucket(url, remedy)


class ObjectStoreFolder:
    """The files at a URL and their copy in `folder`, which is this object's own and goes with `close`.

    Contents that were brought or sent stay in a cache ($PROMOLIFT_CACHE, else ~/.cache/promolift) as long as the
    manifest names them.
    """

    def __init__(self, url: str, at: str = "", folder: Path | None = None) -> None:
        """Read the manifest. ConfigError where the library, the place or the right to read are missing."""
        self.url, self.apart = url, False  # whether tasks are for machines that do not see `folder`
        self._files = dict[str, Content]()
        self._etag: dict[str, str] | None = None
        self._gone = dict[str, float]()
        self._sent = dict[str, SyncedFile]()
        self._lock: dict[str, Any] | None = None
        self._stop = threading.Event()
        self._renewing: threading.Thread | None = None
        self._there = set[str]()  # contents that the storage has
        self._bucket = ObjectStoreBucket(url, at=at)
        self._obstore, self._place, self._translated_errors = (
            self._bucket.library,
            self._bucket.store,
            self._bucket.translated_errors,
        )
        self._read()
        own = f"{os.getpid()}-{uuid4().hex[:8]}-{socket.gethostname()}"
        self.folder = folder or self.place_of(url) / "runs" / own
        self._home = self.folder.parent.parent
        self._make()
        self._away = dict(self._files)
        OPEN_COPIES[self.folder] = self

    def _make(self) -> None:
        cache = self._home.parent
        try:
            for path in (cache, self._home, self._home / "objects", self.folder.parent, self.folder):
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.utime(self.folder)
        except OSError as error:
            wrong = gettext_lazy(
                "{at}{cache}: cannot write ({strerror})", at=self._bucket.at, cache=cache, strerror=error.strerror
            )
            raise ConfigError(
                "folder_not_writable", gettext_lazy("{wrong}; name a folder by PROMOLIFT_CACHE", wrong=wrong)
            ) from None

    @staticmethod
    def place_of(url: str) -> Path:
        """The part of the cache that is for this URL."""
        cache = Path(os.environ.get("PROMOLIFT_CACHE") or Path.home() / ".cache/promolift").expanduser()
        return cache.absolute() / sha256_of(url)[:16]

    # reading

    def knows(self, path: Path) -> bool:
        """Whether the manifest has this file, or files below it, that are not in `folder` yet."""
        return bool(self._below(path))

    def names(self, folder: Path) -> set[str]:
        """Of the files in a folder those that are not in `folder` yet, by name."""
        here = f"{folder.relative_to(self.folder).as_posix()}/"
        rest = (each.removeprefix(here) for each in self._below(folder))
        return {each for each in rest if "/" not in each}

    def bring(self, path: Path) -> None:
        """Bring the file, or all files below it, into `folder`. StepError where that fails."""
        if wanted := self._below(path):
            with suppress(FileNotFoundError):
                os.utime(self.folder)  # a reader holds no lock that it renews
            with self._translated_errors(), ThreadPoolExecutor(MAX_TRANSFERS) as pool:
                for name in pool.map(self._bring, wanted):
                    del self._away[name]

    def drop(self, path: Path) -> None:
        """What lies there is replaced or removed: it need not be brought any more."""
        for name in self._below(path):
            del self._away[name]

    def move(self, path: Path, place: Path) -> None:
        """What lies there need not be brought to lie at another place, nor what was sent of it be sent again."""
        old, new = (each.relative_to(self.folder).as_posix() for each in (path, place))
        for known in (self._away, self._sent):
            for name in [each for each in known if each.startswith(f"{old}/")]:
                known[new + name.removeprefix(old)] = known.pop(name)  # type: ignore[assignment]

    def _below(self, path: Path) -> list[str]:
        name = path.relative_to(self.folder).as_posix()
        return [name] if name in self._away else [each for each in self._away if each.startswith(f"{name}/")]

    def _bring(self, name: str) -> str:
        kept, place = self._away[name], self.folder / name
        content = self._home / "objects" / kept.sha256
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        try:
            os.link(content, place)
        except FileNotFoundError:
            draft = self._fetched(name)  # beside the work folder's parts: half of it must never be sent
            os.link(draft, place)
            draft.replace(content)
        self._know(name, kept)
        return name

    def _fetched(self, name: str) -> Path:
        sha, draft, at = self._away[name].sha256, self.folder / f"{uuid4().hex}.part", self._bucket.named
        try:
            self._bucket.get(f"objects/{sha}", draft)
        except FileNotFoundError:
            raise StepError(
                "work_folder_changed",
                gettext_lazy("{at}: {name} was replaced while it was read; run the command again", at=at, name=name),
            ) from None
        if sha256_of_file(draft) != sha:
            raise StepError(
                "file_changed",
                gettext_lazy(
                    "{at}: {name} is not what was written; run the step that makes it again", at=at, name=name
                ),
            )
        return draft

    def _know(self, name: str, kept: Content) -> None:
        state = (self.folder / name).stat()
        self._sent[name] = SyncedFile(state.st_size, state.st_mtime_ns, kept)

    # writing

    def publish(self, kept_s: float = RETENTION_S) -> None:
        """Send what changed, then the manifest; contents of before stay `kept_s` seconds for who reads them.

        StepError, and nothing changed, where another run was quicker.
        """
        with self._translated_errors():
            sent = self._send_all(self.folder / part for part in PARTS)
            files = {name: kept for name, kept in self._away.items() if not name.startswith("tmp/")} | sent
            if files == self._files:
                return
            now, held = time(), {kept.sha256 for kept in files.values()}
            gone = {each.sha256: now for each in self._files.values()} | self._gone
            old = [sha for sha, since in gone.items() if since <= now - kept_s or sha in held]
            left = {sha: since for sha, since in gone.items() if sha not in old}
            self._swap(json.dumps({"files": files, "gone": left}, sort_keys=True).encode())
            self._files, self._gone = files, left
            self._delete([f"objects/{sha}" for sha in old if sha not in held])
            self._sweep()

    def share(self, work: Path) -> dict[str, Content]:
        """Send what tasks on other machines may read: tables, and what a step has in folders of `work`. All files, by
        name. StepError where that fails.
        """
        folders = [each for each in work.iterdir() if each.is_dir() and each.name != "spill"]
        with self._translated_errors():
            sent = self._send_all([*(self.folder / part for part in PARTS), *folders])
        return self._away | sent

    def learn(self, files: Mapping[str, Content]) -> None:
        """Files that another machine has sent, in place of what lay here."""
        for name, kept in self._checked(files).items():
            (self.folder / name).unlink(missing_ok=True)
            self._sent.pop(name, None)
            self._away[name] = kept
            self._there.add(kept.sha256)

    def _delete(self, names: list[str]) -> None:
        with suppress(FileNotFoundError):
            self._obstore.delete(self._place, names)

    def _sweep(self) -> None:
        """Delete what tasks left and what a run sent that was killed before it wrote the manifest; nothing where
        another one may be writing.
        """
        try:
            lock = json.loads(bytes(self._obstore.get(self._place, "lock.json").bytes()))
        except FileNotFoundError:
            return
        mine = lock["run"] == self.folder.name and lock["until_ms"] / 1000 > time() + LEASE_S / 4
        if not mine or self._now() != self._etag:
            return
        self._sent = {name: sent for name, sent in self._sent.items() if (self.folder / name).exists()}
        used = [*self._files.values(), *self._away.values(), *(sent.content for sent in self._sent.values())]
        self._there = {kept.sha256 for kept in used}
        needed = {f"objects/{sha}" for sha in self._there | self._gone.keys()}
        lies = [each["path"] for some in self._obstore.list(self._place, "objects") for each in some]
        self._delete([path for path in lies if path not in needed])
        self._prune(self._there)

    def _prune(self, held: set[str]) -> None:
        for content in (self._home / "objects").iterdir():
            with suppress(OSError):
                if content.name not in held and content.stat().st_nlink == 1:
                    content.unlink()

    def _send_all(self, places: Iterable[Path]) -> dict[str, Content]:
        """Every whole file there, sent if the storage does not have it."""
        found = (path for place in places for path in ([place] if place.is_file() else sorted(place.rglob("*"))))
        whole = [path for path in found if path.is_file() and path.suffix != ".part"]
        names = [path.relative_to(self.folder).as_posix() for path in whole]
        with ThreadPoolExecutor(MAX_TRANSFERS) as pool:
            return dict(zip(names, pool.map(self._send, names), strict=True))

    def _send(self, name: str) -> Content:
        path = self.folder / name
        state, known = path.stat(), self._sent.get(name)
        if known and (known.size, known.mtime_ns) == (state.st_size, state.st_mtime_ns):
            return known.content
        kept = Content(sha256_of_file(path), state.st_size)
        content = self._home / "objects" / kept.sha256
        if kept.sha256 not in self._there:
            self._bucket.put(f"objects/{kept.sha256}", path)
            self._there.add(kept.sha256)
        with suppress(FileExistsError):
            os.link(path, content)
        self._know(name, kept)
        return kept

    def _changed(self) -> StepError:
        return StepError(
            "work_folder_changed",
            gettext_lazy(
                "{url}: another run has written here since this one began, so this one was not; run it again",
                url=self.url,
            ),
        )

    def _swap(self, text: bytes) -> None:
        mode = "create" if self._etag is None else self._etag
        errors = self._obstore.exceptions
        try:
            self._etag = _version(self._obstore.put(self._place, "manifest.json", text, mode=mode))
        except (errors.AlreadyExistsError, errors.PreconditionError):
            raise self._changed() from None

    def _read(self) -> None:
        with self._translated_errors():
            try:
                found = self._obstore.get(self._place, "manifest.json")
            except FileNotFoundError:
                return
            self._etag, text = _version(found.meta), bytes(found.bytes())
        try:
            value = json.loads(text)
            self._files = self._checked({name: Content(*kept) for name, kept in value["files"].items()})
            self._gone = value["gone"]
            self._there = {kept.sha256 for kept in self._files.values()}
        except (ValueError, KeyError, TypeError):
            raise StepError(
                "file_unreadable",
                gettext_lazy("{url}/manifest.json: not readable; delete it, and run again", url=self.url),
            ) from None

    def _checked(self, files: Mapping[str, Content]) -> dict[str, Content]:
        """The files. StepError where a name or a hash is none of a work folder's."""
        for name, kept in files.items():
            if not (FILE_NAME_PATTERN.fullmatch(name) and HASH_PATTERN.fullmatch(kept.sha256)):
                wrong = gettext_lazy(
                    "{name} with the hash {sha256} is no file of a work folder",
                    name=repr(name[:200]),
                    sha256=repr(kept.sha256[:70]),
                )
                raise StepError(
                    "manifest_invalid",
                    gettext_lazy(
                        "{named}: {wrong}; find out who wrote it there", named=self._bucket.named, wrong=wrong
                    ),
                )
        return dict(files)

    # one writer

    def lock(self) -> None:
        """Keep other writers out until `unlock`. StepError where one is there, with who and until when."""
        if self._lock is not None:
            return
        errors = self._obstore.exceptions
        with self._translated_errors():
            for _ in range(3):  # between two looks another may come or go
                try:
                    self._hold("create")
                    break
                except errors.AlreadyExistsError:
                    with suppress(FileNotFoundError, errors.PreconditionError):
                        self._hold(self._left())
                        break
            else:
                raise StepError(
                    "work_folder_locked",
                    gettext_lazy("{url}: another promolift began to write here just now; try again", url=self.url),
                )
        if self._now() != self._etag:
            self.unlock()
            raise self._changed()
        self._stop.clear()
        self._renewing = threading.Thread(target=self._renew, daemon=True)
        self._renewing.start()

    def _now(self) -> dict[str, str] | None:
        with self._translated_errors():
            try:
                return _version(self._obstore.head(self._place, "manifest.json"))
            except FileNotFoundError:
                return None

    def _hold(self, mode: Any) -> None:
        until = round((time() + LEASE_S) * 1000)
        value = {"host": socket.gethostname(), "pid": os.getpid(), "until_ms": until, "run": self.folder.name}
        self._lock = _version(self._obstore.put(self._place, "lock.json", json.dumps(value).encode(), mode=mode))

    def _left(self) -> Any:
        """The version of a lock that nobody holds any more; StepError if somebody does."""
        found = self._obstore.get(self._place, "lock.json")
        value = json.loads(bytes(found.bytes()))
        left_s = value["until_ms"] / 1000 - time()
        if left_s > 0 and not (value["host"] == socket.gethostname() and not _runs(value["pid"])):
            who = f"process {value['pid']} on {value['host']}"
            raise StepError(
                "work_folder_locked",
                gettext_lazy(
                    "{url}: another promolift is writing here ({who}); wait until it ends, then try again. If "
                    "it was killed, its lock ends in {left_s} s",
                    url=self.url,
                    who=who,
                    left_s=f"{left_s:.0f}",
                ),
            )
        return _version(found.meta)

    def _renew(self) -> None:
        while not self._stop.wait(LEASE_S / 4):
            try:
                self._hold(self._lock)
                os.utime(self.folder)  # see `clear`
            except Exception:  # the manifest settles who was first: a lock that was lost costs a run, no table
                return

    def unlock(self) -> None:
        """Let the next writer in."""
        self._stop.set()
        if self._renewing is not None:
            self._renewing.join()
        if self._lock is None:
            return
        with suppress(FileNotFoundError, self._obstore.exceptions.BaseError, ConfigError, StepError):
            self._sweep()
            value = json.loads(bytes(self._obstore.get(self._place, "lock.json").bytes()))
            if value["run"] == self.folder.name:
                self._obstore.delete(self._place, "lock.json")
        self._lock = None

    def close(self) -> None:
        """The folder goes, of the cache what no manifest and no other run needs, and the lock."""
        OPEN_COPIES.pop(self.folder, None)
        shutil.rmtree(self.folder, ignore_errors=True)
        for known in (self._away, self._sent):
            known.clear()
        self.unlock()
        self.clear()
        self._prune({kept.sha256 for kept in self._files.values()})

    def clear(self) -> None:
        """Remove what runs left that were killed: on this machine at once; where nobody can be asked, on another one or
        by the number that this process has now, when it was untouched for a day.
        """
        for run in (self._home / "runs").iterdir():
            pid, host = (found[1], found[2]) if (found := RUN_FOLDER_PATTERN.fullmatch(run.name)) else ("", "")
            asked = host == socket.gethostname() and int(pid) != os.getpid()
            with suppress(FileNotFoundError):  # another run removes it, too
                if (
                    (not _runs(int(pid)))
                    if asked
                    else (run not in OPEN_COPIES and time() - run.stat().st_mtime > ABANDONED_S)
                ):
                    shutil.rmtree(run, ignore_errors=True)


def _version(meta: Any) -> dict[str, str]:
    return {name: meta[name] for name in ("e_tag", "version") if meta[name] is not None}


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _reason(error: Exception) -> str:
    """The first line of what a library says, without addresses' parameters and the server's own text."""
    text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return re.sub(r"\?\S*", "", text.partition("<")[0]).strip(" :")[:200]
