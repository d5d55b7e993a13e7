"""A work folder at a URL such as s3://bucket/shop in; a folder of this machine with its files, brought when they are
asked for, out; and what changed there back.

    URL/objects/<sha256>   a file's content under its hash, never changed
    URL/manifest.json      every file of the work folder, by its hash: written last, and only over the one that was read
    URL/lock.json          who writes, and until when they are believed

So an interruption leaves the files of before, and what did not change does not travel.
"""

import json
import os
import re
import shutil
import socket
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from time import time
from typing import Any, NamedTuple
from uuid import uuid4

from promolift.errors import ConfigError, StepError
from promolift.hashing import sha256_of, sha256_of_file

URL = re.compile(r"(s3a?|gs|abfss?|az|azure|adl):/+([^/].*)")  # a Path joins the two slashes of a URL into one
PARTS = ("tables", "notes", "models", "serve/releases", "steps.json", "secret.key")
LEASE_S = 120.0  # a writer who was killed keeps others out so long
KEPT_S = 3600  # files of before are there so long for those who read them
GO_ON = "finished steps are kept, so run the same command again to go on"
OVERTAKEN = "another run has written here since this one began, so this one was not; run it again"
EXPIRED = re.compile(r"ExpiredToken|TokenRefreshRequired|RequestExpired|token\S* (has |is )?expired", re.IGNORECASE)
SPENT = "the token, or another part of the credentials, has expired; renew it"
ORPHAN_S = 86_400  # contents that no manifest came to name
AT_ONCE = 8  # files that travel at the same time
CHUNK = 8 << 20
# Credentials that the library finds by itself
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")


class Content(NamedTuple):
    """A file of the manifest."""

    sha256: str
    size: int


class Sent(NamedTuple):
    """A file of this machine as it was when it was last known to be the manifest's."""

    size: int
    mtime_ns: int
    kept: Content


def url_of(work: Path | str) -> str | None:
    """The URL that a work folder is named by; None for a folder of this machine."""
    found = URL.fullmatch(str(work))
    return f"{found[1]}://{found[2].rstrip('/')}" if found else None


def on_this_machine(work: Path | str) -> Path:
    """The folder that a path, or a URL with file:, names. ConfigError for a URL of a kind that is not known."""
    text = re.sub(r"^file:/+", "/", str(work))
    if kind := re.match(r"([a-z][a-z0-9+.-]+):/", text):
        raise ConfigError(f"{text}: no storage is reached by {kind[1]}:; there are s3, gs, abfs and file")
    return Path(text)


def exists(work: Path) -> bool:
    """Whether a work folder is there; one at a URL is taken to be."""
    return url_of(work) is not None or on_this_machine(work).is_dir()


class Bucket:
    """Objects below a URL, in `store`, by the calls of `library`. Credentials are found as the storage's own tools find
    them, and stand in no message.
    """

    def __init__(self, url: str, then: str = GO_ON) -> None:
        """`then`: what to do after a failure. ConfigError where the library, the place or the right to it are missing,
        and where the URL itself holds a secret.
        """
        self.url, self._then = url, then
        if re.match(r"[a-z0-9]+://[^/@]*:[^/@]*@", url):
            raise ConfigError("a URL of a storage holds no password; give it by the variables that its own tools read")
        try:
            import obstore
        except ImportError:
            raise ConfigError(f"{url}: needs obstore; `pip install 'promolift[cloud]'`") from None
        self.library: Any = obstore
        with self.said():
            self.store = self._opened()

    def _opened(self) -> Any:
        from obstore.store import from_url

        if self.url.startswith("file:"):
            return from_url(self.url, mkdir=True)
        http = os.environ.get("AWS_ENDPOINT_URL", os.environ.get("AWS_ENDPOINT", "")).startswith("http://")
        more: dict[str, Any] = {"client_options": {"allow_http": True}} if http else {}
        more["retry_config"] = {"max_retries": 5, "retry_timeout": timedelta(seconds=30)}
        if self.url.startswith("s3") and not any(map(os.environ.get, KEYS)):
            with suppress(ImportError):  # profiles and the rest of Amazon's chain, where its library is there
                from obstore.auth.boto3 import Boto3CredentialProvider

                more["credential_provider"] = Boto3CredentialProvider()
        return from_url(self.url, **more)

    @contextmanager
    def said(self) -> Iterator[None]:
        """What goes wrong within, as an error for people."""
        errors = self.library.exceptions
        try:
            yield
        except (errors.PermissionDeniedError, errors.UnauthenticatedError) as error:
            if EXPIRED.search(str(error)):
                raise ConfigError(f"{self.url}: {SPENT}; {self._then}") from None
            raise ConfigError(f"{self.url}: no right to it ({_reason(error)}); check the credentials") from None
        except FileNotFoundError as error:
            raise ConfigError(f"{self.url}: there is no such place ({_reason(error)}); make the bucket first") from None
        except (errors.BaseError, OSError, ValueError) as error:
            if EXPIRED.search(str(error)):
                raise ConfigError(f"{self.url}: {SPENT}; {self._then}") from None
            wrong = f"the storage does not answer as it should ({_reason(error)})"
            raise StepError(f"{self.url}: {wrong}; {self._then}") from None

    def get(self, name: str, into: Path) -> None:
        """An object's content into a file. FileNotFoundError if there is none."""
        found = self.library.get(self.store, name)
        with into.open("wb") as file:
            for chunk in found.stream(min_chunk_size=CHUNK):
                file.write(chunk)

    def put(self, name: str, content: Path | bytes, **how: Any) -> Any:
        """Keep an object; what the storage says of it."""
        return self.library.put(self.store, name, content, chunk_size=CHUNK, **how)


class Remote:
    """The files at a URL and their copy in `folder`, which is this object's own and goes with `close`.

    Contents that were brought or sent stay in a cache ($PROMOLIFT_CACHE, else ~/.cache/promolift) as long as the
    manifest names them.
    """

    def __init__(self, url: str) -> None:
        """Read the manifest. ConfigError where the library, the place or the right to read are missing."""
        self.url = url
        self._files = dict[str, Content]()
        self._etag: dict[str, str] | None = None
        self._gone = dict[str, float]()
        self._sent = dict[str, Sent]()
        self._lock: dict[str, Any] | None = None
        self._stop = threading.Event()
        self._renewing: threading.Thread | None = None
        self._bucket = Bucket(url)
        self._obstore, self._place, self._said = self._bucket.library, self._bucket.store, self._bucket.said
        self._read()
        cache = Path(os.environ.get("PROMOLIFT_CACHE") or Path.home() / ".cache/promolift").expanduser()
        self._home = cache / sha256_of(url)[:16]
        self.folder = self._home / "runs" / f"{os.getpid()}-{uuid4().hex[:8]}"
        try:
            cache.mkdir(mode=0o700, parents=True, exist_ok=True)
            for path in (self._home / "objects", self.folder):
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"{cache}: cannot write ({error.strerror}); name a folder by PROMOLIFT_CACHE") from None
        self._away = dict(self._files)

    # reading

    def knows(self, path: Path) -> bool:
        """Whether the manifest has this file, or files below it, that are not in `folder` yet."""
        return any(True for _ in self._below(path))

    def bring(self, path: Path) -> None:
        """Bring the file, or all files below it, into `folder`. StepError where that fails."""
        with self._said(), ThreadPoolExecutor(AT_ONCE) as pool:
            for name in pool.map(self._bring, [*self._below(path)]):
                del self._away[name]

    def drop(self, path: Path) -> None:
        """What lies there is replaced or removed: it need not be brought any more."""
        for name in [*self._below(path)]:
            del self._away[name]

    def _below(self, path: Path) -> Iterator[str]:
        name = path.relative_to(self.folder).as_posix()
        return (each for each in self._away if each == name or each.startswith(f"{name}/"))

    def _bring(self, name: str) -> str:
        kept, place = self._files[name], self.folder / name
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
        sha, draft = self._files[name].sha256, self.folder / f"{uuid4().hex}.part"
        try:
            self._bucket.get(f"objects/{sha}", draft)
        except FileNotFoundError:
            raise StepError(f"{self.url}: {name} was replaced while it was read; run the command again") from None
        if sha256_of_file(draft) != sha:
            raise StepError(f"{self.url}: {name} is not what was written; run the step that makes it again")
        return draft

    def _know(self, name: str, kept: Content) -> None:
        state = (self.folder / name).stat()
        self._sent[name] = Sent(state.st_size, state.st_mtime_ns, kept)

    # writing

    def publish(self, kept_s: float = KEPT_S) -> None:
        """Send what changed, then the manifest; contents of before stay `kept_s` seconds for who reads them.

        StepError, and nothing changed, where another run was quicker.
        """
        paths = [path for part in PARTS for path in self._here(self.folder / part)]
        names = [path.relative_to(self.folder).as_posix() for path in paths]
        with self._said(), ThreadPoolExecutor(AT_ONCE) as pool:
            files = {**self._away, **dict(zip(names, pool.map(self._send, names), strict=True))}
            if files == self._files:
                return
            now, held = time(), {kept.sha256 for kept in files.values()}
            gone = {each.sha256: now for each in self._files.values()} | self._gone
            old = [sha for sha, since in gone.items() if since <= now - kept_s or sha in held]
            left = {sha: since for sha, since in gone.items() if sha not in old}
            self._swap(json.dumps({"files": files, "gone": left}, sort_keys=True).encode())
            self._files, self._gone = files, left
            self._delete(sha for sha in old if sha not in held)

    def _delete(self, contents: Iterable[str]) -> None:
        for sha in contents:
            with suppress(FileNotFoundError):
                self._obstore.delete(self._place, f"objects/{sha}")

    def _sweep(self) -> None:
        """Delete what a run sent that was killed before it wrote the manifest."""
        known = {kept.sha256 for kept in self._files.values()} | self._gone.keys()
        listed = [each for some in self._obstore.list(self._place, "objects") for each in some]
        names = ((each["path"].rpartition("/")[2], each["last_modified"].timestamp()) for each in listed)
        self._delete(sha for sha, at in names if sha not in known and at < time() - ORPHAN_S)

    def _here(self, path: Path) -> Iterable[Path]:
        return [path] if path.is_file() else (each for each in sorted(path.rglob("*")) if each.is_file())

    def _send(self, name: str) -> Content:
        path = self.folder / name
        state, known = path.stat(), self._sent.get(name)
        if known and (known.size, known.mtime_ns) == (state.st_size, state.st_mtime_ns):
            return known.kept
        kept = Content(sha256_of_file(path), state.st_size)
        content = self._home / "objects" / kept.sha256
        if kept not in self._files.values():
            self._bucket.put(f"objects/{kept.sha256}", path)
        with suppress(FileExistsError):
            os.link(path, content)
        self._know(name, kept)
        return kept

    def _swap(self, text: bytes) -> None:
        mode = "create" if self._etag is None else self._etag
        errors = self._obstore.exceptions
        try:
            self._etag = _version(self._obstore.put(self._place, "manifest.json", text, mode=mode))
        except (errors.AlreadyExistsError, errors.PreconditionError):
            raise StepError(f"{self.url}: {OVERTAKEN}") from None

    def _read(self) -> None:
        with self._said():
            try:
                found = self._obstore.get(self._place, "manifest.json")
            except FileNotFoundError:
                return
            self._etag, text = _version(found.meta), bytes(found.bytes())
        try:
            value = json.loads(text)
            self._files = {name: Content(*kept) for name, kept in value["files"].items()}
            self._gone = value["gone"]
        except (ValueError, KeyError, TypeError):
            raise StepError(f"{self.url}/manifest.json: not readable; delete it, and run again") from None

    # one writer

    def lock(self) -> None:
        """Keep other writers out until `unlock`. StepError where one is there, with who and until when."""
        if self._lock is not None:
            return
        errors = self._obstore.exceptions
        with self._said():
            for _ in range(3):  # between two looks another may come or go
                try:
                    self._hold("create")
                    break
                except errors.AlreadyExistsError:
                    with suppress(FileNotFoundError, errors.PreconditionError):
                        self._hold(self._left())
                        break
            else:
                raise StepError(f"{self.url}: another promolift began to write here just now; try again")
        if self._now() != self._etag:
            self.unlock()
            raise StepError(f"{self.url}: {OVERTAKEN}")
        self._stop.clear()
        self._renewing = threading.Thread(target=self._renew, daemon=True)
        self._renewing.start()

    def _now(self) -> dict[str, str] | None:
        with self._said():
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
                f"{self.url}: another promolift is writing here ({who}); wait until it ends, then try again. If it was "
                f"killed, its lock ends in {left_s:.0f} s"
            )
        return _version(found.meta)

    def _renew(self) -> None:
        while not self._stop.wait(LEASE_S / 4):
            try:
                self._hold(self._lock)
            except Exception:  # the manifest settles who was first: a lock that was lost costs a run, no table
                return

    def unlock(self) -> None:
        """Let the next writer in."""
        self._stop.set()
        if self._renewing is not None:
            self._renewing.join()
        if self._lock is None:
            return
        self._lock = None
        with suppress(FileNotFoundError, self._obstore.exceptions.BaseError):
            self._sweep()
            value = json.loads(bytes(self._obstore.get(self._place, "lock.json").bytes()))
            if value["run"] == self.folder.name:
                self._obstore.delete(self._place, "lock.json")

    def close(self) -> None:
        """Let go of the lock; the folder goes, and of the cache what no manifest and no other run needs."""
        self.unlock()
        shutil.rmtree(self.folder, ignore_errors=True)
        for run in (self._home / "runs").iterdir():
            if not _runs(int(run.name.partition("-")[0])):
                shutil.rmtree(run, ignore_errors=True)
        held = {kept.sha256 for kept in self._files.values()}
        for content in (self._home / "objects").iterdir():
            with suppress(OSError):
                if content.name not in held and content.stat().st_nlink == 1:
                    content.unlink()


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
