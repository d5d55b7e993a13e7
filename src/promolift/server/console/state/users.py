"""Users, roles, sessions and sign-in links of the console. An API key opens no page, and a session cookie no API route.

Passwords are stored as scrypt hashes (RFC 7914; 32 MB, one salt each) and cookies as hashes. Every sign-in creates a
new session, which prevents session fixation. User names appear in the audit log; they are not customer data.
"""

import re
import secrets
import threading
from collections import OrderedDict
from collections.abc import Mapping
from hashlib import scrypt
from time import monotonic
from typing import Any, Literal, NamedTuple, get_args

from sqlalchemy import Connection, delete, func, insert, select, update

from promolift.foundation.hashing import sha256_of
from promolift.foundation.i18n.formatting import Locale
from promolift.foundation.time.clock import HOUR_MS, MINUTE_MS
from promolift.server.ledger.audit_log import AuditAction, append_audit, delete_record, list_records, put_record
from promolift.server.ledger.schema import PEOPLE, SESSIONS
from promolift.server.translations import translate_refusal

Role = Literal["viewer", "editor", "approver", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)  # each may do what those before it may
NAME_PATTERN = re.compile(r"[A-Za-z0-9_.\-\u4e00-\u9fff]{1,40}")
EMAIL_PATTERN = re.compile(r"[^@\s\x00-\x1f<>]{1,64}@[^@\s\x00-\x1f<>]{1,190}")
MIN_PASSWORD, MAX_PASSWORD = 10, 200  # characters of a password
COST, BLOCK, WIDTH = 2**15, 8, 32
LINK_KIND, LINK_DAYS = "console_link", 7
USED_STATE_KIND = "sign_in_state"  # sign-ins by a provider that were completed, for as long as one can last
TOUCH_EVERY_MS = MINUTE_MS  # a session's last click is written this often
ORIGIN_TRIES, ORIGIN_TRY_S = 5, 720.0  # wrong passwords for an account from one origin; one more every 12 minutes
ACCOUNT_TRIES, ACCOUNT_TRY_S = 100, 60.0  # beyond those, wrong passwords for an account; one more every minute
MAX_REMEMBERED = 50_000  # accounts and origins: 15 MB
UNKNOWN_PASSWORD = f"{'0' * 32}:{'0' * 64}"  # what a wrong name is compared with, so that it takes as long
_WORKING = threading.Semaphore(2)  # scrypt takes 32 MB and 0.1 s each


class Visitor(NamedTuple):
    """Who is signed in: their name, role and language, and the token that their forms must bring."""

    name: str
    role: Role
    language: Locale
    token: str
    session: str

    def may(self, role: Role) -> bool:
        """Whether they may do what this role may."""
        return ROLES.index(self.role) >= ROLES.index(role)

    @property
    def actor(self) -> str:
        """As the audit log names them."""
        return f"person {self.name}"


class SignIn(NamedTuple):
    """A session as it begins: its visitor, and the secret for the cookie, which is kept nowhere."""

    visitor: Visitor
    cookie: str


def hash_password(password: str, salt: str | None = None) -> str:
    """`salt:hash`."""
    salt = salt or secrets.token_hex(16)
    with _WORKING:
        key = scrypt(password.encode(), salt=bytes.fromhex(salt), n=COST, r=BLOCK, p=1, maxmem=2**27, dklen=WIDTH)
    return f"{salt}:{key.hex()}"


def verify_password(password: str, kept: str) -> bool:
    """Return whether the password matches the stored hash; equally slow where there is none."""
    known = kept or UNKNOWN_PASSWORD
    same = secrets.compare_digest(hash_password(password, known.partition(":")[0]), known)
    return same and bool(kept)


def check_new(name: str, password: str) -> None:
    """Refused, with what to do, where a name or password cannot be."""
    if not NAME_PATTERN.fullmatch(name):
        raise translate_refusal("name_wrong")
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD or password.lower() == name.lower() or len(set(password)) < 4:
        raise translate_refusal("password_weak")


def parse_email(text: str) -> str | None:
    """Return an address as it is kept, in lower case; None for an empty text. Refused for what is none."""
    email = text.strip().lower()
    if email and not EMAIL_PATTERN.fullmatch(email):
        raise translate_refusal("email_invalid")
    return email or None


def check_email_free(db: Connection, email: str | None, name: str = "") -> None:
    """Refused where another person has this address."""
    others = select(PEOPLE.c.name).where(PEOPLE.c.email == email, PEOPLE.c.name != name)
    if email and db.execute(others).first():
        raise translate_refusal("email_taken")


def is_name_taken(db: Connection, name: str) -> bool:
    """Return whether somebody has this name, in capitals or not."""
    return db.execute(select(PEOPLE.c.name).where(func.lower(PEOPLE.c.name) == name.lower())).first() is not None


def add_person(
    db: Connection, now_ms: int, actor: str, name: str, role: Role, password: str, email: str | None = None,
    language: str = "en",
) -> None:  # fmt: skip
    """A new person, `password` already hashed. Refused if the name or the e-mail address is taken."""
    if is_name_taken(db, name):
        raise translate_refusal("name_taken")
    check_email_free(db, email)
    row = {"name": name, "role": role, "password": password, "language": language, "gone": 0, "made_ms": now_ms}
    db.execute(insert(PEOPLE).values(row | {"email": email}))
    append_audit(db, now_ms, AuditAction(actor, "person.add", name), None, {"role": role})


def change_person(db: Connection, now_ms: int, actor: str, name: str, **new: Any) -> None:
    """Another role, language, password or e-mail address, or out; who is out, or has another of these but the language,
    must sign in anew.

    Refused where nobody would be left who is an admin, and for an address of another person.
    """
    row = db.execute(select(PEOPLE).where(PEOPLE.c.name == name)).mappings().first()
    if row is None:
        raise translate_refusal("person_unknown")
    weaker = new.get("gone") or new.get("role", "admin") != "admin"
    others = (PEOPLE.c.role == "admin", PEOPLE.c.gone == 0, PEOPLE.c.name != name)
    if row["role"] == "admin" and weaker and not db.execute(select(PEOPLE.c.name).where(*others)).first():
        raise translate_refusal("last_admin")
    check_email_free(db, new.get("email"), name)
    db.execute(update(PEOPLE).where(PEOPLE.c.name == name).values(**new))
    if new.keys() & {"role", "gone", "password", "email"}:
        shown = {key: value for key, value in new.items() if key not in ("password", "email")}
        old = {key: row[key] for key in shown}
        append_audit(
            db,
            now_ms,
            AuditAction(actor, "person.change", name),
            old,
            shown | dict.fromkeys(new.keys() - shown, "changed"),
        )
        db.execute(delete(SESSIONS).where(SESSIONS.c.name == name))


def start_session(db: Connection, now_ms: int, name: str, how: str) -> SignIn:
    """Start a session of a user."""
    row = db.execute(select(PEOPLE).where(PEOPLE.c.name == name, PEOPLE.c.gone == 0)).mappings().one()
    cookie, token = secrets.token_urlsafe(32), secrets.token_urlsafe(24)
    kept = {"session": sha256_of(cookie), "name": name, "token": token, "begun_ms": now_ms, "seen_ms": now_ms}
    db.execute(insert(SESSIONS).values(kept))
    append_audit(db, now_ms, AuditAction(f"person {name}", "session.begin", name), None, {"by": how})
    return SignIn(Visitor(name, row["role"], row["language"], token, sha256_of(cookie)), cookie)


def end_sessions(db: Connection, now_ms: int, actor: str, name: str, session: str | None = None) -> int:
    """End one session of a user, or all of them; return how many."""
    mine = [SESSIONS.c.name == name] + ([SESSIONS.c.session == session] if session else [])
    ended = db.execute(delete(SESSIONS).where(*mine)).rowcount
    append_audit(db, now_ms, AuditAction(actor, "session.end", name), None, {"sessions": ended})
    return ended


class LoadedSession(NamedTuple):
    """A user, and whether the last click is to be stored."""

    visitor: Visitor
    stale: bool


def load_session(db: Connection, cookie: str, now_ms: int, idle_hours: float) -> LoadedSession | None:
    """Load the session of a cookie; None where it ended or was idle for too long."""
    wanted = select(SESSIONS, PEOPLE.c.role, PEOPLE.c.language).join(PEOPLE, PEOPLE.c.name == SESSIONS.c.name)
    mine = wanted.where(SESSIONS.c.session == sha256_of(cookie), PEOPLE.c.gone == 0)
    row = db.execute(mine).mappings().first()
    if row is None or now_ms - row["seen_ms"] > idle_hours * HOUR_MS:
        return None
    visitor = Visitor(row["name"], row["role"], row["language"], row["token"], row["session"])
    return LoadedSession(visitor, now_ms - row["seen_ms"] > TOUCH_EVERY_MS)


def touch_session(db: Connection, session: str, now_ms: int, idle_hours: float) -> None:
    """Store a session's last click and delete sessions that were idle for too long."""
    db.execute(update(SESSIONS).where(SESSIONS.c.session == session).values(seen_ms=now_ms))
    db.execute(delete(SESSIONS).where(SESSIONS.c.seen_ms < now_ms - idle_hours * HOUR_MS))


def create_link(
    db: Connection, now_ms: int, actor: str, kind: str, role: Role = "admin", email: str | None = None
) -> str:
    """The secret of a link that lets one person in, once, within LINK_DAYS. `kind`: `first`, `demo` or `invite`.

    Whoever has the verified address `email` enters without the link, too. An earlier link of the kinds first and demo
    ends. Refused where somebody has the address.
    """
    check_email_free(db, email)
    for old, body in list_records(db, LINK_KIND).items():
        if body["ends_ms"] < now_ms or (kind != "invite" and body["kind"] == kind):
            delete_record(db, LINK_KIND, old)
    secret = secrets.token_urlsafe(24)
    body = {"kind": kind, "role": role, "by": actor, "ends_ms": now_ms + LINK_DAYS * 24 * HOUR_MS}
    body |= {"email": email} if email else {}
    put_record(db, LINK_KIND, sha256_of(secret), body, now_ms)
    if kind == "invite":
        append_audit(db, now_ms, AuditAction(actor, "person.invite", "link"), None, {"role": role})
    return secret


def load_link(db: Connection, secret: str, now_ms: int) -> Mapping[str, Any] | None:
    """Load a sign-in link; None where it was used or is too old."""
    body: Mapping[str, Any] | None = list_records(db, LINK_KIND).get(sha256_of(secret))
    return body if body and body["ends_ms"] >= now_ms else None


def use_link(db: Connection, now_ms: int, secret: str, name: str, password: str, language: str = "en") -> SignIn:
    """Let a person in by a link, which then is used up; `password` is hashed. Refused where it is used already.

    They are spoken to in `language`, that of the page they enter by, until they choose another.
    """
    body = load_link(db, secret, now_ms)
    if body is None:
        raise translate_refusal("link_used")
    known = db.execute(select(PEOPLE.c.name).where(PEOPLE.c.name == name)).first()
    if not (body["kind"] == "demo" and known):
        add_person(db, now_ms, f"link of {body['by']}", name, body["role"], password, body.get("email"), language)
    delete_record(db, LINK_KIND, sha256_of(secret))
    return start_session(db, now_ms, name, f"link ({body['kind']})")


def enter_by_email(db: Connection, now_ms: int, email: str, mark: str, lasts_ms: int, language: str = "en") -> SignIn:
    """Start a session of the person with a verified address, or of whoever was invited by it; each `mark` enters once.

    Refused where nobody, or more than one person, has the address, and for a person who may not sign in any more.
    """
    for old, body in list_records(db, USED_STATE_KIND).items():
        if body["ms"] < now_ms - lasts_ms:
            delete_record(db, USED_STATE_KIND, old)
    if put_record(db, USED_STATE_KIND, mark, {"ms": now_ms}, now_ms) is not None:
        raise translate_refusal("sign_in_stale")
    known = db.execute(select(PEOPLE.c.name, PEOPLE.c.gone).where(PEOPLE.c.email == email.lower())).all()
    if len(known) == 1 and not known[0].gone:
        return start_session(db, now_ms, known[0].name, "single sign-on")
    links = list_records(db, LINK_KIND).items()
    invited = [key for key, body in links if body.get("email") == email.lower() and body["ends_ms"] >= now_ms]
    if known or not invited:
        raise translate_refusal("email_unknown")
    link, name = dict(links)[invited[-1]], _free_name(db, email.lower())
    add_person(db, now_ms, f"link of {link['by']}", name, link["role"], "", email.lower(), language)
    for key in invited:
        delete_record(db, LINK_KIND, key)
    return start_session(db, now_ms, name, "single sign-on")


def _free_name(db: Connection, email: str) -> str:
    """Return a name that nobody has, after the first part of an address."""
    stem = re.sub(r"[^A-Za-z0-9_.\-\u4e00-\u9fff]", "", email.partition("@")[0])[:34] or "person"
    return next(name for name in (stem, *(f"{stem}-{n}" for n in range(2, 10**5))) if not is_name_taken(db, name))


class LoginThrottle:
    """Limits wrong passwords, and locks no account for all: whoever knows the password enters from another place.

    Each origin (an address, or a browser that entered the account before) has ORIGIN_TRIES for an account, which come
    back one by one. Beyond them it must wait, and its tries are checked only while the account's ACCOUNT_TRIES of all
    origins last: NIST SP 800-63B allows 100. Old entries go, so that nobody fills the memory by names.
    """

    def __init__(self) -> None:
        """Nobody has tried yet."""
        self._used: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()  # tries, and as of when
        self._lock = threading.Lock()

    def begin(self, name: str, origin: str) -> "LoginPermit":
        """Count a try, as wrong until `reset` says otherwise, and say whether its password may be checked."""
        account = name.lower()
        with self._lock:
            mine = self._take(account, origin, ORIGIN_TRIES, ORIGIN_TRY_S)
            if mine == 0.0:
                return LoginPermit(True, 0.0)
            return LoginPermit(self._take(account, "", ACCOUNT_TRIES, ACCOUNT_TRY_S) == 0.0, mine)

    def reset(self, name: str, origin: str) -> None:
        """Forget the tries of an origin after a correct password."""
        with self._lock:
            self._used.pop((name.lower(), origin), None)

    def _take(self, account: str, origin: str, tries: int, back_s: float) -> float:
        """Use one of the tries, of which one comes back every `back_s`; seconds to wait if none is left."""
        key, now = (account, origin), monotonic()
        used, then = self._used.pop(key, (0.0, now))
        used = max(0.0, used - (now - then) / back_s)
        wait_s = max(0.0, used + 1 - tries) * back_s
        self._used[key] = used + (wait_s == 0.0), now
        while len(self._used) > MAX_REMEMBERED:
            self._used.popitem(last=False)
        return wait_s


class LoginPermit(NamedTuple):
    """Whether a password may be checked, and how many seconds to wait after a wrong one."""

    checked: bool
    wait_s: float


def known_browser(secret: str, name: str, password: str, cookie: str) -> str | None:
    """Return the id of a browser that entered the account before with its present password; None if none did."""
    browser, _, mark = cookie.partition(".")
    return browser if secrets.compare_digest(mark.encode(), _browser_mark(secret, name, password, browser)) else None


def new_browser(secret: str, name: str, password: str) -> str:
    """Return the cookie by which `known_browser` knows a browser again; `password` is hashed."""
    browser = secrets.token_urlsafe(12)
    return f"{browser}.{_browser_mark(secret, name, password, browser).decode()}"


def _browser_mark(secret: str, name: str, password: str, browser: str) -> bytes:
    return sha256_of(f"known browser\n{secret}\n{name}\n{password}\n{browser}").encode()
