"""What a console handler receives (the request, its user, the server) and what it may return."""

import json
import math
import re
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from secrets import compare_digest
from typing import Any, Generic, NamedTuple, TypeVar
from urllib.parse import parse_qsl, urlencode

from pydantic import BaseModel
from sqlalchemy import Connection, Select

from promolift.foundation.errors import PromoError
from promolift.foundation.files.table_files import READABLE_SUFFIXES, check_unpacked_size
from promolift.foundation.i18n.lazy_message import LazyMessage, gettext_lazy
from promolift.foundation.pages.blocks import Figure
from promolift.foundation.storage.local_store import Store
from promolift.server.api.problems import ApiError
from promolift.server.api.routes import RouteContext
from promolift.server.api.server import Server
from promolift.server.console.pages.form_refill import RefusedForm
from promolift.server.console.state.users import Role, Visitor
from promolift.server.ledger.audit_log import HttpResponse
from promolift.server.ledger.records import Campaign
from promolift.server.ledger.schema import Refused
from promolift.server.translations import translate_key, translate_refusal
from promolift.shop.results.work_folder.run_context import Job

Result = TypeVar("Result")
FILE_BYTES = 2 << 30
UNPACKED_BYTES = 4 * FILE_BYTES  # of a packed file
UPLOAD_SUFFIXES = READABLE_SUFFIXES


@dataclass(frozen=True)
class Screen:
    """A page of `template`, or a part of one (`whole` false); `data` is what the template prints and `?format=json` is.

    `figures` are charts by their id, for the script; left out, those of the `blocks` in `data`.
    """

    template: str
    title: str
    data: Mapping[str, Any] = field(default_factory=dict)
    figures: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200
    whole: bool = True
    refused: RefusedForm | None = None  # a form of the page that was refused
    page_address: str = ""  # path and query, where it is not the one that was asked for


@dataclass(frozen=True)
class Redirect:
    """Go on to another page of the console, which shows `message`."""

    path: str
    message: str = ""
    tone: str = "good"


@dataclass(frozen=True)
class Download:
    """A file."""

    content: bytes
    name: str
    type: str = "application/json"


Reply = Screen | Redirect | Download


def missing_error(what: str) -> ApiError:
    """Return the error for a missing page or object: a group `missing` of server/translations.tsv."""
    return ApiError(404, f"{what}_unknown", LazyMessage.untranslated(translate_key("missing", what)))


def chart_options(blocks: Iterable[Any]) -> dict[str, Any]:
    """Return the chart options of some blocks, by id."""
    return {each.id: each.spec for each in blocks if isinstance(each, Figure)}


def upload_name(name: str) -> str:
    """Return a file's name without what leads out of its folder. Refused for a kind of file that is not read."""
    plain = re.sub(r"[^\w.-]+", "_", name)[-80:].lstrip(".")
    if not plain.lower().endswith(UPLOAD_SUFFIXES):
        raise refusal("file_type_unsupported", "send_kinds", kinds=", ".join(UPLOAD_SUFFIXES))
    return plain


class PermissionDeniedError(PromoError):
    """The user lacks permission; `role` is the least role that has it."""

    def __init__(self, role: Role) -> None:
        """Nothing was changed."""
        super().__init__("role_missing", gettext_lazy("needs the role {role}", role=role))
        self.role = role


class SentFile(NamedTuple):
    """A file that a form brings: its name, and where its content lies until the request is answered."""

    name: str
    path: Path


class Click(NamedTuple):
    """A request below /console: its path there, what it asks and sends, from where, and whether by a page of ours."""

    method: str
    path: str
    query: Mapping[str, str]
    form: Mapping[str, str]
    piece: bytes  # of a file that is sent
    address: str
    same_site: bool
    files: Sequence[SentFile] = ()  # whole, of a form without the script
    back: str = ""  # the page that a form stands on
    origin: str = ""  # scheme and host, as the browser has them

    @property
    def plain(self) -> bool:
        """Whether a program asks, not a person."""
        return self.query.get("format") == "json"

    @property
    def page_address(self) -> str:
        """The path and query."""
        return f"{self.path}?{urlencode(self.query)}" if self.query else self.path

    def trusted(self, token: str) -> bool:
        """Whether the form is one of ours and brings this token."""
        return self.same_site and compare_digest(self.form.get("token", "").encode(), token.encode())


@dataclass
class PageVisit:
    """A request of a signed-in user: the path's parameters, the user and the server."""

    server: Server
    visitor: Visitor
    click: Click
    params: Mapping[str, str]
    shared: Any  # the Console, which keeps what outlives a click

    @property
    def query(self) -> Mapping[str, str]:
        """What the address asks."""
        return self.click.query

    @property
    def form(self) -> Mapping[str, str]:
        """What a form says."""
        return self.click.form

    @property
    def piece(self) -> bytes:
        """Of a file that is sent."""
        return self.click.piece

    @property
    def call(self) -> RouteContext:
        """For the functions of the API, in this person's name."""
        return RouteContext(self.server, self.visitor.actor)

    def read(self) -> AbstractContextManager[Connection]:
        """What is committed, for reading alone."""
        return self.server.ledger.read()

    def rows(self, wanted: Select[Any]) -> list[dict[str, Any]]:
        """What the ledger says to a query."""
        with self.read() as db:
            return [dict(row) for row in db.execute(wanted).mappings()]

    def require_role(self, role: Role) -> None:
        """Raise PermissionDeniedError unless the user has this role."""
        if not self.visitor.may(role):
            raise PermissionDeniedError(role)

    @property
    def two_eyes(self) -> bool:
        """Whether nobody approves a draft of their own."""
        return self.server.settings.console.two_eyes

    def require_other_person(self, by: str | None) -> None:
        """Refuse users to approve their own draft where two people are required."""
        if self.two_eyes and by == self.visitor.name:
            raise translate_refusal("own_work")

    def change(self, do: Callable[[Connection, int], object]) -> None:
        """Run a change in the ledger."""

        def doing(db: Connection, now_ms: int) -> HttpResponse:
            do(db, now_ms)
            return HttpResponse(200, None)

        self.server.change(doing)

    def append_audit(
        self, db: Connection, now_ms: int, action: str, subject: str, old: Any = None, new: Any = None
    ) -> None:
        """Append a row to the audit log in this user's name."""
        self.call.append_audit(db, now_ms, action, subject, old, new)

    @property
    def now_ms(self) -> int:
        """The server's clock."""
        return self.server.clock.now_ms()

    @property
    def campaign_id(self) -> str:
        """The campaign that is looked at: the one asked for, the shop's own, or the first."""
        asked = self.query.get("campaign") or self.form.get("campaign")
        if asked:
            return asked
        if self.server.config is not None:
            return self.server.config.plan.campaign
        with self.read() as db:
            return next(iter(Campaign.all(db)), "cmp_1")

    def campaign(self) -> Campaign:
        """It as it stands; one without anything where it was never made."""
        with self.read() as db:
            return Campaign.find(db, self.campaign_id) or Campaign()

    def job(self) -> Job:
        """The work folder's results. Refused where the server was started without promolift.toml."""
        return self.shared.job()  # type: ignore[no-any-return]

    @property
    def store(self) -> Store:
        """The work folder, for reading."""
        return self.shared.store  # type: ignore[no-any-return]

    def receive_files(self, folder: Path) -> list[Path] | None:
        """Keep the files that a form brings, or a piece of one that the script sends; None while pieces are missing.

        A file of the same name is replaced when the new one is there. Refused for what is too large, packed or not, is
        out of order, or has a name that ends in none of UPLOAD_SUFFIXES.
        """
        sent = [(upload_name(each.name), each.path) for each in self.click.files if each.name]
        name = "" if sent else upload_name(self.query.get("name", ""))
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        waiting = [Path(shutil.move(path, self._part(folder, name))) for name, path in sent]
        if name and (part := self._add_piece(folder, name)):
            sent, waiting = [(name, part)], [part]
        for part in waiting:
            try:
                check_unpacked_size(part, UNPACKED_BYTES)
            except PromoError:
                part.unlink()
                raise
        return [part.replace(folder / name) for (name, _), part in zip(sent, waiting, strict=True)] or None

    def _part(self, folder: Path, name: str) -> Path:
        return folder / f".{self.visitor.session[:16]}.{name}"

    def _add_piece(self, folder: Path, name: str) -> Path | None:
        """Add a piece to its file; the file once it is whole, None before."""
        at, size = (int(self.number(which, 0, 0, 1e12)) for which in ("at", "size"))
        if size > FILE_BYTES or at + len(self.piece) > size:
            raise refusal("file_too_large", "file_too_large", most=FILE_BYTES >> 30)
        part = self._part(folder, name)
        if not self.piece or at != (part.stat().st_size if at and part.exists() else 0):
            raise translate_refusal("file_broken")
        with part.open("ab" if at else "wb") as out:
            out.write(self.piece)
        return part if at + len(self.piece) == size else None

    def text(self, name: str, most: int = 400) -> str:
        """A field of the form on one line. Refused where it is longer than `most` characters."""
        value = " ".join(self.form.get(name, "").split())
        if len(value) > most:
            raise refusal("too_long", "too_long", most=most)
        return value

    def number(self, name: str, default: float, low: float, high: float) -> float:
        """A number of the query, within bounds; what is none is the default."""
        try:
            value = float(self.query.get(name, default))
        except ValueError:
            return default
        return min(max(value, low), high) if math.isfinite(value) else default


class PageRoute(NamedTuple):
    """A path, what answers it, and the least role that may open it; GET changes nothing."""

    method: str
    path: str
    handler: Callable[[PageVisit], Reply]
    role: Role = "viewer"


ROUTES: list[PageRoute] = []  # of all screens, as they are imported
Handler = TypeVar("Handler", bound=Callable[..., Reply | str | None])


def page(path: str, role: Role = "viewer") -> Callable[[Handler], Handler]:
    """Register the handler of a page or of a part of one."""
    return _keeping("GET", path, role, "")


def form(path: str, role: Role = "viewer", then: str = "") -> Callable[[Handler], Handler]:
    """The handler of a form; where it answers nothing else, the visitor goes on to `then` and reads there what was
    done: the text it gives, or the words of `done` by its own name.
    """
    return _keeping("POST", path, role, then)


def _keeping(method: str, path: str, role: Role, then: str) -> Callable[[Handler], Handler]:
    def keep(do: Handler) -> Handler:
        name = f"{do.__module__.rpartition('.')[2]}.{do.__name__}"

        def answer(visit: PageVisit) -> Reply:
            if (said := do(visit)) is None or isinstance(said, str):
                return Redirect(then, said or translate_key("done", name))
            return said

        ROUTES.append(PageRoute(method, path, answer, role))
        return do

    return keep


class CachedResult(Generic[Result]):
    """A function of the work folder whose result is cached until one of the files changes."""

    def __init__(self, make: Callable[[Job], Result], files: tuple[str, ...]) -> None:
        """Nothing is read yet."""
        self.name, self.make, self.files = f"{make.__module__}.{make.__name__}", make, files

    def load(self, shared: Any) -> Result:
        """Return the result from the Console, which reads it anew if one of the files has changed."""
        found: Result = shared.cached_result(self.name, self.make, *self.files)
        return found

    def __call__(self, visit: PageVisit) -> Result:
        """Return the result for a page."""
        return self.load(visit.shared)


def cached_result(*files: str) -> Callable[[Callable[[Job], Result]], CachedResult[Result]]:
    """Cache what a function reads from the work folder until one of `files`, tables or notes, changes."""

    return lambda make: CachedResult(make, files)


def requested_customer(visit: PageVisit) -> str:
    """Return the requested customer id, from the query or the form, as it may hold any character."""
    return (visit.query.get("id") or visit.form.get("id") or " ")[:256]


def sentence(key: str, **values: object) -> str:
    """Return a sentence of server/translations.tsv in the current language, with its values filled in."""
    return translate_key("say", key).format(**values)


def refusal(code: str, key: str, **values: object) -> Refused:
    """Return a refusal whose text is a sentence of server/translations.tsv."""
    return Refused(code, LazyMessage.untranslated(sentence(key, **values)))


def to_plain(value: Any) -> Any:
    """As JSON takes it; what JSON has no number for is null."""
    if isinstance(value, BaseModel):
        return to_plain(value.model_dump(mode="json"))
    if is_dataclass(value) and not isinstance(value, type):
        return to_plain({each.name: getattr(value, each.name) for each in fields(value)})
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return to_plain(value._asdict())
    if isinstance(value, Mapping):
        return {str(name): to_plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_plain(each) for each in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int) else str(value)


def as_json(screen: Screen) -> bytes:
    """What the screen shows, for a program."""
    return json.dumps(to_plain({"title": screen.title, **screen.data}), ensure_ascii=False).encode()


INVITATION_PATH = "/enter/"


def safe_redirect_path(address: str) -> str:
    """Return a console path with its query to redirect to; anything else becomes the first page."""
    path, _, query = address.partition("?")
    plain = path.startswith("/") and not path.startswith(("//", "/\\", "/sign-in", INVITATION_PATH))
    if not (plain and all(c.isalnum() or c in "/-_.~" for c in path)):
        return "/"
    asked = urlencode(parse_qsl(query, max_num_fields=50))
    return f"{path}?{asked}" if asked else path
