"""Ways to sign in that extensions add, such as a company's identity provider, and the memory of a sign-in under way.

The browser leaves for the provider and comes back by a link of another site, which brings no SameSite=Strict cookie. So
a signed cookie of its own, SameSite=Lax, holds the state until then.
"""

import base64
import hmac
import json
import secrets
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from promolift.foundation.extension import listed, load_reference
from promolift.foundation.hashing import sha256_of
from promolift.foundation.time.clock import MINUTE_MS
from promolift.server.settings import ServeSettings

METHOD_PATH, BACK = "/sign-in/with/", "back"
MEMORY_MS = 10 * MINUTE_MS


class SignInStart(NamedTuple):
    """The page of a provider that a browser goes to, and what `SignInMethod.finish` needs when it comes back."""

    url: str
    memory: Mapping[str, str]


class SignInMethod(Protocol):
    """A way to sign in. `name` stands in its path; a provider is told `back_url` as the address to come back to."""

    name: str

    @property
    def label(self) -> str:
        """What its button says in the language in use."""

    def begin(self, back_url: str, state: str) -> SignInStart:
        """Return where the browser goes to. Raises Refused."""

    def finish(self, query: Mapping[str, str], memory: Mapping[str, str], back_url: str, now_s: int) -> str:
        """Return the verified e-mail address of who came back with `query`, whose state was checked already.

        Raises Refused.
        """


def sign_in_methods(settings: ServeSettings) -> list[SignInMethod]:
    """Return the ways to sign in that are configured. Raises ConfigError for one that cannot work."""
    found = [load_reference(reference)(settings) for reference in listed("sign_in")]
    return [method for method in found if method is not None]


class SignInMemory(NamedTuple):
    """A sign-in under way: its method, state, time and where to go then, and what the method remembers."""

    method: str
    state: str
    begun_ms: int
    next: str
    own: Mapping[str, str]

    @property
    def mark(self) -> str:
        """By which it is known to be used up."""
        return sha256_of(f"sign-in state\n{self.state}")

    def is_answered_by(self, query: Mapping[str, str], method: str, now_ms: int) -> bool:
        """Whether a browser comes back from this sign-in, in time."""
        same = secrets.compare_digest(query.get("state", "").encode(), self.state.encode())
        return same and self.method == method and 0 <= now_ms - self.begun_ms <= MEMORY_MS

    def to_cookie(self, secret: str) -> str:
        """Sign it for a cookie."""
        text = base64.urlsafe_b64encode(json.dumps(self).encode()).decode()
        return f"{text}.{_signature(secret, text)}"


def read_memory(secret: str, cookie: str) -> SignInMemory | None:
    """Return what a cookie remembers; None for one that this server did not sign."""
    text, _, signature = cookie.partition(".")
    if not secrets.compare_digest(signature.encode(), _signature(secret, text).encode()):
        return None
    values: list[Any] = json.loads(base64.urlsafe_b64decode(text))
    return SignInMemory(*values)


def _signature(secret: str, text: str) -> str:
    return hmac.new(f"sign-in memory\n{secret}".encode(), text.encode(), "sha256").hexdigest()
